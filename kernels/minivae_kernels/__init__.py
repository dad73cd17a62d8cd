"""Fast kernels for minivae's ops, asked for by name; nothing heavy is imported before that."""

from __future__ import annotations

from typing import Any

from minivae_kernels.support import MOST_THREADS, Unavailable, Unsupported

__all__ = ["MOST_THREADS", "NAMES", "Unavailable", "Unsupported", "expect_training", "load"]

NAMES = ("numba", "cupy")


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
