"""What the kernels say where they cannot serve, and how a plan's part finds its kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

MOST_THREADS = 1024  # beyond, a number is a slip, and their stacks and scratch fill the memory


class Unavailable(RuntimeError):
    """These kernels cannot run here; the message says why and how to mend it."""


class Unsupported(RuntimeError):
    """There is no kernel for what was asked: the reference computes it instead.

    asked: a StepPlan that names a part without a fused kernel, or the name of an op that was
    called with numbers of another precision.
    """

    def __init__(self, asked: Any, reason: str) -> None:
        super().__init__(reason)
        self.asked = asked
        self.reason = reason


Kernel = TypeVar("Kernel")


def kernel_of(plan: Any, part: str, kernels: Mapping[str, Kernel]) -> Kernel:
    """The entry of `kernels` for the plan's part: "activation", "likelihood", "optimiser" or …

    Raises Unsupported for a name that is not among them: there is no kernel by default.
    """
    name = getattr(plan, part)
    if name not in kernels:
        raise Unsupported(plan, f"no fused kernel for the {part} {name!r}")
    return kernels[name]


def require_alike(plan: Any) -> None:
    """Raise Unsupported for a plan whose rows count unequally: no fused kernel weighs them."""
    if plan.weighted:
        raise Unsupported(plan, "no fused kernel for rows of unequal weight")
