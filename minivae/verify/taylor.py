"""The Taylor vote: phi(t) - t g.u must fall like t squared, over at least six halvings."""

from __future__ import annotations

import math

import numpy as np

from minivae.verify.findiff import Line

HALVINGS = 6


def remainders(
    line: Line, slope: float, start: float = 0.25, count: int = 24
) -> list[tuple[float, float, float]]:
    """(t, |phi(t) - t slope|, the noise in it) for t = start, start/2, …"""
    points = []
    for k in range(count):
        t = start / 2**k
        value = line(t)
        noise = line.noise + line.eps * abs(t * slope)
        points.append((t, abs(value - t * slope), noise))
    return points


def rate(line: Line, slope: float, start: float = 0.25) -> float | None:
    """The remainder's slope; inf when there is none (phi is linear); None where no window is
    clean."""
    points = [p for p in remainders(line, slope, start) if np.isfinite(p[1])]
    if not points:
        return None
    if all(r <= 64 * noise for _, r, noise in points):
        return math.inf
    clean = [r > 100 * noise for _, r, noise in points]
    best: tuple[float, float] | None = None
    for first in range(len(points) - HALVINGS):
        if not all(clean[first : first + HALVINGS + 1]):
            continue
        r = np.log2([p[1] for p in points[first : first + HALVINGS + 1]])
        steps = r[:-1] - r[1:]
        spread = float(np.ptp(steps))
        if best is None or spread < best[0]:
            best = (spread, float(steps.mean()))
    if best is None or best[0] > 0.5:
        return None
    return best[1]
