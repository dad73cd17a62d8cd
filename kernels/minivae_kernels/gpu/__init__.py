"""The kernels for an NVIDIA card: CUDA C compiled at run time, launched through CuPy.

`load()` gives the ops by name; README.md says what has run where. Nothing here imports CuPy
before it is asked for.
"""

from __future__ import annotations

import os
from typing import Any

from minivae_kernels.support import Unavailable


def table(device: Any) -> dict[str, Any]:
    """Every op this backend has, with the four services, launched on the given device."""
    from minivae_kernels.gpu.ops_activation import ActivationOps
    from minivae_kernels.gpu.ops_data import RandomOps
    from minivae_kernels.gpu.ops_likelihood import LikelihoodOps
    from minivae_kernels.gpu.ops_model import LatentOps, ModelOps
    from minivae_kernels.gpu.ops_optimiser import OptimiserOps
    from minivae_kernels.gpu.step import GraphStep

    found: dict[str, Any] = {}
    for family in (ActivationOps, ModelOps, LatentOps, LikelihoodOps, RandomOps, OptimiserOps):
        ops = family(device)
        found.update({name: getattr(ops, name) for name in vars(family) if name[0] != "_"})

    def make_step(plan: Any, theta: Any, moments: Any, data: Any) -> GraphStep:
        """The fused training step; theta (P,) and moments (2, P) float32, data (N, D)."""
        return GraphStep(device, plan, theta, moments, data)

    found.update(
        make_step=make_step, xp=device.xp, to_device=device.to_device, to_host=device.to_host,
        flushes=device.flushes,
    )  # fmt: skip
    return found


def load(threads: int | None = None, *, tf32: bool = False) -> dict[str, Any]:
    """The kernels on this machine's card.

    threads: a card has no use for it. tf32: round the products' inputs to TF32, which is faster
    and no longer float32: off unless asked for, and to be said beside every figure made with it.
    Raises minivae_kernels.Unavailable with the reason and the fix where there is no card, or
    where TF32 is asked for and would silently not be used.
    """
    from minivae_kernels.gpu.cupy_device import shared_device

    device = shared_device(tf32=tf32)
    if tf32:
        _require_tf32(device)
    return table(device)


def _require_tf32(device: Any) -> None:
    """cuBLAS takes the wish for TF32 as a hint: what comes to nothing must not be labelled so."""
    runtime = device.xp.cuda.runtime
    if int(runtime.getDeviceProperties(runtime.getDevice())["major"]) < 8:
        raise Unavailable("this card has no TF32 (compute capability 8.0 has it): leave it out")
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        raise Unavailable("NVIDIA_TF32_OVERRIDE=0 forbids TF32: unset it, or leave TF32 away")
