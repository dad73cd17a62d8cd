"""What the true gradient of one tensor is, by the best oracle there is, and how far a right one
may be from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from minivae.types import Array
from minivae.verify.derivatives import (
    STEP,
    Slope,
    between,
)
from minivae.verify.passes import EPS64, Leaf
from minivae.verify.probe import Probe

MOST_ENTRIES = 20_000  # visited one by one; larger tensors are probed along random directions


class Tolerance(NamedTuple):
    """A number, and why it is that number."""

    value: float
    why: str


TOLERANCES = {
    "entry": Tolerance(4096.0, "eps of the entry itself: 1e-12 in float64, relative"),
    "entry32": Tolerance(64.0, "eps32 of the entry: constants rounded to float32 in one pass only"),
    "sum": Tolerance(16.0, "eps of the largest entry: an entry may be a sum that cancels"),
    "noise": Tolerance(16.0, "times the change that a 2-eps nudge makes; if rounding explains it"),
    "floor": Tolerance(32.0, "eps of the largest |dy*y| touched; if rounding explains it"),
    "faint": Tolerance(1024.0, "eps of all that may cancel in it; if rounding explains it"),
    "direction": Tolerance(256.0, "eps of the norm of g*u along one direction"),
    "finite_difference": Tolerance(1e-7, "of the largest entry, beside the difference's own error"),
    "finite_difference32": Tolerance(2e-3, "what differences reach in float32: 600 eps**0.8"),
    "reliable": Tolerance(1e-4, "a difference whose own error is larger gives no opinion"),
    "reliable32": Tolerance(2e-2, "the same where forward computes in float32"),
    "alike": Tolerance(1e-3, "how well errors must fit a pattern to be named by it"),
    "float32_match": Tolerance(2e-3, "float32 against the same source in float64"),
}  # fmt: skip


def tol(name: str) -> float:
    """The tolerance called `name`."""
    return TOLERANCES[name].value


@dataclass
class Trial:
    """One tensor on trial: the hand-written gradient, and what the oracles say of its entries."""

    probe: Probe
    leaf: Leaf
    place: int  # among the leaves of the pass
    hand: Array
    noise: Callable[[], Array]  # how far a nudge of the inputs moves it
    eps: float
    seconds: float
    entries: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    true: Array = field(default_factory=lambda: np.zeros(0))
    floor: Array = field(default_factory=lambda: np.zeros(0))
    doubt: Array = field(default_factory=lambda: np.zeros(0))  # the oracle's own error
    columns: Array | None = None
    reason: str = ""  # why no complex step was taken
    near: float | None = None  # a relative step at which differences are good
    seen: float = 0.0  # an error of one entry that the probes would have seen
    kinks: list[int] = field(default_factory=list)  # flat indices of entries found on kinks
    notes: list[str] = field(default_factory=list)

    @property
    def g(self) -> Array:
        """The hand-written gradient at the visited entries."""
        return self.hand.ravel()[self.entries]

    @property
    def complete(self) -> bool:
        return len(self.entries) == self.leaf.value.size

    @property
    def coarse(self) -> bool:
        """Whether forward computes in less than float64."""
        return self.probe.job.y_eps > EPS64

    @property
    def difference_tolerance(self) -> float:
        return tol("finite_difference32" if self.coarse else "finite_difference")

    def reliable(self, slope: Slope, scale: float) -> bool:
        """Whether a difference is sure enough of itself to be heard."""
        limit = tol("reliable32" if self.coarse else "reliable")
        return bool(slope.error <= limit * max(scale, abs(slope.value)))

    def index(self, i: int) -> tuple[int, ...]:
        """The index in the tensor of the i-th visited entry."""
        return tuple(int(n) for n in np.unravel_index(int(self.entries[i]), self.leaf.value.shape))


def not_analytic(trial: Trial) -> str:
    """Why the complex step cannot be believed, with the calls seen to lose the imaginary part."""
    calls = ", ".join(sorted(trial.probe.seen)) or "a call that loses the imaginary part"
    return (
        f"the complex step disagrees with converged differences: forward is not analytic ({calls})"
    )


def choose_entries(trial: Trial) -> None:
    """Every entry where number and time allow; else the extreme ones and a random sample."""
    size = trial.leaf.value.size
    calls = 16 if trial.reason else 1  # evaluations an entry
    afford = int(max(4, trial.seconds / (calls * trial.probe.cost)))
    if size <= min(afford, MOST_ENTRIES):
        trial.entries = np.arange(size)
        return
    order = np.argsort(np.abs(trial.hand.ravel()))
    third = max(1, min(8, int(0.3 * trial.seconds / (calls * trial.probe.cost))))
    few = trial.probe.rng.choice(size, min(size, 2 * third), replace=False)
    half = (third + 1) // 2
    trial.entries = np.unique(np.concatenate([few, order[-half:], order[:half]]))


def fill(trial: Trial) -> None:
    """Runs the best oracle there is over the visited entries."""
    count = len(trial.entries)
    trial.true, trial.floor, trial.doubt = np.full(count, np.nan), np.zeros(count), np.zeros(count)
    missing = np.ones(count, dtype=bool)
    if not trial.reason:
        by_complex_step(trial)
        missing = ~np.isfinite(trial.true)
        if missing.any():
            many = f"{trial.leaf.name}: complex numbers break down in {int(missing.sum())} entries"
            trial.notes.append(f"{many}; differences there")
    if missing.any():
        by_differences(trial, missing)


def by_complex_step(trial: Trial) -> None:
    """True values, floors and (where small) the Jacobian's columns of the visited entries."""
    dy, y0 = trial.probe.dy, trial.probe.job.y0
    weight = np.abs(dy * y0)
    count, chunk = len(trial.entries), max(1, 4_000_000 // max(1, y0.size))
    true, floor, kept = np.empty(count), np.empty(count), []
    for first in range(0, count, chunk):
        part = slice(first, first + chunk)
        block = trial.probe.columns(trial.leaf, trial.entries[part])
        true[part] = dy @ block
        touched = np.where(block != 0, weight[:, None], 0.0).max(axis=0)
        floor[part] = np.where(touched > 0, touched, weight.max(initial=0))
        kept.append(block)
    trial.columns = np.concatenate(kept, axis=1) if count <= chunk else None
    trial.true, trial.doubt = true, np.zeros(count)
    trial.floor = tol("floor") * trial.eps * floor


def by_differences(trial: Trial, which: Array) -> None:
    """Differences in place of the complex step for the entries marked in `which`."""
    scale = float(np.abs(trial.hand).max(initial=0))
    for i in np.flatnonzero(which):
        slope = trial.probe.entry_slope(trial.leaf, int(trial.entries[i]), trial.near)
        margin = 1e-5 * max(scale, abs(trial.g[i]))
        if slope.kink and between(trial.g[i], slope.left, slope.right, margin):
            trial.true[i], trial.doubt[i] = trial.g[i], margin  # any value between is right
            trial.kinks.append(int(trial.entries[i]))
            continue
        trial.true[i] = slope.value
        trial.doubt[i] = 4 * slope.error if np.isfinite(slope.error) else np.inf


def strict_tolerance(trial: Trial) -> Array:
    """How far hand and oracle may be apart, entry by entry, whatever the reason."""
    size = np.maximum(np.abs(trial.g), np.abs(trial.true))
    allowed = tol("entry32" if trial.eps > EPS64 else "entry") * trial.eps * size
    finite = np.abs(trial.true[np.isfinite(trial.true)]).max(initial=0)
    biggest = max(float(np.abs(trial.hand).max(initial=0)), float(finite))
    # A sum's rounding is its terms'; and h*h, the complex step's own, shows where all is 0.
    allowed += tol("sum") * EPS64 * biggest + STEP**1.75
    measured = (trial.doubt > 0) | bool(trial.reason)
    extra = np.where(measured, trial.doubt + trial.difference_tolerance * biggest, 0.0)
    return np.asarray(allowed + extra)


def rounding_tolerance(trial: Trial) -> Array:
    """How far they may be apart if rounding explains it."""
    noise = trial.noise()
    typical = float(np.median(noise)) if noise.size else 0.0
    coarse = 16 * trial.eps * np.abs(trial.hand).max(initial=0) if trial.eps > EPS64 else 0.0
    moves = tol("noise") * np.maximum(noise.ravel()[trial.entries], typical)
    job, dy = trial.probe.job, trial.probe.dy
    inputs = max(float(np.abs(leaf.value).max(initial=0)) for leaf in job.leaves)
    big = max(np.abs(trial.hand).max(initial=0), np.abs(dy * job.y0).max(initial=0))
    faint = tol("faint") * EPS64 * big * max(1.0, inputs)
    return np.asarray(strict_tolerance(trial) + moves + trial.floor + coarse + faint)
