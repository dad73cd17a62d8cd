"""True derivatives along a line: by one complex step where forward takes complex numbers, by
fourth-order differences elsewhere; and bisection, from a wrong sum to the wrong entry."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minivae.types import Array, Shape, copy_leaf, replace, vector
from minivae.types.analytic import STEP, Analytic, complex_step, fine_step
from minivae.types.differences import Line, Slope, difference
from minivae.types.foreign import CannotRun, one_line
from minivae.verify.passes import Deltas, Leaf, Pass, Rng
from minivae.verify.strategies import Hands, gradients

RUNGS = 27  # 4**27 = 2e16: from a quarter of the input's scale down to its last bit
BRANCH = 1e-5  # real and complex runs of one branch differ by rounding, other branches by far more
# Ways to hand over complex inputs: as arrays that stay analytic, and every tensor or only one.
MODES = ((True, False), (True, True), (False, False), (False, True))


class Tolerance(NamedTuple):
    """A number, and why it is that number."""

    value: float
    why: str


TOLERANCES = {
    "entry": Tolerance(4096.0, "eps of the entry itself: 1e-12 in float64, relative"),
    "entry32": Tolerance(64.0, "eps32 of the entry: constants rounded to float32 in one pass only"),
    "sum": Tolerance(16.0, "eps of the largest entry: an entry may be a sum that cancels"),
    "noise": Tolerance(16.0, "times the change that a 2-eps nudge makes; if rounding explains it"),
    "floor": Tolerance(32.0, "eps of the largest |dy*y|, where all inputs are moved by 1"),
    "faint": Tolerance(1024.0, "eps of all that may cancel in it; if rounding explains it"),
    "direction": Tolerance(256.0, "eps of the norm of g*u along one direction"),
    "finite_difference": Tolerance(1e-7, "of the largest entry, beside the difference's own error"),
    "finite_difference32": Tolerance(2e-3, "what differences reach in float32: 600 eps**0.8"),
    "reliable": Tolerance(1e-4, "a difference whose own error is larger gives no opinion"),
    "reliable32": Tolerance(2e-2, "the same where forward computes in float32"),
    "float32_match": Tolerance(2e-3, "float32 against the same source in float64"),
}  # fmt: skip


def tol(name: str) -> float:
    """The tolerance called `name`."""
    return TOLERANCES[name].value


class Joint(NamedTuple):
    """One difference along random signs in all tensors together, by two calls of forward: what the
    hand-written gradients say, what it is, whether these differ, and the error it would see."""

    hand: float
    true: float
    fails: bool
    visible: float  # of the largest step in any entry


@dataclass
class Probe:
    """Everything that can be asked about the derivatives of one pass at one point and upstream."""

    job: Pass
    dy: Array
    rng: Rng
    hands: Hands  # the hand-written gradients,
    eps: float  # and their precision
    rounding: Array  # to expect in each output
    modes: dict[int, int] = field(default_factory=dict)  # how a tensor takes complex numbers

    def __post_init__(self) -> None:
        self.clock = self.job.clock

    @functools.cached_property
    def noises(self) -> list[Array]:
        """How much each gradient moves when inputs and upstream are nudged; the median of three."""
        job, rng, pairs = self.job, self.rng, zip(self.job.leaves, self.hands, strict=True)
        hands = [np.zeros(leaf.value.shape) if g is None else g for leaf, g in pairs]
        if not self.clock.fits(forward=3, backward=3):  # what rounding seldom exceeds
            return [np.full(g.shape, 1e-6 * np.abs(g).max(initial=0)) for g in hands]
        changes = [np.zeros((3, *g.shape)) for g in hands]
        for k in range(3):
            dy = self.dy * (1 + 2 * self.eps * rng.uniform(-1, 1, self.dy.shape))
            with contextlib.suppress(Exception):  # a point where nothing may move: no estimate
                grads = gradients(job, dy, job.moved(job.nudge(rng, self.eps)))
                for change, g, hand in zip(changes, grads, hands, strict=True):
                    if g is not None:
                        change[k] = np.nan_to_num(np.abs(g - hand), posinf=0.0)
        return [np.median(three, axis=0) for three in changes]

    @functools.cached_property
    def joint(self) -> Joint:
        """The probe that is made however little time there is. At kinks the two sides differ, and
        so much may it be off."""
        job, coarse = self.job, self.job.coarse
        self.clock.kept = (0, 0)
        pairs = [(x, g) for x, g in zip(job.leaves, self.hands, strict=True) if g is not None]
        deltas = {x.place: self.signs(g.shape) * np.median(x.scale) for x, g in pairs}
        line, step = Line(job, deltas, self.dy, self.rounding), 1e-2 if coarse else 1e-7
        sides = line.sides(step)
        parts = np.concatenate([(g * deltas[x.place]).ravel() for x, g in pairs])
        hand, true = float(parts.sum()), float(sides.mean())
        sure = tol("finite_difference32") if coarse else 10 * tol("finite_difference")
        rough = sure * max(float(np.sqrt((parts * parts).sum())), abs(true))
        doubt = 2 * float(np.ptp(sides)) + 4 * line.noise / step + rough
        unit = min(float(np.abs(d).min(initial=np.inf)) for d in deltas.values())
        visible = 2 * doubt / unit if np.isfinite(doubt) else np.inf
        return Joint(hand, true, abs(hand - true) > doubt, visible)  # NaN says nothing

    @functools.cached_property
    def least(self) -> dict[int, float]:
        """The least modulus but 0 in each tensor."""
        sizes = {leaf.place: np.abs(leaf.value[leaf.value != 0]) for leaf in self.job.leaves}
        return {place: float(size.min(initial=np.inf)) for place, size in sizes.items()}

    def signs(self, shape: Shape) -> Array:
        """Random signs: a direction no error can hide from by summing to zero."""
        return np.asarray(self.rng.choice([-1.0, 1.0], size=shape))

    def first_push(self, leaf: Leaf, delta: Array) -> tuple[Array | None, str]:
        """(J delta, '') by a complex step, or (None, why none can be taken in this tensor)."""
        Analytic.seen, reason = set(), ""
        for mode in range(len(MODES)):
            self.modes[leaf.place] = mode
            try:
                return self.push({leaf.place: delta}), ""
            except Exception as error:
                reason = reason or (str(error) if isinstance(error, CannotRun) else one_line(error))
            if not self.clock.fits(complex=1):
                break
        return None, f"forward does not take complex numbers ({reason})"

    def push(self, deltas: Deltas, values: Sequence[Any] | None = None, y0: Any = None) -> Array:
        """J delta for all outputs, by one complex step, at the point or at other `values`, whose
        outputs are y0; CannotRun where it takes another branch than these."""
        job, y0 = self.job, self.job.y0 if y0 is None else y0
        analytic, every = MODES[max(self.modes.get(place, 0) for place in deltas)]
        places = {leaf.place for leaf in job.leaves if every}
        base = job.base if values is None else values

        def entered(value: Any) -> Any:
            value = copy_leaf(value)
            return value.view(Analytic) if analytic and np.iscomplexobj(value) else value

        def run(*flat: Any) -> Array:
            y = vector(job.forward(*replace(job.args, [entered(v) for v in flat]))[0])
            if y.shape != y0.shape:
                raise CannotRun("the output changes its shape on complex input")
            near = np.abs(y.real - y0).max(initial=0) <= BRANCH * np.abs(y0).max(initial=0)
            if not near and np.isfinite(y).all():
                raise CannotRun("complex input takes another branch than real input")
            return y

        # a silently discarded imaginary part becomes an error
        with warnings.catch_warnings(action="error", category=np.exceptions.ComplexWarning):
            flat = [v.astype(complex) if i in places else v for i, v in enumerate(base)]
            sizes = [self.least[p] / np.abs(d).max(initial=STEP) for p, d in deltas.items()]
            h = STEP if values is None and min(sizes) > 1e-20 else fine_step(base, deltas)
            return np.asarray(self.clock.timed("complex", complex_step, run, flat, deltas, h))

    def columns(self, leaf: Leaf, entries: Array) -> Array:
        """J's columns (outputs, entries), NaN where complex arithmetic breaks down."""
        out = np.empty((self.job.y0.size, len(entries)))
        for column, entry in enumerate(entries):
            out[:, column] = self.pushed(leaf, leaf.unit(entry))
        return out

    def pushed(self, leaf: Leaf, delta: Array) -> Array:
        """J delta, NaN where no complex step can be taken: another branch, say."""
        with contextlib.suppress(Exception):
            return self.push({leaf.place: delta})
        return np.full(self.job.y0.size, np.nan)

    def line(self, leaf: Leaf, delta: Array) -> Line:
        """phi along a direction."""
        return Line(self.job, {leaf.place: delta}, self.dy, self.rounding)

    def slope(self, leaf: Leaf, delta: Array, rungs: int = RUNGS, start: float = 0.25) -> Slope:
        """The derivative along a direction by differences; few steps where a forward is slow."""
        if not self.clock.fits(forward=2 * rungs + 6):
            start, rungs = min(start, 1e-2), 4
        return difference(self.line(leaf, delta), start, rungs, leaf.eps)

    def entry_slope(self, leaf: Leaf, entry: int) -> Slope:
        """One entry by differences."""
        # The step may have to be far above the entry (a 1e-8 beside a 1) or far below it.
        start = 0.25 * max(float(leaf.scale.flat[entry]), 1.0)
        return self.slope(leaf, leaf.unit(entry), RUNGS + 9, start)
