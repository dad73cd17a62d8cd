"""The two curves of the lesson: error against step size, and the Taylor remainder, on the
VAE's own loss."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minivae import ops
from minivae.proof.case import Case
from minivae.proof.cases import find
from minivae.proof.exact_gradients import ExactGradients
from minivae.types import Array
from minivae.types.analytic import complex_step
from minivae.types.foreign import quiet

Points = list[tuple[float, float]]


class Curves(NamedTuple):
    """name -> points (step, relative error) and (t, remainder)."""

    steps: dict[str, Points]
    taylor: dict[str, Points]
    row: str
    tensor: str


def slope_setting(case: Case, tensor: str) -> tuple[ExactGradients, int, Array, float]:
    """The row's exact gradients, the tensor's place, random signs u, and the true slope along u."""
    exact = ExactGradients(case, ops)
    place = next(i for i, leaf in enumerate(exact.job.leaves) if leaf.name == tensor)
    u = np.random.default_rng(3).choice([-1.0, 1.0], exact.true[tensor].shape)
    return exact, place, u, float((exact.true[tensor] * u).sum())


def curves(row: str = "vae bernoulli tanh", tensor: str = "p.encoder.mu.W") -> Curves:
    """Both curves for one tensor of one row of the table."""
    exact, place, u, slope = slope_setting(find([row])[0], tensor)
    job, leaf, dy = exact.job, exact.job.leaves[place], exact.dy

    def phi(t: float) -> float:
        return float(dy @ (job.output(job.moved({leaf.place: u}, t)) - job.y0))

    steps: dict[str, Points] = {"forward": [], "central": [], "4th order": [], "complex step": []}
    with quiet():
        for k in np.arange(-1.0, -16.01, -0.5):
            h = 10.0**k
            values = {
                "forward": phi(h) / h,
                "central": (phi(h) - phi(-h)) / (2 * h),
                "4th order": (8 * (phi(h) - phi(-h)) - phi(2 * h) + phi(-2 * h)) / (12 * h),
                "complex step": complex_slope(exact, place, u, h),
            }
            for name, value in values.items():
                steps[name].append((h, max(abs(value - slope) / abs(slope), 1e-17)))
        taylor: dict[str, Points] = {"right gradient": [], "gradient off by 1 %": []}
        for k in range(2, 24):
            t = 2.0**-k
            value = phi(t)
            taylor["right gradient"].append((t, abs(value - t * slope)))
            taylor["gradient off by 1 %"].append((t, abs(value - 1.01 * t * slope)))
    return Curves(steps, taylor, row, tensor)


def complex_slope(exact: ExactGradients, place: int, u: Array, h: float) -> float:
    """The complex step with a step of one's own choice."""
    job = exact.job
    given = {job.leaves[place].place: u}
    return float(exact.dy @ complex_step(lambda *v: job.output(v), job.base, given, h))
