"""A published result that is gone on with: its budget, the commands that are told."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
from types import SimpleNamespace

import pytest

from minivae.cli.main import run as command
from minivae.published import EXPERIMENTS, carry_out, results
from minivae.published.findings import Findings
from minivae.published.kingma2014_figure3 import claims_of
from minivae.published.record import Protocol
from minivae.settings import ConfigError
from tests.published.test_published_frame import experiment_of, order, toy

pytestmark = pytest.mark.usefixtures("swift_disk")


class Clock:
    """Stands until it is set; runs seed=0 and seed=1 "train" on it: to their time, or a second."""

    def __init__(self) -> None:
        self.now, self.seen = 0.0, []

    def monotonic(self) -> float:
        return self.now

    def train_one(self, order, run, data, until: float) -> bool:
        self.seen.append((run.name, until))
        self.now = until if run.name == "seed=0" else self.now + 1
        return run.name != "seed=0"


def test_a_budget_is_shared_among_the_runs_that_are_not_finished(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(carry_out, "time", clock)
    monkeypatch.setattr(carry_out, "train_one", clock.train_one)
    monkeypatch.setattr(carry_out, "is_done", lambda order, run, data: run.name == "seed=1")
    with contextlib.suppress(ConfigError):  # nothing was trained
        carry_out.carry_out(order(tmp_path, minutes=1))
    assert clock.seen == [("seed=0", 60.0)]


def test_what_a_run_leaves_of_the_budget_goes_to_those_before_it_too(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(carry_out, "time", clock)
    monkeypatch.setattr(carry_out, "train_one", clock.train_one)
    with contextlib.suppress(ConfigError):
        carry_out.carry_out(order(tmp_path, minutes=1))
    assert clock.seen == [("seed=0", 30.0), ("seed=1", 60.0), ("seed=0", 60.0)]


def test_a_finished_run_is_not_trained_again(tmp_path, monkeypatch):
    carry_out.carry_out(order(tmp_path))
    monkeypatch.setattr(carry_out, "train_one", lambda *given: pytest.fail(str(given)))
    assert carry_out.carry_out(order(tmp_path, resume=True)).complete


def test_a_seed_has_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(EXPERIMENTS, "toy", toy())
    monkeypatch.chdir(tmp_path)
    for words in ([], ["--seed", "7"], ["--small"], ["--small", "--seed", "7"]):
        assert command(["reproduce", "toy", "--backend", "numpy", "-q", *words]) == 0
        assert "holds runs" not in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "published").iterdir()}
    assert names == {"toy", "toy-seed-7", "toy-small", "toy-small-seed-7"}
    assert command(["reproduce", "toy", "--backend", "numpy", "-q", "--seed", "7"]) == 2
    assert "go on with --resume" in capsys.readouterr().err


def test_the_backend_that_is_kept_is_the_runs_own(tmp_path):
    asked = order(tmp_path)
    bench = carry_out.carry_out(asked)
    other = dataclasses.replace(bench, K=SimpleNamespace(name="other"))
    load = {"seconds": 1.0, "busy": ""}
    for each in (bench, other, dataclasses.replace(other, runs={})):
        made = results.result_of(asked, each, Findings(()), load, 0.0)
        assert made["machine"]["backend"] == "numpy"
    config = bench.runs["seed=1"].config.with_changes(backend="numba")
    bench.runs["seed=1"] = bench.runs["seed=1"]._replace(config=config)
    assert bench.computed_by == "numba, numpy"


def test_an_interrupt_while_measuring_names_the_command_that_goes_on(tmp_path, monkeypatch, capsys):
    def stopped(bench):
        raise KeyboardInterrupt

    protocol = Protocol(toy().full.runs, stopped, "a second")
    monkeypatch.setitem(EXPERIMENTS, "toy", experiment_of(protocol))
    assert command(["reproduce", "toy", "--backend", "numpy", "-q", "--out", str(tmp_path)]) == 130
    told = capsys.readouterr().err.strip()
    assert told.startswith("stopped by Ctrl-C; what was trained and measured so far is kept")
    assert told.endswith(f"minivae reproduce toy --resume --out {tmp_path} --backend numpy")


@pytest.mark.parametrize(
    ("meanwhile", "says"),
    [({"busy": "others used 2 cores", "note": None}, "in the last, of 9 s, others used 2 cores"),
     ({"busy": "", "note": "it does not say"}, "in the last, of 9 s, it does not say"),
     ({"busy": ""}, "in the last, of 9 s, nothing else ran")],
)  # fmt: skip
def test_seconds_of_all_calls_are_not_told_as_the_last_ones(meanwhile, says):
    seconds = {"training": 7000.0, "measuring": 80.0, "this call": 9.0}
    told = results.time_in_words({"seconds": seconds, "machine": {"meanwhile": meanwhile}})
    assert told == f"training 7000 s and measuring 80 s in all calls; {says}"


def test_a_run_short_of_one_update_is_not_the_whole(tmp_path):
    asked = order(tmp_path)
    bench = carry_out.carry_out(asked)
    assert results.part_of_schedule(asked, bench)["complete"]
    long = bench.runs["seed=1"]._replace(updates=9_839_999, of=9_840_000)
    bench.runs["seed=1"] = long
    part = results.part_of_schedule(asked, bench)
    assert part == {"complete": False, "epochs": {"seed=0": [3, 3], "seed=1": [2.999, 3]},
                    "words": "a part: seed=0 3 of 3 epochs, seed=1 2.999 of 3 epochs"}  # fmt: skip


def test_figure_3_compares_only_points_after_alike_many_samples():
    apart = claims_of({"1000": [[30_000, -100.0, -101.0]], "50000": [[50_000, -99.0, -100.0]]})
    assert [claim.holds for claim in apart] == [True] and "bound" in apart[0].what
    near = claims_of({"1000": [[40_000, -100.0, -101.0]], "50000": [[50_000, -99.0, -100.0]]})
    assert [claim.holds for claim in near] == [True, True]


def test_a_damaged_result_is_made_again_by_the_command_that_fsck_tells(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(EXPERIMENTS, "toy", toy())
    out = tmp_path / "my results"
    words = ["reproduce", "toy", "--seed", "2", "--small", "--out", str(out)]
    assert command([*words, "--backend", "numpy", "--threads", "1", "-q", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["command"] == "minivae reproduce toy --small --seed 2" and "next" not in told
    file = out / "result.json"
    assert str(tmp_path) not in file.read_text()
    for text in ("[", file.read_text().replace('"seed": 2', '"seed": 3')):
        file.write_text(text)
        assert command(["fsck", str(out), "-q"]) == 1
        line = next(x for x in capsys.readouterr().out.splitlines() if "damaged  result" in x)
        assert line.count("minivae") == 1 and "; remove it: " in line
        again = shlex.split(line.partition("remove it: ")[2].removesuffix(" makes it again"))
        assert again == ["minivae", "reproduce", "toy", "--small", "--seed", "2", "--resume",
                         "--out", str(out)]  # fmt: skip
        file.unlink()
        assert command([*again[1:], "-q", "--backend", "numpy"]) == 0
        capsys.readouterr()
        assert command(["fsck", str(out), "-q"]) == 1  # the toy's picture is empty
        assert "result.json" not in capsys.readouterr().out
    file.write_text("[")
    assert command([*again[1:], "-q", "--backend", "numpy"]) == 2
    assert "result.json: is damaged; remove it, and the same" in capsys.readouterr().err
    (out / "runs" / "protocol.json").unlink()
    assert command(["fsck", str(out), "-q"]) == 1
    assert f"reproduce NAME --resume --out '{out}'" in capsys.readouterr().out
