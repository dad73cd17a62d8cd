"""From 'this tensor is wrong somewhere' to the entry: random-sign probes and bisection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minivae.types import Array
from minivae.verify import findiff
from minivae.verify.evaluate import Leaf
from minivae.verify.tolerances import EPS64, tol

if TYPE_CHECKING:
    from minivae.verify.votes import Probe


def gap(probe: Probe, leaf: Leaf, hand: Array, delta: Array, safe: bool) -> tuple[float, float]:
    """(|hand.u - true.u|, its own uncertainty) along one direction."""
    inner = float((hand * delta).sum())
    size = float(np.abs(hand * delta).sum())
    if safe:
        pushed = probe.push(leaf, delta)
        true = float(probe.dy @ pushed)
        doubt = (
            tol("direction")
            * EPS64
            * max(
                float(np.sqrt((hand * delta).ravel() @ (hand * delta).ravel())),
                abs(true) * 1e-2,
                float(np.abs(probe.dy * pushed).sum()) * 1e-3,
            )
        )
        return abs(inner - true), doubt
    slope = findiff.derivative(probe.line(leaf, delta), 0.25, 18, probe.grain(leaf))
    return abs(inner - slope.value), 8 * slope.error + 1e-7 * size


def bisect(
    probe: Probe, leaf: Leaf, hand: Array, safe: bool, difference_tolerance: float, eps: float
) -> int | None:
    """The flat index of a wrong entry, or None when three random-sign probes find nothing."""
    shape, size = leaf.value.shape, leaf.value.size
    slack = 1.0 if eps == EPS64 and safe else 1e9 * EPS64
    for scaled in (False, True, False):
        delta = probe.signs(shape) * (probe.scale(leaf) if scaled else 1.0)
        found, doubt = gap(probe, leaf, hand, delta, safe)
        rough = (eps if eps > EPS64 else 0.0) * 4 * float(np.abs(hand * delta).sum())
        rough += 0.0 if safe else difference_tolerance * float(np.abs(hand * delta).sum())
        if not (found <= doubt * max(1.0, slack) + rough):
            return descend(probe, leaf, hand, delta, size, safe)
    return None


def descend(probe: Probe, leaf: Leaf, hand: Array, delta: Array, size: int, safe: bool) -> int:
    """Halve the set of suspects, keeping the half with the larger gap: log2(size) probes."""
    low, high = 0, size
    flat = delta.ravel()
    while high - low > 1:
        middle = (low + high) // 2
        half = np.zeros(size)
        half[low:middle] = flat[low:middle]
        rest = np.zeros(size)
        rest[middle:high] = flat[middle:high]
        first, _ = gap(probe, leaf, hand, half.reshape(leaf.value.shape), safe)
        whole, _ = gap(probe, leaf, hand, rest.reshape(leaf.value.shape), safe)
        low, high = (low, middle) if not first <= whole else (middle, high)
    return low
