"""The votes on one tensor of one pass: complex step, differences, adjoint identity, Taylor rate."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import findiff, taylor
from minivae.verify.evaluate import CannotRun, Leaf, Pass, complex_mode, one_line
from minivae.verify.findiff import Line, Slope
from minivae.verify.tolerances import EPS64

RUNGS = 27  # 4**27 = 2e16: from a quarter of the input's scale down to its last bit


def cheapest(call: Callable[[], Any]) -> float:
    """Processor seconds of one call: the least of three, so that a busy machine changes little."""
    times = []
    for _ in range(3):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
        if times[0] > 0.02:
            break
    return max(min(times), 1e-6)


class Probe:
    """Everything that can be asked about the derivatives of one pass at one point and upstream."""

    def __init__(self, job: Pass, dy: Array, rng: np.random.Generator) -> None:
        self.job, self.dy, self.rng = job, dy, rng
        self.rounding = job.output_noise(rng)
        self.cost = cheapest(lambda: job.output(job.base))

    # -- directions ----------------------------------------------------------------------------
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
    def complex_reason(self, leaf: Leaf) -> str | None:
        """Why the complex step cannot be taken in this tensor; None when it can."""
        delta = self.signs(leaf.value.shape)
        reason = ""
        for every in (False, True):
            self.job.all_complex = every
            try:
                with complex_mode():
                    cost = cheapest(lambda: self.job.imaginary(leaf, delta))
                self.cost = max(self.cost, cost)
                return None
            except CannotRun as error:
                reason = reason or str(error)
            except Exception as error:
                reason = reason or one_line(error)
        self.job.all_complex = False
        return f"forward does not take complex numbers ({reason})"

    def push(self, leaf: Leaf, delta: Array) -> Array:
        """J delta for all outputs, by one complex step."""
        with complex_mode():
            return self.job.imaginary(leaf, delta)

    def columns(self, leaf: Leaf, entries: Array) -> Array:
        """J's columns (outputs, entries), NaN where complex arithmetic breaks down."""
        out = np.full((self.job.y0.size, len(entries)), np.nan)
        delta = np.zeros(leaf.value.size)
        for place, entry in enumerate(entries):
            delta[entry] = 1.0
            with contextlib.suppress(Exception):  # another branch here: the differences decide
                out[:, place] = self.push(leaf, delta.reshape(leaf.value.shape))
            delta[entry] = 0.0
        return out

    # -- differences ------------------------------------------------------------------------------
    def line(self, leaf: Leaf, delta: Array, dy: Array | None = None) -> Line:
        """phi along a direction."""
        dy = self.dy if dy is None else dy
        return Line(
            lambda t: self.job.moved(leaf, delta, t), self.job.y0, dy, self.rounding, self.job.y_eps
        )

    def grain(self, leaf: Leaf) -> float:
        return float(np.finfo(leaf.value.dtype).eps) if leaf.value.dtype.kind == "f" else EPS64

    def slope(self, leaf: Leaf, delta: Array, start: float = 0.25, rungs: int = RUNGS) -> Slope:
        """The derivative along delta by differences."""
        return findiff.derivative(self.line(leaf, delta), start, rungs, self.grain(leaf))

    def entry_slope(self, leaf: Leaf, entry: int, near: float | None = None) -> Slope:
        """One entry by differences; `near` is a relative step known to be good nearby."""
        delta = np.zeros(leaf.value.shape)
        delta.flat[entry] = 1.0
        size = float(self.scale(leaf).flat[entry])
        if near is not None:
            found = self.slope(leaf, delta, 16 * near * size, 4)
            if found.error <= 1e-7 * abs(found.value):
                return found
        # The step may have to be far above the entry (a 1e-8 beside a 1) or far below it.
        return self.slope(leaf, delta, 0.25 * max(size, 1.0), RUNGS + 9)

    # -- adjoint and Taylor -----------------------------------------------------------------------
    def adjoint(self, leaf: Leaf, place: int, delta: Array, complex_safe: bool) -> float | None:
        """|<v, J u> - <J^T v, u>| over the larger sum of moduli, for an upstream v of its own."""
        v = self.signs(self.job.y0.shape) * self.rng.uniform(0.5, 1.5, self.job.y0.shape)
        back = self.job.gradient(v)[place]
        if back is None:
            return None
        if complex_safe:
            pushed = self.push(leaf, delta)
            left, size = float(v @ pushed), float(np.abs(v * pushed).sum())
        else:
            slope = findiff.derivative(self.line(leaf, delta, v), 0.25, RUNGS, self.grain(leaf))
            if not (slope.error <= 1e-4 * abs(slope.value)):
                return None
            left, size = slope.value, abs(slope.value)
        right, other = float((back * delta).sum()), float(np.abs(back * delta).sum())
        bottom = max(size, other)
        return abs(left - right) / bottom if bottom > 0 else 0.0

    def taylor(self, leaf: Leaf, delta: Array, slope: float) -> float | None:
        """The remainder's rate along delta for the hand-written slope."""
        return taylor.rate(self.line(leaf, delta), slope)
