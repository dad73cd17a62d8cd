"""The Numba backend: kernels compiled for this processor, run by one team of threads.

Five folders, from the bottom up; each uses only those before it:

    compile/  how a function becomes machine code, the disk cache, vector instructions
    threads/  the team of threads, its barriers, how work is shared
    gemm/     the three products of a dense layer; read register_tile.py first
    ops/      the ops, each beside its kernel
    step/     the fused training step: forward.py, backward.py, update.py, and train.py runs them
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load(threads: int | None = None, *, bf16: bool = False) -> dict[str, Callable[..., Any]]:
    """Every op by name, two kinds of step and output_nll.

    bf16: the products' inputs are rounded to bfloat16; output_nll, which has no such kernel, is
    then left out. Raises Unavailable where Numba cannot be used, or has no AVX512-BF16 to use,
    and ValueError for a number of threads that cannot be.
    """
    from minivae_kernels.support import Unavailable

    try:
        import numba
    except ImportError as reason:
        raise Unavailable(
            f"Numba cannot be imported ({reason}); `pip install numba` mends it"
        ) from reason
    if numba.config.DISABLE_JIT:
        raise Unavailable("Numba is told to compile nothing: unset NUMBA_DISABLE_JIT")
    from minivae_kernels.cpu.ops.every_op import every_op
    from minivae_kernels.cpu.ops.output_nll import output_nll

    found = every_op(threads)
    if bf16:
        return {**found, **rounded_kernels()}
    found.update(make_step=make_step, make_gradient_step=make_gradient_step, output_nll=output_nll)
    return found


def make_step(plan: Any, theta: Any, moments: Any, data: Any) -> Any:
    """The fused training step of a StepPlan; see step/fused_step.py."""
    from minivae_kernels.cpu.step.fused_step import Step

    return Step(plan, theta, moments, data)


def make_gradient_step(plan: Any, theta: Any, moments: Any, data: Any) -> Any:
    """The fused step in two halves, for batches that are cut into shards; see step/gradient.py."""
    from minivae_kernels.cpu.step.gradient import GradientStep

    return GradientStep(plan, theta, moments, data)


def rounded_kernels() -> dict[str, Callable[..., Any]]:
    """What is there in bfloat16. Raises Unavailable where the processor has no AVX512-BF16."""
    from minivae_kernels.cpu.gemm.bfloat16 import available
    from minivae_kernels.support import Unavailable

    if not available():
        raise Unavailable(
            "this processor has no AVX512-BF16 (Zen 4, Cooper Lake and Sapphire Rapids have it), "
            "or Numba is told not to use it: leave bf16 out"
        )
    from minivae_kernels.cpu.ops import dense_bfloat16

    ops = {op.__name__: op for op in dense_bfloat16.OPS}
    return {**ops, "make_step": make_rounded_step, "make_gradient_step": rounded_gradient_step}


def make_rounded_step(plan: Any, theta: Any, moments: Any, data: Any) -> Any:
    """The fused training step with products in bfloat16; see step/rounded.py."""
    from minivae_kernels.cpu.step.fused_step import Step

    return Step(plan, theta, moments, data, bf16=True)


def rounded_gradient_step(plan: Any, theta: Any, moments: Any, data: Any) -> Any:
    """The step with products in bfloat16 in two halves, for batches that are cut into shards."""
    from minivae_kernels.cpu.step.gradient import GradientStep

    return GradientStep(plan, theta, moments, data, bf16=True)


def is_cached() -> bool:
    """Whether the training step starts from the disk cache; if not, the first one compiles."""
    from minivae_kernels.cpu.compile.decorators import any_cached

    return any_cached("train")


def why_not_kept() -> str | None:
    """Why compiled kernels cannot be kept for later runs, in words; None where they can."""
    from minivae_kernels.cpu.compile import folders

    return folders.why_not_kept()
