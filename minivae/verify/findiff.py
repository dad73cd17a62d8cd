"""The difference vote: 4th-order central differences whose step, error and kinks are found,
not chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minivae.types import Array

RATIO = 4.0


class Slope(NamedTuple):
    """A derivative along a line: its value, how far it may be off, both one-sided slopes, the
    step."""

    value: float
    error: float
    left: float
    right: float
    kink: bool
    step: float


NOTHING = Slope(np.nan, np.inf, np.nan, np.nan, False, np.nan)


class Line:
    """phi(t) = sum dy * (y(x + t delta) - y(x)), and the rounding noise seen in it so far."""

    def __init__(
        self, moved: Callable[[float], Array], y0: Array, dy: Array, rounding: Array, eps: float
    ) -> None:
        self.moved, self.y0, self.dy, self.eps = moved, y0, dy, eps
        self.rounding = np.abs(dy) * rounding
        self.noise = 0.0
        self.values: dict[float, float] = {}

    def __call__(self, t: float) -> float:
        if t not in self.values:
            self.values[t] = self._evaluate(t)
        return self.values[t]

    def _evaluate(self, t: float) -> float:
        try:
            y = self.moved(t)
        except Exception:  # outside the domain of the code under test
            return np.nan
        if y.shape != self.y0.shape or not np.isfinite(y).all():
            return np.nan
        difference = y - self.y0
        moved = difference != 0
        # An output that did not move may have moved by less than it can show.
        unseen = 4 * float(self.rounding[~moved].max(initial=0))
        self.noise = max(self.noise, float(self.rounding[moved].sum()) + unseen)
        return float(self.dy @ difference)


def derivative(line: Line, start: float, rungs: int, grain: float) -> Slope:
    """phi'(0) from steps start, start/4, …; `grain` is the rounding of t itself.

    Central differences D(h) are extrapolated (16 D(h) - D(4h)) / 15. The error estimate adds how
    much that moves from rung to rung, the rounding noise / h, and what a kink would leave: for a
    smooth phi, S(h) = (phi(h) + phi(-h)) / h shrinks with h, at a kink it stays.
    """
    best, sides = NOTHING, NOTHING
    previous: tuple[float, float, float, float, float] | None = None
    for k in range(rungs):
        h = start / RATIO**k
        up, down = line(h), line(-h)
        if not (np.isfinite(up) and np.isfinite(down)):
            previous = None
            continue
        central, bend = (up - down) / (2 * h), (up + down) / h
        round_off = line.noise / h + abs(central) * grain / h
        if previous is not None:
            d_far, s_far, up_far, down_far, fourth_far = previous
            fourth = (16 * central - d_far) / 15
            corner = abs(RATIO * bend - s_far) / 3
            drift = abs(fourth - (d_far if np.isnan(fourth_far) else fourth_far))
            error = drift + corner + round_off
            right = (RATIO * up / h - up_far / (RATIO * h)) / 3
            left = (RATIO * down / -h - down_far / (-RATIO * h)) / 3
            one_sided = abs(right - up / h) + abs(left + down / h) + round_off
            if error < best.error:
                best = Slope(fourth, error, left, right, False, h)
            if one_sided < sides.error:
                sides = Slope(fourth, one_sided, left, right, corner > 4 * one_sided, h)
            previous = (central, bend, up, down, fourth)
        else:
            previous = (central, bend, up, down, np.nan)
        if round_off > 4 * max(best.error, 1e-300) and round_off > 4 * max(sides.error, 1e-300):
            break
    return best._replace(left=sides.left, right=sides.right, kink=sides.kink)
