"""What the true gradient of one tensor is, by the best oracle there is, and how far a right one may
be from it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minivae.types import Array, copy_leaf, replace, vector
from minivae.verify import derivatives
from minivae.verify.derivatives import RUNGS, Joint, Line, Slope, complex_step, tol
from minivae.verify.passes import EPS64, CannotRun, Leaf, Pass, eps_of, one_line
from minivae.verify.report import Row
from minivae.verify.strategies import gradients

NO_SLOPE = Slope(np.nan, np.inf, np.nan, np.nan, False, np.nan)
MOST_ENTRIES = 20_000  # visited one by one; larger tensors are probed along random directions
BRANCH = 1e-5  # real and complex runs of one branch differ by rounding, other branches by far more
# Ways to hand over complex inputs: as arrays that stay analytic, and every tensor or only one.
MODES = ((True, False), (True, True), (False, False), (False, True))


class Probe:
    """Everything that can be asked about the derivatives of one pass at one point and upstream."""

    def __init__(self, job: Pass, dy: Array, rng: np.random.Generator) -> None:
        self.job, self.dy, self.rng, self.clock = job, dy, rng, job.clock
        self.rounding = job.output_noise(rng)
        self.modes: dict[int, int] = {}  # by place: how this tensor takes complex numbers
        self.seen: set[str] = set()
        self.joint: Callable[[], Joint] | None = None  # made when first asked for

    def signs(self, shape: tuple[int, ...]) -> Array:
        """Random signs: a direction no error can hide from by summing to zero."""
        return np.asarray(self.rng.choice([-1.0, 1.0], size=shape))

    def first_push(self, leaf: Leaf, delta: Array) -> tuple[Array | None, str]:
        """(J delta, '') by a complex step, or (None, why none can be taken in this tensor)."""
        self.seen, reason = set(), ""
        for self.modes[leaf.place] in range(len(MODES)):
            try:
                return self.push({leaf.place: delta}), ""
            except Exception as error:
                reason = reason or (str(error) if isinstance(error, CannotRun) else one_line(error))
            if not self.clock.fits(complex=1):
                break
        return None, f"forward does not take complex numbers ({reason})"

    def push(self, deltas: dict[int, Array], values: Sequence[Any] | None = None) -> Array:
        """J delta for all outputs, by one complex step; CannotRun where it takes another branch."""
        base = list(self.job.base if values is None else values)
        analytic, every = MODES[max(self.modes.get(place, 0) for place in deltas)]
        if every:
            places = {leaf.place for leaf in self.job.leaves}
            base = [v.astype(complex) if i in places else v for i, v in enumerate(base)]
        real: list[Array] = []

        def run(*flat: Any) -> Array:
            copies = [self._analytic(v) if analytic and np.iscomplexobj(v) else copy_leaf(v)
                      for v in flat]  # fmt: skip
            y = vector(self.job.forward(*replace(self.job.args, copies))[0])
            real.append(y.real)
            return y

        with warnings.catch_warnings(), self.clock.measured("complex"):
            # a silently discarded imaginary part becomes an error
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            out = complex_step(run, base, deltas)
        if out.shape != self.job.y0.shape:
            raise CannotRun("the output changes its shape on complex input")
        gap = np.abs(real[0] - self.job.y0).max(initial=0)
        near = gap <= BRANCH * np.abs(self.job.y0).max(initial=0)
        if values is None and not near and np.isfinite(out).all():
            raise CannotRun("complex input takes another branch than real input")
        return np.asarray(out)

    def _analytic(self, value: Array) -> Array:
        wrapped = np.array(value).view(derivatives.Analytic)
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

    def line(self, leaf: Leaf, delta: Array, dy: Array | None = None) -> Line:
        """phi along a direction."""
        return Line(self.job, {leaf.place: delta}, self.dy if dy is None else dy, self.rounding)

    def slope(self, line: Line, leaf: Leaf, start: float = 0.25, rungs: int = RUNGS) -> Slope:
        """The derivative along a line by differences; few steps where a forward is slow."""
        if not self.clock.fits(forward=2 * rungs + 6):
            start, rungs = min(start, 1e-2), 4
        return derivatives.difference(line, start, rungs, eps_of(leaf.value))

    def entry_slope(self, leaf: Leaf, entry: int, near: float | None = None) -> Slope:
        """One entry by differences; `near` is a relative step known to be good nearby."""
        delta = np.zeros(leaf.value.shape)
        delta.flat[entry] = 1.0
        size, line = float(leaf.scale.flat[entry]), self.line(leaf, delta)
        if near is not None:
            found = self.slope(line, leaf, 16 * near * size, 4)
            if found.error <= 1e-7 * abs(found.value):
                return found
        # The step may have to be far above the entry (a 1e-8 beside a 1) or far below it.
        return self.slope(line, leaf, 0.25 * max(size, 1.0), RUNGS + 9)


@dataclass
class Trial:
    """One tensor on trial: the hand-written gradient, and what the oracles say of its entries."""

    probe: Probe
    leaf: Leaf
    place: int  # among the leaves of the pass
    hand: Array
    row: Row
    noise: Callable[[], Array]  # how far a nudge of the inputs moves it
    eps: float
    seconds: float = 0.0
    entries: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    true: Array = field(default_factory=lambda: np.zeros(0))
    floor: Array = field(default_factory=lambda: np.zeros(0))
    doubt: Array = field(default_factory=lambda: np.zeros(0))  # the oracle's own error
    columns: Array | None = None
    wrong: Array = field(default_factory=lambda: np.zeros(0, dtype=bool))  # of the visited
    delta: Array = field(default_factory=lambda: np.zeros(()))  # a direction, and along it:
    slope: Slope = NO_SLOPE
    pushed: tuple[Array, Array] | None = None  # a direction, and J of it by a complex step
    failed: bool = False  # whether the gradient fails along that one
    unplaced: bool = False  # whether it surely does, and time did not allow to see where
    calls: set[str] = field(default_factory=set)  # seen in forward, and perhaps not analytic
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
        """Whether every entry is visited."""
        return len(self.entries) == self.leaf.value.size

    @property
    def coarse(self) -> bool:
        """Whether forward computes in less than float64."""
        return self.probe.job.y_eps > EPS64

    @property
    def biggest(self) -> float:
        """The largest modulus in the hand-written gradient."""
        return float(np.abs(self.hand).max(initial=0))

    @property
    def difference_tolerance(self) -> float:
        """What differences reach, of the largest entry."""
        return tol("finite_difference32" if self.coarse else "finite_difference")

    def reliable(self, slope: Slope, scale: float) -> bool:
        """Whether a difference is sure enough of itself to be heard."""
        limit = tol("reliable32" if self.coarse else "reliable")
        return bool(slope.error <= limit * max(scale, abs(slope.value)))

    def back(self, dy: Array) -> Array | None:
        """The hand-written gradient of this tensor for another upstream."""
        return gradients(self.probe.job, dy)[self.place]

    def along_signs(self) -> tuple[float, float]:
        """(hand.u, true.u) of the direction of the first probe."""
        signs, pushed = self.pushed or (np.zeros(()), np.zeros(()))
        return float((self.hand * signs).sum()), float(self.probe.dy @ pushed)

    def index(self, i: int) -> tuple[int, ...]:
        """The index in the tensor of the i-th visited entry."""
        return tuple(int(n) for n in np.unravel_index(int(self.entries[i]), self.leaf.value.shape))


# -- the truth, entry by entry ---------------------------------------------------------------------
def choose_entries(trial: Trial) -> None:
    """Every entry where number and time allow; else the extreme ones and a random sample."""
    size, clock = trial.leaf.value.size, trial.probe.clock
    each = clock.price(forward=16) if trial.reason else clock.price(complex=1)
    left = clock.left() - 4 * each  # a few probes come before the entries
    afford = max(0, int(min(trial.seconds, left) / max(each, 1e-7)))
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
    trial.columns = np.concatenate(kept, axis=1) if 0 < count <= chunk else None
    trial.true, trial.doubt = true, np.zeros(count)
    trial.floor = tol("floor") * trial.eps * floor


def by_differences(trial: Trial, which: Array) -> None:
    """Differences in place of the complex step for the entries marked in `which`; those that time
    does not allow are no longer among the visited."""
    for i in np.flatnonzero(which):
        if not trial.probe.clock.fits(forward=16):
            trial.doubt[i] = -1.0
            continue
        slope = trial.probe.entry_slope(trial.leaf, int(trial.entries[i]), trial.near)
        margin = 1e-5 * max(trial.biggest, abs(trial.g[i]))
        if slope.kink and derivatives.between(trial.g[i], slope.left, slope.right, margin):
            trial.true[i], trial.doubt[i] = trial.g[i], margin  # any value between is right
            trial.kinks.append(int(trial.entries[i]))
            continue
        trial.true[i] = slope.value
        trial.doubt[i] = 4 * slope.error if np.isfinite(slope.error) else np.inf
    keep = trial.doubt >= 0
    if not keep.all():
        trial.entries, trial.true, trial.columns = trial.entries[keep], trial.true[keep], None
        trial.floor, trial.doubt = trial.floor[keep], trial.doubt[keep]


# -- tensors too large to visit: probes along random directions, bisection from one that fails -----
Point = tuple[Probe, Array]  # a point, and the hand-written gradient there


def failing_direction(trial: Trial, point: Point, probes: int = 3) -> Array | None:
    """The first of some random-sign probes along which the gradient at a point is wrong."""
    probe, hand = point
    biggest = float(np.abs(hand).max(initial=0)) or 1.0
    for k in range(probes):
        known = trial.pushed if k == 0 and probe is trial.probe else None
        need = {"forward": 10} if trial.reason else {"complex": 1}
        if known is None and not probe.clock.fits(**need):
            break
        delta = probe.signs(hand.shape) * (trial.leaf.scale if k == 1 else 1.0)
        delta, pushed = known or (delta, None)
        gap, doubt = gap_along(trial, point, delta, pushed)
        trial.seen = max(trial.seen, 2 * doubt / float(np.abs(delta).max()) / biggest)
        if not abs(gap) <= doubt:
            return delta
    return None


def locate(trial: Trial, point: Point, delta: Array) -> int:
    """The wrong entry behind a probe that failed; any one, if time runs out on the way."""

    def gap(mask: Array) -> float:
        roomy = trial.probe.clock.fits(forward=8 * bool(trial.reason), complex=not trial.reason)
        return gap_along(trial, point, mask.reshape(delta.shape) * delta)[0] if roomy else np.nan

    return derivatives.bisect(gap, delta.size)


def gap_along(
    trial: Trial, point: Point, delta: Array, pushed: Array | None = None
) -> tuple[float, float]:
    """(hand.u - true.u, how large rounding and the oracle's own error may make it); `pushed`: J u
    where it is known."""
    probe, hand = point
    leaf, parts = trial.leaf, hand * delta
    norm = float(np.sqrt((parts * parts).sum()))
    coarse = tol("entry32") * trial.eps * norm if trial.eps > EPS64 else 0.0
    if not trial.reason:
        pushed = probe.push({leaf.place: delta}) if pushed is None else pushed
        true = float(probe.dy @ pushed)
        total = float(np.abs(probe.dy * pushed).sum())
        doubt = coarse + tol("direction") * EPS64 * max(norm, abs(true) * 1e-2, total * 1e-3)
        gap = float(parts.sum()) - true
        if abs(gap) <= doubt or probe is not trial.probe:
            return gap, doubt  # elsewhere, what fails is looked at entry by entry
        moved = float(np.sqrt(((trial.noise() * delta) ** 2).sum()))
        return gap, doubt + tol("noise") * moved
    slope = probe.slope(probe.line(leaf, delta), leaf, rungs=18)
    if not np.isfinite(slope.value):
        return 0.0, np.inf
    rough = trial.difference_tolerance * max(norm, abs(slope.value))
    return float(parts.sum()) - slope.value, 8 * slope.error + rough + coarse
