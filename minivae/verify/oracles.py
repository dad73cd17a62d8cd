"""What the true gradient of one tensor is, by the best oracle there is, and how far a right one
may be from it."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minivae.types import Array
from minivae.verify import passes
from minivae.verify.arguments import gradients
from minivae.verify.derivatives import (
    RUNGS,
    Analytic,
    Line,
    Slope,
    between,
    complex_step,
    difference,
)
from minivae.verify.passes import EPS64, CannotRun, Clock, Leaf, Pass, one_line

BRANCH = 1e-5  # real and complex runs of one branch differ by rounding, other branches by far more
MOST_ENTRIES = 20_000  # visited one by one; larger tensors are probed along random directions


class Tolerance(NamedTuple):
    """A number, and why it is that number."""

    value: float
    why: str


TOLERANCES = {
    "entry": Tolerance(4096.0, "eps of the entry itself: 1e-12 in float64, relative"),
    "entry32": Tolerance(64.0, "eps32 of the entry: constants rounded to float32 in one pass only"),
    "noise": Tolerance(16.0, "times the change that a 2-eps nudge makes; if rounding explains it"),
    "floor": Tolerance(32.0, "eps of the largest |dy*y| touched; if rounding explains it"),
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


class Probe:
    """Everything that can be asked about the derivatives of one pass at one point and upstream."""

    def __init__(self, job: Pass, dy: Array, rng: np.random.Generator, clock: Clock) -> None:
        self.job, self.dy, self.rng, self.clock = job, dy, rng, clock
        self.rounding = job.output_noise(rng)
        start = time.perf_counter()
        job.output(job.base)
        self.cost = max(time.perf_counter() - start, 1e-6)
        self.mode = "analytic"  # what complex inputs are handed over as: see `complex_run`
        self.seen: set[str] = set()

    def scale(self, leaf: Leaf) -> Array:
        """A natural size of a step in each entry: the entry itself, or its tensor's median."""
        size = np.abs(leaf.value.astype(np.float64))
        nonzero = size[size > 0]
        middle = float(np.median(nonzero)) if nonzero.size else 1.0
        return np.where(size > 1e-3 * middle, size, middle)

    def signs(self, shape: tuple[int, ...]) -> Array:
        """Random signs: a direction no error can hide from by summing to zero."""
        return np.asarray(self.rng.choice([-1.0, 1.0], size=shape))

    # -- complex step ---------------------------------------------------------------------------
    def complex_reason(self, leaf: Leaf) -> str:
        """Why no complex step can be taken in this tensor; '' when one can."""
        delta, reason = self.signs(leaf.value.shape), ""
        self.seen = set()
        for self.mode in ("analytic", "plain", "all"):
            try:
                start = time.perf_counter()
                self.push({leaf.place: delta})
                self.cost = max(self.cost, time.perf_counter() - start)
                return ""
            except Exception as error:
                reason = reason or (str(error) if isinstance(error, CannotRun) else one_line(error))
        return f"forward does not take complex numbers ({reason})"

    def push(self, deltas: dict[int, Array], values: Sequence[Any] | None = None) -> Array:
        """J delta for all outputs, by one complex step; CannotRun where it takes another branch."""
        base = list(self.job.base if values is None else values)
        if self.mode == "all":
            places = {leaf.place for leaf in self.job.leaves}
            base = [v.astype(complex) if i in places else v for i, v in enumerate(base)]
        real: list[Array] = []

        def run(*flat: Any) -> Array:
            copies = [
                passes.copy_leaf(v) if v is base[i] else self._handed(v) for i, v in enumerate(flat)
            ]
            y = passes.vector(self.job.forward(*passes.replace(self.job.args, copies))[0])
            real.append(y.real)
            return y

        with warnings.catch_warnings():  # a silently discarded imaginary part becomes an error
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            out = complex_step(run, base, deltas)
        if out.shape != self.job.y0.shape:
            raise CannotRun("the output changes its shape on complex input")
        gap, scale = (
            np.abs(real[0] - self.job.y0).max(initial=0),
            np.abs(self.job.y0).max(initial=0),
        )
        if values is None and not gap <= BRANCH * scale and np.isfinite(out).all():
            raise CannotRun("complex input takes another branch than real input")
        return np.asarray(out)

    def _handed(self, value: Array) -> Array:
        if self.mode != "analytic":
            return value
        wrapped = np.asarray(value).view(Analytic)
        wrapped.seen = self.seen
        return wrapped

    def columns(self, leaf: Leaf, entries: Array, values: Sequence[Any] | None = None) -> Array:
        """J's columns (outputs, entries), NaN where complex arithmetic breaks down."""
        out = np.full((self.job.y0.size, len(entries)), np.nan)
        delta = np.zeros(leaf.value.size)
        for place, entry in enumerate(entries):
            delta[entry] = 1.0
            with contextlib.suppress(Exception):  # another branch here: the differences decide
                out[:, place] = self.push({leaf.place: delta.reshape(leaf.value.shape)}, values)
            delta[entry] = 0.0
        return out

    # -- differences, adjoint and Taylor ----------------------------------------------------------
    def line(self, leaf: Leaf, delta: Array, dy: Array | None = None) -> Line:
        """phi along a direction."""
        return Line(self.job, {leaf.place: delta}, self.dy if dy is None else dy, self.rounding)

    def slope(self, line: Line, leaf: Leaf, start: float = 0.25, rungs: int = RUNGS) -> Slope:
        """The derivative along a line by differences; few steps where a forward is slow."""
        if 60 * self.cost > self.clock.left():
            start, rungs = min(start, 1e-2), 4
        return difference(line, start, rungs, max(EPS64, float(np.finfo(leaf.value.dtype).eps)))

    def entry_slope(self, leaf: Leaf, entry: int, near: float | None = None) -> Slope:
        """One entry by differences; `near` is a relative step known to be good nearby."""
        delta = np.zeros(leaf.value.shape)
        delta.flat[entry] = 1.0
        size, line = float(self.scale(leaf).flat[entry]), self.line(leaf, delta)
        if near is not None:
            found = self.slope(line, leaf, 16 * near * size, 4)
            if found.error <= 1e-7 * abs(found.value):
                return found
        # The step may have to be far above the entry (a 1e-8 beside a 1) or far below it.
        return self.slope(line, leaf, 0.25 * max(size, 1.0), RUNGS + 9)

    def adjoint(self, leaf: Leaf, place: int, delta: Array, complex_safe: bool) -> float | None:
        """|<v, J u> - <J^T v, u>| over the larger sum of moduli, for an upstream v of its own."""
        v = self.signs(self.job.y0.shape) * self.rng.uniform(0.5, 1.5, self.job.y0.shape)
        back = gradients(self.job, v)[place]
        if back is None:
            return None
        if complex_safe:
            pushed = self.push({leaf.place: delta})
            left, size = float(v @ pushed), float(np.abs(v * pushed).sum())
        else:
            slope = self.slope(self.line(leaf, delta, v), leaf)
            if not slope.error <= 1e-4 * abs(slope.value):
                return None
            left, size = slope.value, abs(slope.value)
        right, other = float((back * delta).sum()), float(np.abs(back * delta).sum())
        bottom = max(size, other)
        return abs(left - right) / bottom if bottom > 0 else 0.0


