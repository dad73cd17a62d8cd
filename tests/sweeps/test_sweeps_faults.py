"""A sweep's own files damaged, exchanged or cut off by a kill: mended or told, never believed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil

import pytest

from minivae.cli.main import run as command
from minivae.runs.fsck_many import check_folder
from minivae.runs.strict_json import JsonFault
from minivae.settings import ConfigError
from minivae.sweeps import fsck as of_a_sweep
from minivae.sweeps import plan, results_table
from tests.reliability.faulty_disk import Died, FaultyDisk
from tests.reliability.mutations import places
from tests.reliability.tiny_runs import tiny_run

SPEC = {"dataset": "digits", "options": ["--epochs", "2"], "grid": {"beta": ["1"]}, "seeds": 1}
FACTS = {
    "measured_on": "test", "squared_error": 2.0, "active_units": 1, "epochs": 2, "seconds": 0.5,
    "run": "somewhere", "test": {"loss": 3.0, "reconstruction": 2.0, "kl": 1.0, "elbo": -3.0},
}  # fmt: skip
RESULT = {
    "name": "beta=1,seed=0", "facts": FACTS, "settled": {"latent_dim": 2}, "seed": 0,
    "settings": {"beta": "1"}, "identity": "abc",
}  # fmt: skip
DAMAGE = ["", "[", "[]", "{}", "null", '{"dataset": 1, "options": []}', "[" * 100_000, "\0" * 50,
          '{"dataset": "digits", "options": [1]}', "\udcff", '{"a": NaN}']  # fmt: skip


def altered(value):
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    return value + 1 if isinstance(value, (int, float)) else [value]


def ask(out, *words):
    return command(["sweep", "digits", "--grid", "beta=1,2", "--hidden", "none", "--latent", "2",
                    "--epochs", "1", "--backend", "numpy", "--out", str(out), *words])  # fmt: skip


def test_a_sweep_killed_at_any_moment_of_its_beginning_goes_on(tmp_path):
    disk = FaultyDisk(tmp_path)
    with disk.below():
        plan.open_sweep(tmp_path / "whole", SPEC, pytest.fail)
    assert len(disk.log) > 4
    for at in range(len(disk.log)):
        out = tmp_path / f"{at}"
        with FaultyDisk(out, at).below(), pytest.raises(Died):
            plan.open_sweep(out, SPEC, pytest.fail)
        if out.is_dir() and any(out.iterdir()):
            require_quiet(out)
        plan.open_sweep(out, SPEC, pytest.fail)
        assert json.loads((out / "sweep.json").read_text()) == SPEC and (out / "runs").is_dir()


def files_of_a_sweep(out):
    """What a sweep writes of a run that failed and then came to its end."""
    run = out / "runs" / "beta=1,seed=0"
    plan.keep_failure(run, "why")
    plan.keep_result(run, {**RESULT, "facts": {**FACTS, "run": str(run)}})
    results_table.write(out, "runs", [{"seed": 1, "loss": 1.5}])


def require_quiet(out):
    """fsck takes it for a sweep, finds no damage, and tells each half-written file."""
    assert of_a_sweep.CHECKS.is_one(out)
    report = check_folder(out, of_a_sweep.CHECKS)
    told = {finding.file for finding in report.findings}
    halves = {p.relative_to(out).as_posix() for p in out.rglob(".*") if p.is_file()}
    assert report.sound and halves <= told, report.findings


def test_no_kill_of_a_sweep_is_damage(tmp_path):
    whole = tmp_path / "whole"
    plan.open_sweep(whole, SPEC, pytest.fail)
    tiny_run(whole / "runs" / "beta=1,seed=0")
    shutil.copytree(whole, tmp_path / "recorded")
    disk = FaultyDisk(tmp_path / "recorded")
    with disk.below():
        files_of_a_sweep(tmp_path / "recorded")
    assert len(disk.log) > 4
    for at, fault in itertools.product(range(len(disk.log)), ("dies", "torn")):
        out = tmp_path / f"{at}-{fault}"
        shutil.copytree(whole, out)
        with FaultyDisk(out, at, fault).below(), contextlib.suppress(Died):
            files_of_a_sweep(out)
        require_quiet(out)
        shutil.rmtree(out)


@pytest.mark.parametrize("text", DAMAGE, ids=lambda text: ascii(text[:12]))
def test_a_damaged_note_of_a_sweep_is_told_and_written_again(tmp_path, text):
    plan.open_sweep(tmp_path, SPEC, pytest.fail)
    (tmp_path / "sweep.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    told = []
    plan.open_sweep(tmp_path, SPEC, told.append)
    assert len(told) == 1 and "sweep.json is damaged" in told[0] and len(told[0]) < 600
    with pytest.raises(ConfigError, match="is a sweep of"):
        plan.open_sweep(tmp_path, {**SPEC, "options": []}, pytest.fail)


def test_a_pipe_in_place_of_a_file_is_told_and_does_not_hold_it_up(tmp_path):
    plan.open_sweep(tmp_path, SPEC, pytest.fail)
    run = tmp_path / "runs" / "beta=1,seed=0"
    run.mkdir()
    (tmp_path / "sweep.json").unlink()
    os.mkfifo(tmp_path / "sweep.json")
    os.mkfifo(run / "result.json")
    told = []
    plan.open_sweep(tmp_path, SPEC, told.append)
    assert plan.results_of(tmp_path, told.append) == {} and len(told) == 2


def test_any_change_of_a_result_is_told(tmp_path):
    """Every field of it: each number by one, each text by a letter, each key lost."""
    run = tmp_path / "runs" / "beta=1,seed=0"
    run.mkdir(parents=True)
    plan.keep_result(run, RESULT)
    kept = (run / "result.json").read_text()
    (whole,) = plan.results_of(tmp_path, pytest.fail).values()
    for path in places(json.loads(kept)):
        for change in ("alter", "null", "remove"):
            value = json.loads(kept)
            parent = value
            for key in path[:-1]:
                parent = parent[key]
            old = parent.pop(path[-1])
            if change != "remove":
                parent[path[-1]] = altered(old) if change == "alter" else None
            (run / "result.json").write_text(json.dumps(value))
            told = []
            found = plan.results_of(tmp_path, told.append)
            if path == ("sha256",) and change == "remove":  # as earlier versions wrote it
                assert {**found["abc"], "sha256": whole["sha256"]} == whole
                continue
            assert found == {} and len(told) == 1 and "result.json is damaged" in told[0], path


def test_a_failure_that_cannot_be_read_is_passed_over(tmp_path):
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    plan.keep_failure(run, "why")
    assert plan.failures_of(tmp_path, ["a", "b"]) == {"a": "why"}
    plan.failure_of(run).write_text("[" * 50_000)
    assert plan.failures_of(tmp_path, ["a", "b"]) == {}
    with pytest.raises(JsonFault):
        plan.read_json(plan.failure_of(run), plan.FAILURE_SCHEMA)


def test_a_file_that_is_missing_when_it_is_checked_is_told(tmp_path):
    """A link that leads nowhere; or what a run beside has taken away meanwhile."""
    for check in (of_a_sweep.check_failure, of_a_sweep.check_result, of_a_sweep.check_spec):
        with pytest.raises(JsonFault, match="it is missing"):
            check(tmp_path / "none.json")


def test_damaged_results_and_exchanged_runs_of_a_sweep(tmp_path, capsys):
    out = tmp_path / "s"
    assert ask(out, "--quiet") == 0
    table = (out / "means.csv").read_text()
    one, two = (out / "runs" / f"beta={b},seed=0" for b in (1, 2))
    result = json.loads((one / "result.json").read_text())
    result["facts"][result["facts"]["measured_on"]]["kl"] += 1
    (one / "result.json").write_text(json.dumps(result))
    (two / "config.json").unlink()
    (two / "result.json").unlink()
    capsys.readouterr()
    assert ask(out, "--quiet") == 0
    assert "result.json is damaged (its sha256 differs)" in capsys.readouterr().err
    clock = [n for n, name in enumerate(table.split("\n")[0].split(",")) if "seconds" in name]
    lasting = lambda text: [[w for n, w in enumerate(row.split(",")) if n not in clock]  # noqa: E731
                            for row in text.split("\n")]  # fmt: skip
    assert lasting((out / "means.csv").read_text()) == lasting(table)
    for run in (one, two):
        (run / "result.json").unlink()
    one.rename(tmp_path / "aside")
    two.rename(one)
    shutil.copytree(tmp_path / "aside", two)
    assert ask(out) == 1
    assert "holds another run (beta 2.0, not 1.0): move it away" in capsys.readouterr().out
