"""Exact intervals, stop rule and verdicts, on samples whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minivae.racing.statistics import (
    HARDLY,
    StopRule,
    first_by_chance,
    interleave,
    judged,
    kept_answers,
    median_interval,
    percentiles,
    ranks,
    spread,
    unpaired,
    verdict,
)

RNG = np.random.default_rng(11)
BEGIN = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _the_same_numbers_whatever_ran_before() -> None:
    RNG.bit_generator.state = BEGIN


def noisy(centre: float, n: int = 41, spread: float = 0.01) -> list[float]:
    return list(centre * (1 + spread * RNG.standard_normal(n)))


def test_percentiles_of_known_samples() -> None:
    assert percentiles(list(range(101))) == {"p20": 20, "p50": 50, "p80": 80, "p99": 99}
    with pytest.raises(ValueError, match="nothing was timed"):
        percentiles([])


def test_the_ranks_are_those_of_the_textbooks() -> None:
    """Tables of the sign test: n = 6 reaches 96.9 % with its ends, 15 with the 4th, 25 the 8th."""
    assert ranks(5) == (0, 0.0)
    assert ranks(6) == (1, pytest.approx(1 - 2 / 2**6))
    assert ranks(15)[0] == 4 and ranks(25)[0] == 8
    assert ranks(15)[1] == pytest.approx(1 - 2 * (1 + 15 + 105 + 455) / 2**15)


def test_three_samples_have_no_interval() -> None:
    assert median_interval([1.0, 2.0, 3.0])[:2] == (-math.inf, math.inf)
    assert verdict([1.0] * 3, [9.0] * 3)["verdict"] == "ambiguous"
    assert verdict([1.0] * 3, [9.0] * 3)["interval"] == [None, None]
    assert median_interval([float(k) for k in range(15)])[:2] == (3.0, 11.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [(1.0, 1.4, "faster"), (1.4, 1.0, "slower"), (1.0, 1.001, "same"), (1.0, 1.03, "ambiguous")],
)
def test_verdict(ours: float, theirs: float, word: str) -> None:
    spread = 0.1 if word == "ambiguous" else 0.01
    found = verdict(noisy(ours, spread=spread), noisy(theirs, spread=spread))
    assert found["verdict"] == word
    assert found["ratio"] == pytest.approx(theirs / ours, rel=spread)
    lo, hi = found["interval"]
    assert lo <= found["ratio"] <= hi
    apart = unpaired(noisy(ours, spread=spread), noisy(theirs, spread=spread))
    assert apart["verdict"] == word


def test_a_wider_margin_says_less() -> None:
    ratio = np.full(15, 1.05)
    assert judged(ratio)["verdict"] == "faster" and judged(ratio, 0.1)["verdict"] == "same"


def test_verdict_is_blind_to_noise_common_to_both() -> None:
    weather = np.exp(RNG.standard_normal(41))  # the machine's load, the same within a round
    found = verdict(list(1.0 * weather), list(1.4 * weather))
    assert found["verdict"] == "faster" and found["ratio"] == pytest.approx(1.4)


def test_a_kernel_against_itself_is_seldom_judged_different() -> None:
    words = [verdict(noisy(1, 15, 0.2), noisy(1, 15, 0.2))["verdict"] for _ in range(400)]
    assert sum(word in ("faster", "slower") for word in words) <= 0.05 * len(words)


def test_stop_rule_waits_for_the_least_then_for_precision_then_for_the_most() -> None:
    rule = StopRule(least=7, most=20, precision=0.01, seconds=10)
    steady, wild = [1.0] * 7, [1.0, 9.0, 2.0, 7.0, 4.0, 3.0, 8.0]
    assert rule.reason([steady[:6]], 0.0) == ""
    assert "known to 1%" in rule.reason([steady], 0.0)
    assert rule.reason([steady, wild], 0.0) == ""
    assert "time limit" in rule.reason([steady, wild], 11.0)
    assert "20 rounds" in rule.reason([wild * 3], 0.0)
    patient = StopRule(seconds=10, fewest=6)
    assert patient.reason([wild[:5]], 11.0) == "" and "limit" in patient.reason([wild[:6]], 11.0)
    assert spread(steady) == 0 and spread(wild) > 0.1 and spread([1.0, 1.0]) == math.inf


def test_interleave_runs_everyone_once_a_round_in_changing_order() -> None:
    order: list[str] = []

    def block(name: str, value: float):  # type: ignore[no-untyped-def]
        def run(number: int) -> float:
            order.append(name)
            return value

        return run

    blocks = {n: block(n, v) for n, v in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    samples, why = interleave(blocks, StopRule(least=8, most=8))
    assert {n: len(s) for n, s in samples.items()} == {"a": 8, "b": 8, "c": 8} and why
    rounds = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert all(set(r) == {"a", "b", "c"} for r in rounds) and len(set(rounds)) > 2


def test_one_that_left_does_not_keep_the_others_racing() -> None:
    blocks = {"gone": lambda number: float("nan"), "there": lambda number: 1.0}
    samples, why = interleave(blocks, StopRule(least=7, most=9))
    assert len(samples["there"]) == 7 and "known to" in why
    assert interleave({"gone": lambda number: float("nan")}, StopRule())[1] == "nobody is left"


def test_how_many_are_first_by_chance() -> None:
    """Counted among all ways to draw 6 of 12, and simulated."""
    assert [first_by_chance(6, 6, 0.5 * p) for p in (0.5, 0.05, 1e-3)] == [2, 5, 7]
    k = first_by_chance(24, 24)
    drawn = [np.sort(RNG.permutation(48)[:24])[k - 1] == k - 1 for _ in range(20_000)]
    assert np.mean(drawn) <= 2 * HARDLY


@pytest.mark.parametrize("full", [0.0, 0.25, 0.4])
def test_who_keeps_answers_is_told_however_often_it_does_the_work(full: float) -> None:
    told = []
    for _ in range(200):
        again = np.where(RNG.random(24) < full, 1.0, 0.1) * (1 + 0.1 * RNG.random(24))
        told.append(kept_answers(1 + 0.1 * RNG.random(24), list(again)) > 2)
    assert np.mean(told) >= 0.98


@pytest.mark.parametrize("slowed", [0.0, 0.3, 0.9, 0.97])
def test_a_busy_machine_does_not_make_anybody_one_who_keeps_answers(slowed: float) -> None:
    def busy() -> np.ndarray:
        return np.where(RNG.random(24) < slowed, RNG.uniform(2, 50, 24), 1.0)

    told = [kept_answers(list(busy()), list(busy())) for _ in range(4000)]
    assert np.mean(np.array(told) > 0) <= HARDLY


def test_few_calls_put_nobody_out() -> None:
    assert kept_answers([1.0] * 4, [0.01] * 4) == 0
