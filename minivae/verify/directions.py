"""Tensors too large to visit: probes along random directions, and bisection from one that fails."""

from __future__ import annotations

import numpy as np

from minivae.types import Array
from minivae.verify.derivatives import bisect
from minivae.verify.oracles import Trial, tol
from minivae.verify.passes import EPS64
from minivae.verify.probe import Probe

Point = tuple[Probe, Array]  # a point, and the hand-written gradient there


def failing_direction(trial: Trial, point: Point, probes: int = 3) -> Array | None:
    """The first of some random-sign probes along which the gradient at a point is wrong."""
    probe, hand = point
    biggest = float(np.abs(hand).max(initial=0)) or 1.0
    for k in range(probes if probe.clock.left() > 20 * probe.cost else 1):
        delta = probe.signs(hand.shape) * (probe.scale(trial.leaf) if k == 1 else 1.0)
        gap, doubt = gap_along(trial, point, delta)
        trial.seen = max(trial.seen, 2 * doubt / float(np.abs(delta).max()) / biggest)
        if not abs(gap) <= doubt:
            return delta
    return None


def locate(trial: Trial, point: Point, delta: Array) -> int:
    """The wrong entry behind a probe that failed."""
    shape = delta.shape
    return bisect(lambda mask: gap_along(trial, point, mask.reshape(shape) * delta)[0], delta.size)


def gap_along(trial: Trial, point: Point, delta: Array) -> tuple[float, float]:
    """(hand.u - true.u, how large rounding and the oracle's own error may make it)."""
    probe, hand = point
    leaf, parts = trial.leaf, hand * delta
    norm = float(np.sqrt((parts * parts).sum()))
    coarse = tol("entry32") * trial.eps * norm if trial.eps > EPS64 else 0.0
    if not trial.reason:
        pushed = probe.push({leaf.place: delta})
        true = float(probe.dy @ pushed)
        total = float(np.abs(probe.dy * pushed).sum())
        doubt = tol("direction") * EPS64 * max(norm, abs(true) * 1e-2, total * 1e-3)
        gap = float(parts.sum()) - true
        if abs(gap) <= doubt + coarse or probe is not trial.probe:
            return gap, doubt + coarse  # elsewhere, what fails is looked at entry by entry
        moved = float(np.sqrt(((trial.noise() * delta) ** 2).sum()))
        return gap, doubt + coarse + tol("noise") * moved
    slope = probe.slope(probe.line(leaf, delta), leaf, rungs=18)
    if not np.isfinite(slope.value):
        return 0.0, np.inf
    rough = trial.difference_tolerance * max(norm, abs(slope.value))
    return float(parts.sum()) - slope.value, 8 * slope.error + rough + coarse
