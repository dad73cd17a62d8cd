"""Fast kernels for minivae's ops, asked for by name; nothing heavy is imported before that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

NAMES = ("numba", "cupy")


class Unavailable(RuntimeError):
    """These kernels cannot run here; the message says why and how to mend it."""


class Unsupported(RuntimeError):
    """There is no kernel for what was asked: the reference computes it instead.

    asked: a StepPlan that names a part without a fused kernel, or the name of an op that was
    called with numbers of another precision.
    """

    def __init__(self, asked: Any, reason: str) -> None:
        super().__init__(reason)
        self.plan = self.asked = asked
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


def load(
    name: str, threads: int | None = None, *, tf32: bool = False, bf16: bool = False
) -> dict[str, Any]:
    """The kernels called "numba" (this processor) or "cupy" (an NVIDIA card), by op name.

    threads: how many a CPU kernel may use; None takes one for every core this process may
    run on. tf32: let a card round the products' inputs to TF32; bf16: round them to bfloat16 on a
    processor with AVX512-BF16. Either is faster, and no longer float32.
    Raises Unavailable where they cannot run, ValueError for another name.
    """
    if name == "numba":
        from minivae_kernels import cpu

        return cpu.load(threads, bf16=bf16)
    if name == "cupy":
        from minivae_kernels import gpu

        return gpu.load(threads, tf32=tf32)
    raise ValueError(f"unknown kernels {name!r}: choose {' or '.join(NAMES)}")


def expect_training(activation: str, likelihood: str, dtype: str, binarise: str) -> None:
    """Say that a run with the numba kernels is about to begin: what it needs is compiled beside.

    dtype: the data's, as they are stored. Nothing happens where that was compiled before.
    """
    from importlib.util import find_spec

    if find_spec("numba") is not None:
        from minivae_kernels.cpu.step import ahead

        ahead.expect(activation, likelihood, dtype, binarise)
