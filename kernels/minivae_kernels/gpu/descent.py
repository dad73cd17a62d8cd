"""The optimisers of the fused step: each one's kernel, what it keeps, and its constants.

A new one is a rule, an op and a step kernel in `cuda/optimiser.cu`, its op's launcher in
`ops_optimiser.py`, and a row here. A name that is not here is declined: never a default branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Descent(NamedTuple):
    """kernel(theta, grad, the moments, *constants, rates, counters, n, vec).

    corrected: the rate makes up for running means that began at zero (E33).
    """

    kernel: str
    moments: int
    corrected: bool
    constants: Callable[[Any], tuple[float, ...]]


def means(plan: Any) -> tuple[float, ...]:
    """Adam's: how much of either running mean is kept, how much is new, and eps."""
    beta1, beta2 = plan.setting("beta1"), plan.setting("beta2")
    return beta1, 1 - beta1, beta2, 1 - beta2, plan.setting("eps")


def decayed(plan: Any) -> tuple[float, ...]:
    """RMSprop's: the same of its one mean, and eps."""
    decay = plan.setting("decay")
    return decay, 1 - decay, plan.setting("eps")


OPTIMISERS = {
    "adam": Descent("adam_step", 2, True, means),
    "sgd": Descent("sgd_step", 1, False, lambda plan: (plan.setting("momentum"),)),
    "adagrad": Descent("adagrad_step", 1, False, lambda plan: (plan.setting("eps"),)),
    "adamw": Descent("adamw_step", 2, True, means),
    "rmsprop": Descent("rmsprop_step", 1, False, decayed),
}
