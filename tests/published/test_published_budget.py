"""A published result within a budget: what is cut, what is kept, what is not judged."""

from __future__ import annotations

import pytest

from minivae.published import EXPERIMENTS, carry_out
from minivae.published.findings import Figure, Findings
from minivae.published.record import Protocol
from minivae.settings import ConfigError
from tests.published.test_published_frame import experiment_of, kept, order, read_json, toy

pytestmark = pytest.mark.usefixtures("swift_disk")


def test_stopped_by_its_budget_and_resumed_it_ends_in_the_same_bits(tmp_path, monkeypatch):
    whole = carry_out.carry_out(order(tmp_path / "whole"))
    clock = iter(range(10**6))  # a second passes at every look
    monkeypatch.setattr(carry_out.time, "monotonic", lambda: float(next(clock)))
    part = carry_out.carry_out(order(tmp_path / "part", minutes=0.7))
    stopped = [r for r in part.runs.values() if not r.complete]
    assert stopped and all(0 < r.updates < r.of for r in stopped)
    monkeypatch.undo()
    resumed = carry_out.carry_out(order(tmp_path / "part", resume=True))
    for name, trained in whole.runs.items():
        assert resumed.runs[name].theta.tobytes() == trained.theta.tobytes()
        assert trained.complete and trained.epochs == 3


def test_a_budget_too_small_to_say_anything(tmp_path):
    with pytest.raises(ConfigError, match="too short for one epoch"):
        carry_out.carry_out(order(tmp_path / "a", minutes=1e-9))
    assert kept(order(tmp_path / "a", resume=True))["part"]["complete"]
    silent = experiment_of(Protocol(toy().full.runs, lambda bench: Findings(()), "a second"))
    asked = order(tmp_path / "a", experiment=silent, resume=True, minutes=2)
    short = "--budget 2: too short for a figure; .* --threads 1 --budget 8$"
    with pytest.raises(ConfigError, match=short):
        kept(asked)
    assert kept(asked._replace(minutes=None))["figures"] == []


def pieces(bench) -> Findings:
    """Three pieces of work that are no runs, each of which looks at the budget twice."""
    found = bench.within_budget("pieces", [lambda: bench.look() or bench.look() or 1.0] * 3)
    return Findings((Figure("sum", sum(found)),))


def test_a_budget_cuts_what_is_no_run_between_or_within_its_pieces(tmp_path, monkeypatch):
    whole = experiment_of(Protocol((), pieces, "a second"))
    clock = iter(range(10**6))  # a second passes at every look: two a piece
    monkeypatch.setattr(carry_out.time, "monotonic", lambda: float(next(clock)))
    result = kept(order(tmp_path / "a", experiment=whole, minutes=4 / 60))
    assert result["part"] == {"complete": False, "words": "a part: 1 of 3 pieces",
                              "epochs": {"pieces": [1, 3]}}  # fmt: skip
    assert result["figures"][0]["ours"] == 1.0
    short = (
        r"--budget 0\.0166667: too short for one of 3 pieces.*go on with more: minivae reproduce"
    )
    with pytest.raises(ConfigError, match=short):
        kept(order(tmp_path / "b", experiment=whole, minutes=1 / 60))
    entire = kept(order(tmp_path / "a", experiment=whole, resume=True))
    assert entire["part"]["words"] == "the whole schedule"
    assert kept(order(tmp_path / "a", experiment=whole, resume=True, minutes=4 / 60)) != entire
    assert read_json(tmp_path / "a" / "result.json") == entire


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "rate-distortion" else pytest.mark.slow)
        for name, each in EXPERIMENTS.items()
        if each.small.runs
    ],
)
def test_a_part_of_a_small_version_is_not_judged(name, tmp_path, monkeypatch):
    clock = iter(range(10**6))  # a second passes at every look: an epoch or two of each run
    monkeypatch.setattr(carry_out.time, "monotonic", lambda: float(next(clock)))
    asked = order(tmp_path, experiment=EXPERIMENTS[name], small=True, minutes=4)
    bench = carry_out.carry_out(asked)
    outcome = asked.protocol.measure(bench)
    assert bench.runs and not bench.complete
    assert all(figure.reached is None for figure in outcome.figures)
    assert all(claim.holds is None for claim in outcome.claims)
