"""The frame of published results: what is kept, and what is refused."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path

import pytest

from minivae.backend import load_backend
from minivae.cli.main import run
from minivae.published import carry_out, results
from minivae.published.findings import Claim, Figure, Findings, mean_and_spread
from minivae.published.kept import read_result
from minivae.published.order import Order
from minivae.published.record import Experiment, Paper, Protocol
from minivae.published.run import Run
from minivae.runs.errors import Interrupted, RunError
from minivae.settings import ConfigError
from tests.reliability.faulty_disk import Died, FaultyDisk

pytestmark = pytest.mark.usefixtures("swift_disk")
SETTINGS = {"latent_dim": 2, "hidden": (8,), "epochs": 3, "batch_size": 50}


def measure(bench):
    losses = [r.curve("held_out", "loss")[-1] for r in bench.runs.values()]
    mean, spread = mean_and_spread(losses)
    figure = Figure("loss", mean, 30.0, 100.0, 1.0, spread, "nowhere")
    return Findings((figure,), (), {"losses": losses})


def toy(**changes) -> Experiment:
    runs = tuple(Run(f"seed={s}", "digits", {**SETTINGS, **changes, "seed": s}) for s in (0, 1))
    return experiment_of(Protocol(runs, measure, "a second", ("everything",)))


def experiment_of(protocol: Protocol) -> Experiment:
    draw = lambda path, outcome: path.touch()  # noqa: E731
    return Experiment(Paper("toy", "Nobody", "a toy", "30"), protocol, protocol, draw)


def order(folder: Path, **changes) -> Order:
    given = {"experiment": toy(), "folder": folder, "K": load_backend("numpy"), "threads": 1}
    return Order(**{**given, **changes})


def kept(asked: Order) -> dict:
    bench = carry_out.carry_out(asked)
    outcome = results.measure(asked, bench)
    result = results.result_of(asked, bench, outcome, {"seconds": 1.0, "busy": ""}, 0.5)
    results.keep(asked.folder, asked.experiment, result)
    return result


def read_json(file: Path) -> dict:
    """What stands in a kept result, but for its own sha256."""
    found = json.loads(file.read_text())
    assert len(found.pop("sha256")) == 64
    return found


def test_a_result_says_which_part_was_run_and_where(tmp_path):
    result = kept(order(tmp_path / "a"))
    assert result["part"] == {"complete": True, "words": "the whole schedule",
                              "epochs": {"seed=0": [3, 3], "seed=1": [3, 3]}}  # fmt: skip
    assert result["machine"]["cores"] >= 1 and result["seconds"]["training"] > 0
    assert "--latent 2 --hidden 8 --epochs 3 --batch-size 50 --seed 1" in result["runs"]["seed=1"]
    text = results.as_text(read_result(tmp_path / "a" / "result.json", toy()))
    assert "30 (read to ± 1)" in text and "reached (band 100)" in text and "nowhere" in text


def test_what_went_further_is_not_replaced(tmp_path):
    whole = kept(order(tmp_path / "a"))
    part = {**whole, "part": {"complete": False, "epochs": {"seed=0": [1, 3]}}}
    files = results.keep(tmp_path / "a", toy(), part)
    assert read_json(tmp_path / "a" / "result.json") == whole
    assert read_json(tmp_path / "a" / "part-result.json") == part
    reason = "(beside the kept result, which went further)"
    assert all(results.kept_line(file).endswith(reason) for file in files)
    assert reason not in results.kept_line(tmp_path / "a" / "result.json")


def test_how_far_a_part_went_is_told_by_shares_of_unlike_runs(tmp_path):
    """5,653 epochs of one run are no more than 167 of another, where either is the whole run."""
    parts = {
        "less": {"a": [4000, 5653], "b": [0, 167]},
        "more": {"a": [2000, 5653], "b": [167, 167]},
    }
    made = kept(order(tmp_path / "made"))
    for had, new in (("less", "more"), ("more", "less")):
        for of in (had, new):
            part = {"complete": False, "epochs": parts[of]}
            files = results.keep(tmp_path / had, toy(), {**made, "part": part})
        assert (files[0].name == "result.json") == (new == "more")
    nothing = {**made, "part": {"complete": False, "epochs": {"a": [0, 0]}}}
    results.write_result(tmp_path / "less" / "result.json", nothing)
    assert results.keep(tmp_path / "less", toy(), made)[0].name == "result.json"


def test_runs_of_another_protocol_are_refused(tmp_path):
    kept(order(tmp_path / "a"))
    with pytest.raises(ConfigError, match="--resume"):
        carry_out.carry_out(order(tmp_path / "a"))
    for other in ({"experiment": toy(lr=0.1)}, {"seed": 1}):
        with pytest.raises(ConfigError, match="another protocol"):
            carry_out.carry_out(order(tmp_path / "a", resume=True, **other))
    again = re.escape(f"minivae reproduce toy --resume --out {tmp_path / 'a'}")
    with pytest.raises(ConfigError, match=f"another protocol than toy has now; move it.*{again}$"):
        read_result(tmp_path / "a" / "result.json", toy(lr=0.1))
    kept(order(tmp_path / "b", seed=3, small=True))
    with pytest.raises(ConfigError, match="toy --small --seed 3 --resume --out"):
        read_result(tmp_path / "b" / "result.json", toy(lr=0.1))


def test_a_result_of_another_protocol_is_never_replaced(tmp_path):
    kept(order(tmp_path / "a"))
    results.require_replaceable(order(tmp_path / "a"))
    file = tmp_path / "a" / "result.json"
    for other in ({"experiment": toy(lr=0.1)}, {"seed": 1}):
        with pytest.raises(ConfigError, match=r"result\.json: is a result of another protocol"):
            results.require_replaceable(order(tmp_path / "a", **other))
    file.write_text("[")
    with pytest.raises(ConfigError, match=r"result\.json: is damaged; remove it"):
        results.require_replaceable(order(tmp_path / "a"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', "nonsense", '"figures"', "[" * 50_000]
)
def test_a_damaged_result_is_refused_in_a_line(tmp_path, text):
    file = tmp_path / "result.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"result\.json"):
        read_result(file, toy())


def every_edit(value, edit):
    """Copies of a JSON value, each with one value inside it edited."""
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            for changed in (edit(value[key]), *every_edit(value[key], edit)):
                copy = value.copy()
                copy[key] = changed
                yield copy


@pytest.mark.parametrize("hashed", [True, False], ids=["as-now", "as-before"])
def test_every_edited_field_of_a_result_is_read_or_refused_in_a_line(tmp_path, hashed):
    """Wrong types are refused by name of the file; with a sha256, every other value is too."""
    kept(order(tmp_path))
    file = tmp_path / "result.json"
    whole = json.loads(file.read_text()) if hashed else read_json(file)
    edits = (lambda v: None, lambda v: "x", lambda v: [v], lambda v: {"x": v},
             lambda v: v + 1 if isinstance(v, (int, float)) else "y")  # fmt: skip
    refused = tried = 0
    for edit in edits:
        for changed in every_edit(whole, edit):
            tried += changed != whole
            file.write_text(json.dumps(changed))
            try:
                results.as_text(read_result(file, toy()))
            except ConfigError as fault:
                assert str(file) in str(fault) and "\n" not in str(fault)
                refused += 1
    assert tried > 200 and refused > tried / 3
    assert not hashed or refused == tried


def test_fsck_checks_a_folder_with_its_runs_its_result_and_its_data(tmp_path, capsys):
    kept(order(tmp_path))
    (tmp_path / "picture.png").unlink()  # the toy's is empty
    assert run(["fsck", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "runs/protocol.json" in out and "2 runs; sound" in out
    file = tmp_path / "result.json"
    file.write_text(file.read_text().replace('"training": ', '"training": 1'))
    assert run(["fsck", str(tmp_path), "-q"]) == 1
    assert "damaged  result.json" in capsys.readouterr().out


def test_a_run_is_finished_by_its_checkpoint_not_by_its_log(tmp_path):
    """A lost last checkpoint is trained again, and a run in another's place is never measured."""
    asked = order(tmp_path / "a")
    whole = carry_out.carry_out(asked)
    first, second = (tmp_path / "a" / "runs" / f"seed={s}" for s in (0, 1))
    for file in (first / "checkpoints").glob("epoch-0003.*"):
        file.unlink()
    (second / "config.json").unlink()
    again = carry_out.carry_out(asked._replace(resume=True))
    for name, trained in whole.runs.items():
        assert again.runs[name].theta.tobytes() == trained.theta.tobytes() and trained.complete
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    with pytest.raises(RunError, match="was started with seed 1, not 0"):
        carry_out.carry_out(asked._replace(resume=True))


