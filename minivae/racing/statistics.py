"""Percentiles, exact intervals, when to stop, and the verdict between two contestants of a race.

Nothing here assumes a distribution. The interval of a median is made of two order statistics,
whose coverage is a binomial sum: for 15 samples the 4th and the 12th enclose the median with
probability 0.965, whatever the samples' distribution (Conover, Practical Nonparametric
Statistics, 3rd edition, section 3.2). That holds for a number of samples fixed beforehand. A race
that stops as soon as its intervals are narrow favours narrow ones: in simulated races 95 % become
94, and 84 where times are of two kinds, half of them each (`benchmarks selftest`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

SAME = 0.02  # a ratio whose interval is within 2 % of one is called the same
CONFIDENCE = 0.95
LEAST_ROUNDS = 15
HARDLY = 0.002


class Interval(NamedTuple):
    """An interval that holds the median with probability `coverage`; infinite if n is too small."""

    low: float
    high: float
    coverage: float


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """p20, p50, p80 and p99 of the samples, in the samples' unit."""
    if len(samples) == 0:
        raise ValueError("no samples: nothing was timed")
    return {f"p{q}": float(np.percentile(samples, q)) for q in (20, 50, 80, 99)}


def ranks(n: int, confidence: float = CONFIDENCE) -> tuple[int, float]:
    """(k, coverage): the k-th smallest and k-th largest of n enclose the median that surely.

    The largest k, so the shortest interval; k = 0 where n samples cannot reach the confidence.
    """
    tail, best, coverage = 0.0, 0, 0.0
    for k in range(1, n // 2 + 1):
        tail += math.comb(n, k - 1) / 2**n
        if 1 - 2 * tail < confidence:
            break
        best, coverage = k, 1 - 2 * tail
    return best, coverage


def median_interval(samples: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The exact order-statistic interval of the median; (-inf, inf) for fewer than six samples."""
    k, coverage = ranks(len(samples), confidence)
    if k == 0:
        return Interval(-math.inf, math.inf, 1.0)
    ordered = sorted(samples)
    return Interval(float(ordered[k - 1]), float(ordered[-k]), coverage)


def coverage(drawn: np.ndarray, rule: StopRule) -> float:
    """How often the interval at which a race stops holds a median that is 1.

    drawn: (races, rule.most) samples of one contestant; the rule's time is not looked at.
    """
    held, running = np.zeros(len(drawn), bool), np.ones(len(drawn), bool)
    for n in range(rule.least, rule.most + 1):
        ordered, (k, _) = np.sort(drawn[:, :n], axis=1), ranks(n)
        low, high = ordered[:, k - 1], ordered[:, -k]
        narrow = (high - low) / 2 <= rule.precision * np.median(ordered, axis=1)
        stops = running & (narrow | (n == rule.most))
        held[stops], running[stops] = ((low <= 1) & (high >= 1))[stops], False
    return float(held.mean())


def spread(samples: Sequence[float]) -> float:
    """Half-width of the median's interval, relative to the median; inf where there is none."""
    interval = median_interval(samples)
    return float((interval.high - interval.low) / 2 / np.median(samples))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> np.ndarray:
    """theirs / ours, round by round: what slows a whole round cancels."""
    n = min(len(ours), len(theirs))
    if n == 0:
        raise ValueError("no rounds in common: nothing to compare")
    return np.asarray(theirs[:n], float) / np.asarray(ours[:n], float)


def verdict(ours: Sequence[float], theirs: Sequence[float], margin: float = SAME) -> dict[str, Any]:
    """Are we faster? The median of theirs / ours in the same rounds and its exact interval.

    faster: surely more than 1 + margin; slower: surely less than 1 / (1 + margin); same: surely
    in between; ambiguous: the interval straddles a boundary.
    """
    return judged(ratios(ours, theirs), margin)


def judged(ratio: np.ndarray, margin: float = SAME) -> dict[str, Any]:
    """The verdict of `verdict` on ratios that are there already."""
    interval = median_interval(list(ratio))
    high, low = 1 + margin, 1 / (1 + margin)
    word = "ambiguous"
    if interval.low > high:
        word = "faster"
    elif interval.high < low:
        word = "slower"
    elif interval.low >= low and interval.high <= high:
        word = "same"
    bounds = [b if math.isfinite(b) else None for b in interval[:2]]
    return {"verdict": word, "ratio": float(np.median(ratio)), "interval": bounds, "n": len(ratio)}


def unpaired(
    ours: Sequence[float], theirs: Sequence[float], margin: float = SAME
) -> dict[str, Any]:
    """The verdict on two runs that were not interleaved: medians and their intervals apart.

    Each median's interval is taken at 97.5 %, so that the quotient of their ends holds at 95 %.
    """
    a, b = (median_interval(s, 1 - (1 - CONFIDENCE) / 2) for s in (ours, theirs))
    ratio = float(np.median(theirs) / np.median(ours))
    known = all(math.isfinite(bound) for bound in (*a[:2], *b[:2]))
    low, high = (b.low / a.high, b.high / a.low) if known else (-math.inf, math.inf)
    word = "ambiguous"
    if low > 1 + margin:
        word = "faster"
    elif high < 1 / (1 + margin):
        word = "slower"
    elif low >= 1 / (1 + margin) and high <= 1 + margin:
        word = "same"
    bounds = [low, high] if known else [None, None]
    return {"verdict": word, "ratio": ratio, "interval": bounds}


def kept_answers(new: Sequence[float], again: Sequence[float], margin: float = 1.0) -> float:
    """How many times as long a call takes whose numbers are new, or 0 where that is not sure.

    Sure: so many of the calls that met their numbers again take less than 1 / (1 + margin) of the
    quickest new one that chance hardly ever puts as many of theirs first. Which call is which was
    drawn, so this holds whatever else the machine did, and for a kernel that keeps its answers in
    every other call only, whose slow calls hide it from any comparison of medians.
    """
    least, ordered = min(new), sorted(again)
    k = first_by_chance(len(new), len(again))
    sure = k <= len(again) and ordered[k - 1] * (1 + margin) < least
    return least / ordered[k // 2] if sure else 0.0


def first_by_chance(n: int, others: int, chance: float = HARDLY) -> int:
    """The least k such that the k smallest of all are `others` with at most this probability.

    C(n + others - k, n) / C(n + others, n), whatever the distribution; others + 1 if there is none.
    """
    whole = chance * math.comb(n + others, n)
    fits = (k for k in range(1, others + 1) if math.comb(n + others - k, n) <= whole)
    return next(fits, others + 1)


@dataclass(frozen=True)
class StopRule:
    """Stop after `least` rounds once every median is known to `precision`, or when time is up.

    fewest: rounds before which the time does not count; six have an interval.
    """

    least: int = LEAST_ROUNDS
    most: int = 60
    precision: float = 0.01
    seconds: float = 30.0
    fewest: int = 1

    def reason(self, samples: Sequence[Sequence[float]], elapsed: float) -> str:
        """Why to stop now, or an empty string to go on."""
        n = min((len(s) for s in samples), default=0)
        if elapsed > self.seconds and n >= self.fewest:
            return f"time limit {self.seconds:g} s"
        if n < self.least:
            return ""
        if n >= self.most:
            return f"{self.most} rounds"
        if max(map(spread, samples)) <= self.precision:
            return f"every median known to {self.precision:.0%}"
        return ""


def interleave(
    blocks: dict[str, Callable[[int], float]], rule: StopRule, seed: int = 0
) -> tuple[dict[str, list[float]], str]:
    """Run every contestant once a round, in a fresh random order -> ({name: samples}, why).

    Each block function takes the round's number and returns what it measured. One that leaves
    the race answers NaN from then on; it no longer decides when to stop.
    """
    rng = np.random.default_rng(seed)
    samples: dict[str, list[float]] = {name: [] for name in blocks}
    names, start, why = list(blocks), time.perf_counter(), ""
    round_number = 0
    while not why:
        for k in rng.permutation(len(names)):
            samples[names[k]].append(blocks[names[k]](round_number))
        round_number += 1
        running = [s for s in samples.values() if np.isfinite(s[-1])]
        if not running:
            return samples, "nobody is left"
        why = rule.reason(running, time.perf_counter() - start)
    return samples, why
