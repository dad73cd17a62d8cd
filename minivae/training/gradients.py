"""A step in two halves: the gradient of part of a batch, and the optimiser's update with a sum.

A backend's kernels bring their own (`make_gradient_step`); this is the readable one, by any
backend's ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.models.vae import elbo_backward, elbo_forward
from minivae.parts import OPTIMISERS
from minivae.training.plan import StepPlan
from minivae.training.step import ReferenceStep, offered
from minivae.types import Array


def make_gradient_step(
    K: Any, plan: StepPlan, theta: Array, moments: Array, data: Array,
    say: Callable[[str], None] = lambda line: None,
) -> Any:  # fmt: skip
    """The backend's own, or the readable one where it has no kernel for a part of the plan, of
    which `say` is told in a line."""
    return offered(
        K,
        lambda: K.make_gradient_step(plan, theta, moments, data),
        lambda: ReferenceGradient(K, plan, theta, moments, data),
        say,
    )


class ReferenceGradient(ReferenceStep):
    """Gradients of parts of a batch, and the optimiser's updates, by any backend's ops.

    theta, gradients and moments are vectors of `size` numbers. An optimiser from outside may look
    at all of them at once, so they are updated whole (`by_slices`).
    """

    by_slices = False

    def __init__(self, K: Any, plan: StepPlan, theta: Array, moments: Array, data: Array) -> None:
        super().__init__(K, plan, theta, moments, K.to_device(data))
        self.size = self.theta.size
        self.rows_of_moments = list(self.moments)

    def zeros(self) -> Array:
        """Room for a gradient."""
        return np.zeros_like(self.grad)

    def gradient(
        self, rows: Array, t: int, beta: float, weight: float, out: Array, *, add: bool,
        places: Array | None = None,
    ) -> Array:  # fmt: skip
        """out = weight · the gradient of the mean loss of rows (B,), or out += it.

        places (B,): where they lie, as for the step itself. Returns float64 sums over the rows:
        loss, nll, and the KL of each latent dimension.
        """
        K, (x, eps) = self.K, self.batch(rows, t, places)
        p = self.layout.views(K.to_device(self.theta))
        loss, cache = elbo_forward(K, p, x, eps, beta, self.config)
        g = elbo_backward(K, np.full_like(loss, weight), cache, p, self.config)
        flat = self.layout.flatten({name: K.to_host(a) for name, a in g.items()}, self.grad)
        if add:
            out += flat
        else:
            out[...] = flat
        nll, kl = K.to_host(cache.nll), K.to_host(cache.kl)
        sums = np.empty(2 + self.plan.latent_dim)
        sums[0] = float(loss) * len(rows)
        sums[1] = float(nll.sum(dtype=np.float64)) / self.plan.draws
        sums[2:] = kl.sum(axis=0, dtype=np.float64)
        return sums

    def descend(self, grad: Array, lr: float, t: int, part: slice) -> None:
        """The optimiser's update number t (from 0) of a stretch of the parameters."""
        rule, K = OPTIMISERS[self.plan.optimiser], self.K
        theta, gradient, moments = (
            K.to_device(a) for a in (self.theta[part], grad[part], self.moments[:, part])
        )
        rule.descend(K, theta, gradient, moments, lr, self.plan.settings, t + 1)
        self.theta[part], self.moments[:, part] = K.to_host(theta), K.to_host(moments)