def test_a_file_of_rows_that_a_kill_cuts_off_is_made_again(tmp_path):
    asked = order(tmp_path / "a")
    some = asked.protocol.runs[0]._replace(rows=100)
    disk = FaultyDisk(tmp_path)
    with disk.below():
        carry_out.part_of(asked, some, carry_out.load)
    for at in range(len(disk.log)):
        there = asked._replace(folder=tmp_path / f"{at}")
        with FaultyDisk(there.folder, at, "torn").below(), contextlib.suppress(Died):
            carry_out.part_of(there, some, carry_out.load)
        assert len(carry_out.part_of(there, some, carry_out.load)[0].train) == 100


def test_the_whole_is_judged_and_a_part_is_not():
    judged = Findings((Figure("x", 1.0, 1.1, 0.2),), (Claim("y", True, "z"),))
    assert judged.judged_if(True) == judged and judged.figures[0].reached
    assert judged.beside((2.0,), 0.5).judged_if(False).figures[0].paper is None
    part = judged.judged_if(False)
    assert part.figures[0].reached is None and part.claims[0].holds is None
    assert part.figures[0].difference == judged.figures[0].difference


def test_an_interrupt_names_the_command_that_goes_on(tmp_path, monkeypatch):
    def stopped(*args, **options):
        raise Interrupted("stopped", 143, tmp_path)

    monkeypatch.setattr(carry_out, "train", stopped)
    again = f"minivae reproduce toy --seed 2 --resume --out {tmp_path / 'a'} --threads 1"
    with pytest.raises(Interrupted, match="seed=0") as raised:
        carry_out.carry_out(order(tmp_path / "a", seed=2))
    assert str(raised.value).endswith(again) and raised.value.exit_code == 143


