"""Everything that can be asked about the derivatives of one pass at one point."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import passes
from minivae.verify.arguments import gradients
from minivae.verify.derivatives import RUNGS, Analytic, Line, Slope, complex_step, difference
from minivae.verify.passes import EPS64, CannotRun, Clock, Leaf, Pass, one_line

BRANCH = 1e-5  # real and complex runs of one branch differ by rounding, other branches by far more
# Ways to hand over complex inputs: as arrays that stay analytic, and every tensor or only one.
MODES = ((True, False), (True, True), (False, False), (False, True))


class Probe:
    """Everything that can be asked about the derivatives of one pass at one point and upstream."""

    def __init__(self, job: Pass, dy: Array, rng: np.random.Generator, clock: Clock) -> None:
        self.job, self.dy, self.rng, self.clock = job, dy, rng, clock
        self.rounding = job.output_noise(rng)
        start = time.perf_counter()
        job.output(job.base)
        self.cost = max(time.perf_counter() - start, 1e-6)
        self.modes: dict[int, int] = {}  # by place: how this tensor takes complex numbers
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
        for self.modes[leaf.place] in range(len(MODES)):
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
        analytic, every = MODES[max(self.modes.get(place, 0) for place in deltas)]
        if every:
            places = {leaf.place for leaf in self.job.leaves}
            base = [v.astype(complex) if i in places else v for i, v in enumerate(base)]
        real: list[Array] = []

        def run(*flat: Any) -> Array:
            complexes = [analytic and np.iscomplexobj(v) for v in flat]
            copies = [self._wrapped(v) if c else passes.copy_leaf(v)
                      for v, c in zip(flat, complexes, strict=True)]  # fmt: skip
            y = passes.vector(self.job.forward(*passes.replace(self.job.args, copies))[0])
            real.append(y.real)
            return y

        with warnings.catch_warnings():  # a silently discarded imaginary part becomes an error
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            out = complex_step(run, base, deltas)
        if out.shape != self.job.y0.shape:
            raise CannotRun("the output changes its shape on complex input")
        gap = np.abs(real[0] - self.job.y0).max(initial=0)
        near = gap <= BRANCH * np.abs(self.job.y0).max(initial=0)
        if values is None and not near and np.isfinite(out).all():
            raise CannotRun("complex input takes another branch than real input")
        return np.asarray(out)

    def _wrapped(self, value: Array) -> Array:
        wrapped = np.array(value).view(Analytic)
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
