"""Sweeps: what they are made of, what is never computed twice, what a lost worker costs."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minivae
from minivae import processes
from minivae.settings import ConfigError
from minivae.sweeps import engines, grid, results_table

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"epochs": 2, "hidden": 8, "backend": "numpy"}


def test_axes_and_points():
    axes = grid.parse_axes(["beta=0.5,1", "hidden=200;400,200"], ["beta", "hidden"])
    assert axes == {"beta": ["0.5", "1"], "hidden": ["200", "400,200"]}
    points = grid.points_of(axes, 2)
    assert len(points) == 8 and points[0].name == "beta=0.5,hidden=200,seed=0"
    assert points[1].options[-2:] == ["--seed", "1"]
    assert len({p.name for p in points}) == 8
    drawn = grid.points_of(axes, 1, 3)
    assert len({p.name for p in drawn}) == 3 and drawn == grid.points_of(axes, 1, 3)
    shares = [grid.share(points, f"{k}/3") for k in (1, 2, 3)]
    assert sorted(p.name for s in shares for p in s) == sorted(p.name for p in points)


@pytest.mark.parametrize(
    ("text", "says"),
    [("bta=1", "did you mean 'beta'"), ("beta", "write it like"), ("beta=", "write it like"),
     ("seed=1,2", "--seeds")],
)  # fmt: skip
def test_a_grid_that_cannot_be(text, says):
    with pytest.raises(ConfigError, match=says):
        grid.parse_axes([text], ["beta", "latent"])


@pytest.mark.parametrize("only", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_share_that_cannot_be(only):
    with pytest.raises(ConfigError, match="K/N"):
        grid.share([], only)


def test_an_engine_that_cannot_be():
    for engine in ("slurm", "dask", "local:3"):
        with pytest.raises(ConfigError, match="choose local"):
            engines.choose_engine(engine, 1)
    assert engines.choose_engine("local", 1).threads is None
    cores = processes.threads_each(1)
    assert engines.choose_engine("local", 2).threads == max(1, cores // 2)


def test_means_over_seeds_and_their_errors():
    same = {"latent_dim": 2}
    rows = [{"beta": b, "seed": s, **same,
             **dict.fromkeys(results_table.FIGURES, float(s) + float(b))}
            for b in ("1", "2") for s in (0, 1, 5)]  # fmt: skip
    means = results_table.over_seeds(rows, ["beta"])
    assert [m["beta"] for m in means] == ["2", "1"]
    assert means[1]["kl"] == pytest.approx(3.0)
    assert means[1]["kl_se"] == pytest.approx((7 / 3) ** 0.5)


def rows_of(path: Path) -> list[dict[str, str]]:
    with (path / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_sweep_is_made_once_and_grows(tmp_path):
    out = tmp_path / "a sweep"
    first = minivae.sweep("digits", {"beta": [0.5, 1]}, out=out, quiet=True, **SMALL)
    assert len(first) == 2 and len(rows_of(out)) == 2
    times = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/result.json")}
    minivae.sweep("digits", {"beta": [0.5, 1, 2]}, out=out, seeds=2, quiet=True, **SMALL)
    assert len(rows_of(out)) == 6
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())
    assert (out / "pictures" / "rate-distortion.png").stat().st_size > 0
    with pytest.raises(ConfigError, match="another --out"):
        minivae.sweep("digits", {"beta": [1]}, out=out, quiet=True, **{**SMALL, "epochs": 3})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(ConfigError, match="no sweep"):
        minivae.sweep("digits", {"beta": [1]}, out=tmp_path / "other", quiet=True, **SMALL)


def test_the_same_settings_are_never_trained_twice(tmp_path):
    """However they are written, and when an axis is added later whose default they had."""
    out = tmp_path / "s"
    minivae.sweep("digits", {"beta": [1, 0.5]}, out=out, quiet=True, **SMALL)
    times = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/result.json")}
    minivae.sweep("digits", {"beta": ["1.0", "5e-1", "1"]}, out=out, quiet=True, **SMALL)
    assert {p: p.stat().st_mtime_ns for p in out.glob("runs/*/result.json")} == times
    default = rows_of(out)[0]
    frame = minivae.sweep(
        "digits", {"beta": [1], "activation": ["tanh", "relu"]}, out=out, quiet=True, **SMALL
    )
    kept = [row["activation"] for row in rows_of(out) if row["beta"] == default["beta"]]
    assert len(frame) == 3 and len(list(out.glob("runs/*/result.json"))) == 3 and kept
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())


def test_runs_that_fail_stand_apart_and_are_tried_again(tmp_path):
    out = tmp_path / "s"
    with pytest.raises(RuntimeError, match=r"lr=1e\+20,seed=0: Diverged"):
        minivae.sweep("digits", {"lr": [1e-3, 1e20]}, out=out, quiet=True, **SMALL)
    assert [row["lr"] for row in rows_of(out)] == ["0.001"]
    failure = json.loads((out / "failures" / "lr=1e+20,seed=0.json").read_text(encoding="utf-8"))
    assert failure["error"].startswith("Diverged: update")


def test_a_sweep_in_a_file(tmp_path):
    file, out = tmp_path / "sweep.json", tmp_path / "s"
    spec = {"dataset": "digits", "grid": {"hidden": [[8], [8, 4]], "beta": "0.5"}, "seeds": 2,
            "options": {"epochs": 1}}  # fmt: skip
    file.write_text(json.dumps(spec), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "minivae", "sweep", "--config", str(file), "--out", str(out),
         "--backend", "numpy"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "4 of 4 runs done" in done.stdout
    assert [row["hidden"] for row in rows_of(out)] == ["8", "8", "8,4", "8,4"]
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    means = pandas.read_parquet(out / "means.parquet")
    assert list(means["seeds"]) == [2, 2] and (means["elbo_se"] > 0).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [('{"grd": {}}', "did you mean 'grid'"), ("[1]", "cannot be read as a sweep"),
     ('{"grid": {"beta": null}}', "None is no value"), ('{"seeds": "2"}', "whole number"),
     ('{"grid": {"beta": []}}', "is no value"), ('{"grid": [["beta", 1]]}', "must be an object"),
     ('{"options": "epochs=1"}', "must be an object"), ('{"options": {"lr": {}}}', "no value"),
     ('{"seeds": 0}', "s.json: cannot be read .*at least 1")],
)  # fmt: skip
def test_a_file_that_cannot_be(tmp_path, text, says):
    from minivae.cli.sweep_words import read_config

    (tmp_path / "s.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        read_config(tmp_path / "s.json")


def test_what_cannot_be_is_said_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="beta = -1"):
        minivae.sweep("digits", {"beta": [1, -1]}, out=tmp_path / "s", quiet=True, **SMALL)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("grid", "shared", "says"),
    [({"beta": [1, 2]}, {"beta": 3}, "varies it already"), ({}, {"seed": 4}, "--seeds"),
     ({"batch_size": [8]}, {"batch_size": 16}, "--grid batch_size"), ({}, {"resume": "x"}, "--out"),
     ({"bf16": ["true"]}, {}, "no setting"), ({"optimiser_settings": [1]}, {}, "no setting")],
)  # fmt: skip
def test_options_of_every_run_that_the_sweep_sets_itself_are_refused(grid, shared, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        minivae.sweep("digits", grid, out=tmp_path / "s", quiet=True, **shared)
    assert not (tmp_path / "s").exists()


def test_an_optimisers_own_setting_is_an_axis(tmp_path):
    axis = {"set": ["eps=1e-3", "eps=1e-4"]}
    minivae.sweep("digits", axis, out=tmp_path / "s", quiet=True, **SMALL)
    assert [row["set"] for row in rows_of(tmp_path / "s")] == ["eps=1e-3", "eps=1e-4"]


def command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "minivae", "sweep", "digits", "--grid", "beta=0.5,1", "--seeds",
            "2", "--epochs", "40", "--hidden", "32", "--backend", "numpy", "--out", str(out),
            "--quiet", *more]  # fmt: skip


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def sums(out: Path) -> dict[str, str]:
    found = {}
    for file in sorted(out.glob("runs/*/checkpoints/last.json")):
        found[file.parts[-3]] = json.loads(file.read_text(encoding="utf-8"))["sha256"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_in_the_middle_it_goes_on_to_the_same_bits(jobs, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(whole), check=True, env=environment(), capture_output=True)
    more = command(cut, "--jobs", jobs)  # two workers outlive their sweep, for a moment
    child = subprocess.Popen(more, env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(cut.glob("runs/*/checkpoints/epoch-*.json")):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert len(list(cut.glob("runs/*/result.json"))) < 4
    subprocess.run(more, check=True, env=environment(), capture_output=True)
    assert sums(cut) == sums(whole) and len(sums(cut)) == 4


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_costs_its_own_run_only(tmp_path):
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "sweep"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        work = command(out, "--engine", f"dask:{cluster.scheduler_address}")
        child = subprocess.Popen(work, env=environment(), stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(out.glob("runs/*/checkpoints/*.json")):
            time.sleep(0.02)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        said = child.communicate(timeout=400)[1]
        assert child.returncode == 0, said
    assert len(rows_of(out)) == 4
    assert not list(out.glob("failures/*"))


def test_a_scheduler_that_ends_in_the_middle_is_one_line(monkeypatch):
    distributed = pytest.importorskip("distributed")

    class Client(contextlib.nullcontext):
        def submit(self, work, job, **how):
            return job[0]

    def cut_off(futures):
        raise distributed.client.FutureCancelledError("a", "scheduler-connection-lost")
        yield

    monkeypatch.setattr(distributed, "as_completed", cut_off)
    with pytest.raises(RuntimeError, match="goes on, each run from its last checkpoint"):
        list(engines.run_dask(Client(), len, [("a", [])]))


def test_a_scheduler_that_nobody_runs_is_one_line(tmp_path):
    pytest.importorskip("distributed")
    done = subprocess.run(
        command(tmp_path / "s", "--engine", "dask:tcp://127.0.0.1:9"),
        env=environment(), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no scheduler answers there" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_huge_grid_is_drawn_from_without_making_it():
    axes = {f"axis{i}": [str(v) for v in range(20)] for i in range(12)}  # 4 * 10^15
    drawn = grid.points_of(axes, 1, 5)
    assert len({p.name for p in drawn}) == 5
    few = {"a": ["1", "2", "3"], "b": ["4", "5"], "c": ["6", "7"]}
    ordered = [p.settings for p in grid.points_of(few, 1)]
    assert ordered[:3] == [tuple(zip("abc", v, strict=True)) for v in ("146", "147", "156")]
    assert [p.settings for p in grid.points_of(few, 1, 4)] == random.Random(0).sample(ordered, 4)
