"""Derivatives by differences along a line, with their own error; and bisection, from a wrong sum to
the wrong entry."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from minivae.types import EPS64, Array

RATIO = 4.0  # from one step of the differences to the next


class Slope(NamedTuple):
    """A derivative along a line, its own error, the one-sided slopes, and whether these differ."""

    value: float = np.nan
    error: float = np.inf
    left: float = np.nan
    right: float = np.nan
    kink: bool = False


def between(value: Any, a: Any, b: Any, margin: Any) -> Any:
    """Whether values lie between two others, or within the margin of them; never a NaN."""
    return (np.minimum(a, b) - margin <= value) & (value <= np.maximum(a, b) + margin)


class Moving(Protocol):
    """What differences are taken of: its point `base`, whose outputs are y0 (n,), of precision
    y_eps; other points, moved t times `deltas` (by place in base) away; and the outputs there."""

    base: list[Any]
    y0: Array
    y_eps: float

    def moved(self, deltas: dict[int, Array], t: float = 1.0) -> list[Any]:
        """The point t deltas away."""

    def output(self, values: list[Any]) -> Array:
        """The outputs there, (n,)."""


class Line:
    """phi(t) = sum dy * (y(x + t delta) - y(x)), and the rounding noise seen in it so far."""

    def __init__(self, job: Moving, deltas: dict[int, Array], dy: Array, rounding: Array) -> None:
        self.job, self.deltas, self.dy = job, deltas, dy
        self.rounding = np.abs(dy) * rounding
        self.noise = 0.0

    def __call__(self, t: float) -> float:
        y, values = np.full(1, np.nan), self.job.moved(self.deltas, t)
        if all(np.array_equal(values[place], self.job.base[place]) for place in self.deltas):
            return np.nan  # too small a step to move anything
        with contextlib.suppress(Exception):  # outside the domain of the code under test
            y = self.job.output(values)
        if y.shape != self.dy.shape or not np.isfinite(y).all():
            return np.nan
        difference = y.real - self.job.y0
        moved = difference != 0
        # An output that did not move may have moved by less than it can show.
        unseen = 4 * float(self.rounding[~moved].max(initial=0))
        self.noise = max(self.noise, float(self.rounding[moved].sum()) + unseen)
        return float(self.dy @ difference)

    def sides(self, h: float) -> Array:
        """The slopes of the secants over a step h, to the left and to the right."""
        up, down = self(h), self(-h)
        return np.array([-down / h, up / h])

    def may_hide(self, slope: float, natural: float) -> bool:
        """Whether this slope may hold nearer than differences reach: it shows at steps just clear
        of the noise, or would make outputs as noisy as they are, beyond rounding (chaos)."""
        self(1e-9)
        offs = []
        for clear in (1e6, 1e4, 1e2):
            t = clear * self.noise / abs(slope) if slope else 0.0
            offs.append(abs(self.sides(t).mean() / slope - 1) if t > 0 else np.nan)
        lost = offs[0] / 4 < offs[1] <= 0.15  # the same at every step: a part is missing, not steep
        if offs[0] <= 1e-3 or offs[1] <= 1e-3 or (offs[2] <= 0.08 and not lost):
            return True
        plain = self.job.y_eps * float(np.abs(self.dy * self.job.y0).sum())
        chaotic = 1e3 * plain < self.noise <= 1e3 * EPS64 * abs(slope * natural)
        return bool(chaotic)


def difference(line: Line, start: float, rungs: int, grain: float) -> Slope:
    """phi'(0) from steps start, start/4, …; `grain` is the rounding of t itself.

    Central differences D(h) are extrapolated (16 D(h) - D(4h)) / 15. The error estimate adds how
    much that moves from rung to rung, the rounding noise / h, and what a kink would leave: how far
    the two one-sided slopes, (4 S(h) - S(4h)) / 3, are apart.
    """
    best = sides = Slope()
    far, fourth_far = line.sides(start), np.nan
    for k in range(1, rungs):
        h = start / RATIO**k
        near = line.sides(h)
        central, central_far = near.mean(), far.mean()
        fourth, (left, right) = (16 * central - central_far) / 15, (RATIO * near - far) / 3
        corner, round_off = abs(right - left), (line.noise + abs(central) * grain) / h
        drift = abs(fourth - (central_far if np.isnan(fourth_far) else fourth_far))
        error = drift + corner + round_off
        one_sided = abs(left - near[0]) + abs(right - near[1]) + round_off
        if error < best.error:
            best = Slope(fourth, error)
        if one_sided < sides.error:
            sides = Slope(fourth, one_sided, left, right, corner > 4 * one_sided)
        if round_off > 4 * max(best.error, sides.error, 1e-300):
            break
        far, fourth_far = near, fourth
    return best._replace(left=sides.left, right=sides.right, kink=sides.kink)


def taylor_rate(line: Line, slope: float, eps: float, start: float = 0.25) -> float | None:
    """The rate at which |phi(t) - t slope| falls with t: 2 for a right slope, inf where phi is
    linear nearby, None where no window of six halvings is clear of rounding and straight."""
    steps = start / 2.0 ** np.arange(24)
    rest = np.abs([line(t) - t * slope for t in steps])
    noise = line.noise + eps * np.abs(steps * slope)
    if (rest <= 64 * noise)[len(steps) // 2 :].all():
        return math.inf
    rates = -np.diff(np.where(rest > 100 * noise, np.log2(rest), np.nan))
    windows = np.lib.stride_tricks.sliding_window_view(rates, 6)
    spread = np.nan_to_num(np.ptp(windows, axis=1), nan=np.inf)
    best = int(spread.argmin())
    return float(windows[best].mean()) if spread[best] < 0.05 else None


def bisect(gap: Callable[[Array], float], size: int) -> int:
    """The wrong one of `size` entries: halves the set, keeping the half with the larger part of
    `gap(mask)`, which adds up over entries; log2(size) + 1 calls."""
    low, high, whole = 0, size, gap(np.ones(size))
    while high - low > 1:
        middle = (low + high) // 2
        mask = np.zeros(size)
        mask[low:middle] = 1.0
        left = gap(mask)
        if abs(left) > abs(whole - left) or not np.isfinite(left):
            high, whole = middle, left
        else:
            low, whole = middle, whole - left
    return low
