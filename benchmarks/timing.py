"""Percentiles, when to stop, and the verdict between two contenders timed in the same rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SAME = 0.02  # ratios within 2 % of one are called the same


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """p20, p50, p80 and p99 of the samples, in the samples' unit."""
    if len(samples) == 0:
        raise ValueError("no samples: nothing was timed")
    return {f"p{q}": float(np.percentile(samples, q)) for q in (20, 50, 80, 99)}


def median_spread(samples: Sequence[float], draws: int = 200) -> float:
    """Half-width of the median's 90 % bootstrap interval, relative to the median."""
    a = np.asarray(samples)
    picks = np.random.default_rng(0).integers(0, len(a), (draws, len(a)))
    lo, hi = np.percentile(np.median(a[picks], axis=1), [5, 95])
    return float((hi - lo) / 2 / np.median(a))


# Before each block of a contender that has a process of its own. OpenMP's and MKL's threads go on
# spinning for up to 200 ms after their work is done, on the cores that the next one needs: without
# this rest, a product measured 12 GFLOP/s or 100 by who came before it (two cores of a Zen 4).
REST_SECONDS = 0.25


@dataclass(frozen=True)
class StopRule:
    """Stop after `least` rounds once every median is known to `precision`, or when time is up."""

    least: int = 7
    most: int = 60
    precision: float = 0.01
    seconds: float = 30.0

    def reason(self, samples: Sequence[Sequence[float]], elapsed: float) -> str:
        """Why to stop now, or an empty string to go on."""
        n = min(len(s) for s in samples)
        if n < min(self.least, 3):
            return ""
        if elapsed > self.seconds:
            return f"time limit {self.seconds:g} s"
        if n < self.least:
            return ""
        if n >= self.most:
            return f"{self.most} rounds"
        if max(map(median_spread, samples)) <= self.precision:
            return f"every median known to {self.precision:.0%}"
        return ""


def interleave(
    blocks: dict[str, Callable[[int], float]], rule: StopRule, seed: int = 0
) -> tuple[dict[str, list[float]], str]:
    """Run every contender once a round, in a fresh random order -> ({name: samples}, why stopped).

    Each block function takes the round's number and returns what it measured.
    """
    rng = np.random.default_rng(seed)
    samples: dict[str, list[float]] = {name: [] for name in blocks}
    names, start, why = list(blocks), time.perf_counter(), ""
    round_number = 0
    while not why:
        for k in rng.permutation(len(names)):
            samples[names[k]].append(blocks[names[k]](round_number))
        round_number += 1
        why = rule.reason(list(samples.values()), time.perf_counter() - start)
    return samples, why


def verdict(ours: Sequence[float], theirs: Sequence[float], draws: int = 1000) -> dict[str, Any]:
    """Are we faster? The ratio theirs / ours of each round, its median and 95 % interval.

    faster: surely more than 1.02; slower: surely less than 0.98; same: surely in between;
    ambiguous: the interval straddles a boundary.
    """
    n = min(len(ours), len(theirs))
    if n == 0:
        raise ValueError("no rounds in common: nothing to compare")
    ratio = np.asarray(theirs[:n]) / np.asarray(ours[:n])
    picks = np.random.default_rng(1).integers(0, n, (draws, n))
    lo, hi = np.percentile(np.median(ratio[picks], axis=1), [2.5, 97.5])
    word = "ambiguous"
    if lo > 1 + SAME:
        word = "faster"
    elif hi < 1 - SAME:
        word = "slower"
    elif lo >= 1 - SAME and hi <= 1 + SAME:
        word = "same"
    return {"verdict": word, "ratio": float(np.median(ratio)), "interval": [float(lo), float(hi)]}


def time_call(call: Callable[[], Any], seconds: float = 0.02) -> float:
    """Seconds of one call, averaged over as many calls as fill `seconds`."""
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    n = max(1, int(seconds / once))
    start = time.perf_counter()
    for _ in range(n):
        call()
    return (time.perf_counter() - start) / n
