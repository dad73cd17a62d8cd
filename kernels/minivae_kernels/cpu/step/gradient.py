"""The fused step in two halves, for batches cut into shards: a gradient, then the optimiser.

The compiled code is the step's own. Its last phase hands every block of the gradient, while that is
in the cache, to a function by address. Here that is no optimiser but one that keeps the gradient,
or adds it to what is kept; the optimiser runs once, on the sum over all shards.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import ARRAY
from minivae_kernels.cpu.gemm.layout import aligned
from minivae_kernels.cpu.ops.loops import Loop
from minivae_kernels.cpu.ops.optimisers import CONSTANTS, update_kernel
from minivae_kernels.cpu.step import rounded, tables
from minivae_kernels.cpu.step.fused_step import Step
from minivae_kernels.cpu.threads.count import crew_for


def _keep(theta, grad, kept, _, k):  # type: ignore[no-untyped-def]
    for i in range(len(kept)):
        kept[i] = grad[i] * k[0]


def _add(theta, grad, kept, _, k):  # type: ignore[no-untyped-def]
    for i in range(len(kept)):
        kept[i] = kept[i] + np.float32(grad[i] * k[0])


KEEP, ADD = (
    Loop(name, loop, ARRAY, ARRAY, ARRAY, ARRAY, ARRAY)
    for name, loop in (("keep_gradient", _keep), ("add_gradient", _add))
)


class GradientStep(Step):
    """One model's gradients of parts of a batch, and the optimiser's updates with their sum.

    The arguments are those of `Step`. theta, gradients and moments lie in the step's own order,
    padded (tables.py): vectors of `size` numbers, which are only added and updated as they lie.
    """

    by_slices = True  # the optimiser takes any stretch of the parameters by itself

    def __init__(
        self, plan: Any, theta: Any, moments: Any, data: Any, *, bf16: bool = False
    ) -> None:
        super().__init__(plan, theta, moments, data, bf16=bf16)
        self.bf16, self.theta = bf16, self.shared.theta
        self.rows_of_moments = [self.shared.m, self.shared.v][: self.moments]
        self.size, self.weight = len(self.theta), 1.0

    def zeros(self) -> np.ndarray:
        """Room for a gradient."""
        return aligned(self.size)

    def gradient(
        self, rows: Any, t: int, beta: float, weight: float, out: np.ndarray, *, add: bool,
        places: Any = None,
    ) -> np.ndarray:  # fmt: skip
        """out = weight · the gradient of the mean loss of rows (B,), or out += it.

        places (B,): where they lie, as for the step itself. Returns float64 sums over the rows:
        loss, nll, and the KL of each latent dimension; the first is NaN where the loss is not
        finite, and out then means nothing.
        """
        self.plan.config[tables.DESCEND] = (ADD if add else KEEP).address
        if self.bf16:  # the weights were changed from outside, and their shadows were not
            rounded.round_all_weights(self.shared, self.owns[0].scratch)
        self.weight, before = weight, self.shared
        self.shared = before._replace(m=out, v=out)
        try:
            self(rows[None], t, [0.0], [beta], None if places is None else places[None])
        finally:
            self.shared = before
        sums = self.sums[[tables.LOSS, tables.NLL, *range(tables.KL_J, len(self.sums))]]
        self.sums[:] = 0
        if self.bad[0] >= 0:
            sums[0], self.bad[0] = np.nan, -1
        return sums

    def _constants(self, lr: Any, t: int) -> np.ndarray:
        """What `_keep` and `_add` take in place of an optimiser's constants."""
        out = np.zeros((len(lr), CONSTANTS), dtype=np.float32)
        out[:, 0] = self.weight
        return out

    def descend(self, grad: np.ndarray, lr: float, t: int, part: slice) -> None:
        """The optimiser's update number t (from 0) of a stretch of the parameters."""
        k = np.zeros(CONSTANTS, dtype=np.float32)
        constants = self.optimiser.constants(lr, *self.settings, t + 1)
        k[: len(constants)] = constants
        m, v = self.rows_of_moments[0], self.rows_of_moments[-1]
        given = self.theta[part], grad[part], m[part], v[part]
        update_kernel(crew_for(len(given[0])), self.optimiser.loop.address, *given, k)
