"""A published result that is gone on with: its budget, the commands that are told."""

from __future__ import annotations

import contextlib
import json
import shlex

import pytest

from minivae.cli.main import run as command
from minivae.published import EXPERIMENTS, carry_out, results
from minivae.published.kingma2014_figure3 import claims_of
from minivae.settings import ConfigError
from tests.published.test_published_frame import order, toy

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
    told = json.loads(capsys.readouterr().out)["command"]
    assert told.endswith(f"--small --seed 2 --resume --out '{out}' --backend numpy --threads 1")
    file = out / "result.json"
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
