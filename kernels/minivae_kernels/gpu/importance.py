"""The importance-weighted objective's update: every draw counts by its share of the weights.

The shares are known only when all outputs have been scored. So the likelihood's kernel passes over
the outputs twice: for the losses of the rows, and, each row priced by its share, for the gradients.
"""

from __future__ import annotations

from typing import Any

from minivae_kernels.gpu.descent import OPTIMISERS
from minivae_kernels.gpu.launcher import THREADS, WARPS, Array, ceil_div
from minivae_kernels.gpu.ops_activation import ACTIVATION_CODES
from minivae_kernels.gpu.ops_likelihood import CLOSED, LIKELIHOODS
from minivae_kernels.gpu.update import Update
from minivae_kernels.support import kernel_of, require_alike


class WeightedUpdate(Update):
    """The launches of one update on the bound of all draws (E61, E62)."""

    head_backward = "weighted_head_backward"

    def _judge(self, out: Array, x: Array) -> None:
        b = self.b
        self._pass(out, x, None, None, b.row_part, None)
        self._weigh()
        self._pass(out, x, b.weight, out, None, None)

    def _weigh(self) -> None:
        b, plan, of, (B, R, *_) = self.b, self.plan, self.judge, self.sizes
        J = plan.latent_dim
        latent = b.matrix("logvar", B, J), b.matrix("eps", R, J), b.matrix("z", R, J)
        read = (b.row_part, *latent, b.log_scale, b.beta, b.counters)
        made = (b.kept, b.weight, b.datum)
        form = (of.scale == CLOSED, of.weight, of.constant, self.tiles_of_a_row)
        args = (*read, *made, *form, B, plan.data_dim, J, plan.draws)
        self.device.launch("iwae_weigh", (ceil_div(B, WARPS), 1), THREADS, args)


OBJECTIVES = {"elbo": Update, "iwae": WeightedUpdate}


def require_kernels(plan: Any) -> None:
    """Raise minivae_kernels.Unsupported where the plan names a part that has no kernel here."""
    require_alike(plan)
    kernel_of(plan, "activation", ACTIVATION_CODES)
    kernel_of(plan, "likelihood", LIKELIHOODS)
    kernel_of(plan, "optimiser", OPTIMISERS)
    kernel_of(plan, "objective", OBJECTIVES)
