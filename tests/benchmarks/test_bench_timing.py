"""Percentiles, stop rule and verdict, on samples whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.timing import StopRule, interleave, median_spread, percentiles, verdict

RNG = np.random.default_rng(11)


def noisy(centre: float, n: int = 41, spread: float = 0.01) -> list[float]:
    return list(centre * (1 + spread * RNG.standard_normal(n)))


def test_percentiles_of_known_samples() -> None:
    assert percentiles(list(range(101))) == {"p20": 20, "p50": 50, "p80": 80, "p99": 99}
    with pytest.raises(ValueError, match="nothing was timed"):
        percentiles([])


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [(1.0, 1.4, "faster"), (1.4, 1.0, "slower"), (1.0, 1.001, "same"), (1.0, 1.03, "ambiguous")],
)
def test_verdict(ours: float, theirs: float, word: str) -> None:
    spread = 0.1 if word == "ambiguous" else 0.01
    judged = verdict(noisy(ours, spread=spread), noisy(theirs, spread=spread))
    assert judged["verdict"] == word
    assert judged["ratio"] == pytest.approx(theirs / ours, rel=spread)
    lo, hi = judged["interval"]
    assert lo <= judged["ratio"] <= hi


def test_verdict_is_blind_to_noise_common_to_both() -> None:
    weather = np.exp(RNG.standard_normal(41))  # the machine's load, the same within a round
    judged = verdict(list(1.0 * weather), list(1.4 * weather))
    assert judged["verdict"] == "faster" and judged["ratio"] == pytest.approx(1.4)


def test_stop_rule_waits_for_the_least_then_for_precision_then_for_the_most() -> None:
    rule = StopRule(least=5, most=20, precision=0.01, seconds=10)
    steady, wild = [1.0] * 5, [1.0, 9.0, 2.0, 7.0, 4.0]
    assert rule.reason([steady[:4]], 0.0) == ""
    assert "known to 1%" in rule.reason([steady], 0.0)
    assert rule.reason([steady, wild], 0.0) == ""
    assert "time limit" in rule.reason([steady, wild], 11.0)
    assert "20 rounds" in rule.reason([wild * 4], 0.0)
    assert median_spread(steady) == 0 and median_spread(wild) > 0.1


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
