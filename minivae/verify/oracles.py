"""The true gradient of one tensor, entry by entry or along directions, by the best oracle."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minivae.types import EPS64, Array
from minivae.types.differences import Slope, between, bisect
from minivae.verify.derivatives import Probe, tol
from minivae.verify.report import Row
from minivae.verify.strategies import gradients

MOST_ENTRIES = 20_000  # visited one by one; larger tensors are probed along random directions
Known = Array | Slope | None  # J u, or the slope along u, where it is known already


@dataclass
class Trial:
    """One tensor on trial: the hand-written gradient, and what the oracles say of its entries."""

    probe: Probe
    place: int  # among the leaves of the pass
    row: Row
    entries: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # visited, and
    true: Array = field(default_factory=lambda: np.zeros(0))  # of these: the truth,
    doubt: Array = field(default_factory=lambda: np.zeros(0))  # the oracle's own error,
    columns: Array | None = None  # the Jacobian's columns where there is room for them,
    wrong: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))  # and the verdict
    delta: Array = field(default_factory=lambda: np.zeros(()))  # a direction, and along it:
    slope: Slope = field(default_factory=Slope)
    failing: Array | None = None  # a direction along which the gradient is wrong
    unplaced: tuple[float, float] | None = None  # hand.u, true.u where no time is left to see where
    reason: str = ""  # why no complex step was taken
    seen: float = np.nan  # an error of one entry that the probes would have seen; NaN before any
    kinks: list[int] = field(default_factory=list)  # flat indices of entries found on kinks, and
    corners: list[int] = field(default_factory=list)  # of those on kinks with another slope

    def __post_init__(self) -> None:
        self.leaf, self.eps = self.probe.job.leaves[self.place], self.probe.eps
        self.hand = np.asarray(self.probe.hands[self.place], np.float64)
        self.biggest = float(np.abs(self.hand).max(initial=0))
        self.coarse = self.probe.job.y_eps > EPS64  # forward computes in less than float64
        # What differences reach, of the largest entry.
        self.difference_limit = tol("finite_difference32" if self.coarse else "finite_difference")

    @property
    def g(self) -> Array:
        """The hand-written gradient at the visited entries."""
        return self.hand.ravel()[self.entries]

    @property
    def error(self) -> Array:
        """How far these are from the truth; inf where that is not known."""
        return np.nan_to_num(np.abs(self.g - self.true), nan=np.inf, posinf=np.inf)

    @property
    def blank(self) -> Array:
        """Of which visited entries nothing is known: forward gives no numbers beside the point."""
        return ~np.isfinite(self.true)

    @property
    def complete(self) -> bool:
        """Whether every entry is visited."""
        return len(self.entries) == self.leaf.value.size

    def reliable(self, slope: Slope, scale: float) -> bool:
        """Whether a difference is sure enough of itself to be heard."""
        limit = tol("reliable32" if self.coarse else "reliable")
        return bool(slope.error <= limit * max(scale, abs(slope.value)))

    def roomy(self, slopes: float) -> bool:
        """Whether there is time for so many slopes along directions, by the oracle at hand."""
        by_differences = {"forward": 10 * slopes}
        return self.probe.clock.fits(**(by_differences if self.reason else {"complex": slopes}))

    def at(self, values: Sequence[Any]) -> Trial:
        """This trial at other inputs; raises what forward or backward raises there."""
        job = self.probe.job.at(values)
        job.adopt(job.run(values)[0])
        hands = gradients(job, self.probe.dy)
        probe = dataclasses.replace(self.probe, job=job, hands=hands, rng=np.random.default_rng(5))
        return dataclasses.replace(self, probe=probe)

    def index(self, i: int) -> tuple[int, ...]:
        """The index in the tensor of the i-th visited entry."""
        return tuple(int(n) for n in np.unravel_index(int(self.entries[i]), self.leaf.value.shape))


# -- the truth, entry by entry ---------------------------------------------------------------------
def choose_entries(trial: Trial, seconds: float) -> None:
    """Every entry where number and time allow; else the extreme ones and a random sample."""
    size, clock = trial.leaf.value.size, trial.probe.clock
    each = clock.price(forward=16) if trial.reason else clock.price(complex=1)
    left = clock.left() - 4 * each  # a few probes come before the entries
    afford = int(np.clip(min(seconds, left) / max(each, 1e-7), 0, 1e9))
    if size <= min(afford, MOST_ENTRIES):
        trial.entries = np.arange(size)
        return
    third = min(8, int(0.3 * afford))
    order, half = np.argsort(np.abs(trial.hand.ravel())), (third + 1) // 2
    few = trial.probe.rng.choice(size, min(size, 2 * third), replace=False)
    trial.entries = np.unique(np.concatenate([few, order[size - half :], order[:half]]))


def fill(trial: Trial) -> None:
    """Runs the best oracle there is over the visited entries."""
    count = len(trial.entries)
    trial.true, trial.doubt, trial.columns = np.full(count, np.nan), np.zeros(count), None
    if not trial.reason:
        by_complex_step(trial)
    by_differences(trial, np.flatnonzero(~np.isfinite(trial.true)))


def by_complex_step(trial: Trial) -> None:
    """True values and (where there is room) the Jacobian's columns of the visited entries."""
    probe, chunk = trial.probe, max(1, 4_000_000 // max(1, trial.probe.dy.size))
    cuts = range(chunk, len(trial.entries), chunk)
    true = []
    for part in np.split(trial.entries, cuts):
        trial.columns = probe.columns(trial.leaf, part)
        true.append(probe.dy @ trial.columns)
    trial.true, trial.doubt = np.concatenate(true), np.zeros(len(trial.entries))
    trial.columns = None if cuts else trial.columns


def by_differences(trial: Trial, which: Array) -> None:
    """Differences in place of the complex step for the visited entries at `which`; those that time
    does not allow are no longer among the visited."""
    keep = np.ones(len(trial.entries), dtype=bool)
    for i in which:
        keep[i] = trial.probe.clock.fits(forward=16)
        if not keep[i]:
            continue
        slope = trial.probe.entry_slope(trial.leaf, int(trial.entries[i]))
        trial.true[i] = slope.value
        trial.doubt[i] = 4 * slope.error if np.isfinite(slope.error) else np.inf
        margin = 1e-5 * max(trial.biggest, abs(trial.g[i]))
        if slope.kink and between(trial.g[i], slope.left, slope.right, margin):
            trial.true[i], trial.doubt[i] = trial.g[i], margin  # any value between is right
            trial.kinks.append(int(trial.entries[i]))
        elif slope.kink:
            trial.corners.append(int(trial.entries[i]))
    if not keep.all():
        trial.entries, trial.columns = trial.entries[keep], None
        trial.true, trial.doubt = trial.true[keep], trial.doubt[keep]


# -- tensors too large to visit: probes along random directions, bisection from one that fails -----
def fails_along(trial: Trial, delta: Array, known: Known = None) -> bool:
    """Whether the gradient is wrong along a direction; notes how small an error would show."""
    gap, doubt = gap_along(trial, delta, known)
    unit = float(np.abs(delta).max()) * (trial.biggest or 1.0)
    trial.seen = float(np.fmax(trial.seen, 2 * doubt / unit))
    return not abs(gap) <= doubt  # also where it is NaN: the entries tell


def failing_direction(trial: Trial) -> Array | None:
    """The first of two random-sign probes along which the gradient is wrong."""
    for size in (trial.leaf.scale, 1.0):
        delta = trial.probe.signs(trial.hand.shape) * size
        if trial.roomy(1) and fails_along(trial, delta):
            return delta
    return None


def locate(trial: Trial, delta: Array) -> int:
    """The wrong entry behind a probe that failed; any one, if time runs out on the way."""

    def gap(mask: Array) -> float:
        return gap_along(trial, mask.reshape(delta.shape) * delta)[0] if trial.roomy(1) else np.nan

    return bisect(gap, delta.size)


def gap_along(trial: Trial, delta: Array, known: Known = None) -> tuple[float, float]:
    """(hand.u - true.u, how large rounding and the oracle's own error may make it); (NaN, inf), a
    failure, where the complex step cannot be taken."""
    probe, leaf, parts = trial.probe, trial.leaf, trial.hand * delta
    norm = float(np.sqrt((parts * parts).sum()))
    coarse = tol("entry32") * trial.eps * norm if trial.eps > EPS64 else 0.0
    if trial.reason:
        slope = known if isinstance(known, Slope) else probe.slope(leaf, delta, rungs=18)
        rough = trial.difference_limit * max(norm, abs(slope.value))
        found = float(parts.sum()) - slope.value, 8 * slope.error + rough + coarse
        return found if np.isfinite(slope.value) else (0.0, np.inf)
    pushed = known if isinstance(known, np.ndarray) else probe.pushed(leaf, delta)
    true, total = float(probe.dy @ pushed), float(np.abs(probe.dy * pushed).sum())
    doubt = coarse + tol("direction") * EPS64 * max(norm, abs(true) * 1e-2, total * 1e-3)
    gap = float(parts.sum()) - true
    if not np.isfinite(gap):
        return np.nan, np.inf
    if not abs(gap) <= doubt:
        noise = probe.noises[trial.place] * delta
        doubt += tol("noise") * float(np.sqrt((noise * noise).sum()))
    return gap, doubt