def test_only_the_first_rows_train(tmp_path):
    runs = (Run("some", "digits", SETTINGS, rows=100),)
    some = experiment_of(Protocol(runs, measure, "a second"))
    bench = carry_out.carry_out(order(tmp_path / "a", experiment=some))
    assert len(bench.runs["some"].dataset.train) == 100 and bench.runs["some"].of == 6
    shutil.rmtree(tmp_path / "a" / "data")
    again = carry_out.carry_out(order(tmp_path / "a", experiment=some, resume=True))
    told = results.train_command(again.runs["some"]).split()
    assert told[:3] == ["minivae", "train", "data/digits-100.npz"]
    assert (tmp_path / "a" / told[2]).is_file()
    assert again.runs["some"].theta.tobytes() == bench.runs["some"].theta.tobytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [(["pytorch-exmple"], "did you mean 'pytorch-example'"),
     (["pytorch-example", "--budget", "0"], "--budget 0: give minutes"),
     (["pytorch-example", "--budget", "nan"], "--budget nan: give minutes"),
     (["pytorch-example", "--seed", "-1"], "--seed"),
     (["pytorch-example", "--data-dir", "nowhere", "--out", "x"], "nowhere"),
     (["lucas2019-linear", "--data-dir", "nowhere", "--out", "x"], "nowhere"),
     (["lucas2019-linear", "--small", "--seed", f"{2**64 - 1}"], f"give at most {2**64 - 2}"),
     (["pytorch-example", "--small", "--seed", f"{2**64 - 1}"], f"give at most {2**64 - 2}")],
)  # fmt: skip
def test_what_cannot_be_is_one_line(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["reproduce", *words]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error")]
    assert len(lines) == 1 and says in lines[0] and not any(tmp_path.iterdir())