@dataclass
class Trial:
    """One tensor on trial: the hand-written gradient, and what the oracles say of its entries."""

    probe: Probe
    leaf: Leaf
    place: int  # among the leaves of the pass
    hand: Array
    noise: Array  # how far a nudge of the inputs moves it
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


def lost(trial: Trial) -> str:
    """Why the complex step cannot be believed, with the calls seen to lose the imaginary part."""
    calls = ", ".join(sorted(trial.probe.seen)) or "a call that loses the imaginary part"
    return (
        f"the complex step disagrees with converged differences: forward is not analytic ({calls})"
    )


def choose_entries(trial: Trial) -> None:
    """Every entry where number and time allow; else the extreme ones and a random sample."""
    size = trial.leaf.value.size
    calls = 16 if trial.reason else 1  # evaluations an entry
    afford = int(max(24, trial.seconds / (calls * trial.probe.cost)))
    if size <= min(afford, MOST_ENTRIES):
        trial.entries = np.arange(size)
        return
    order = np.argsort(np.abs(trial.hand.ravel()))
    few = trial.probe.rng.choice(size, min(size, 16), replace=False)
    trial.entries = np.unique(np.concatenate([few, order[-4:], order[:4]]))


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


def tolerances(trial: Trial) -> tuple[Array, Array]:
    """How far hand and oracle may be apart, entry by entry: surely, and if rounding explains it."""
    wide = trial.eps > EPS64
    size = np.maximum(np.abs(trial.g), np.abs(trial.true))
    strict = tol("entry32" if wide else "entry") * trial.eps * size
    finite = np.abs(trial.true[np.isfinite(trial.true)]).max(initial=0)
    biggest = max(float(np.abs(trial.hand).max(initial=0)), float(finite))
    measured = (trial.doubt > 0) | bool(trial.reason)
    strict = strict + np.where(measured, trial.doubt + trial.difference_tolerance * biggest, 0.0)
    noise = trial.noise.ravel()[trial.entries]
    typical = float(np.median(trial.noise)) if trial.noise.size else 0.0
    lenient = strict + tol("noise") * np.maximum(noise, typical) + trial.floor
    return strict, lenient + (16 * trial.eps * np.abs(trial.hand).max(initial=0) if wide else 0.0)
