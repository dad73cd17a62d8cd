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
    use. tf32: let a card round the products' inputs to TF32; bf16: round them to bfloat16 on a
    processor with AVX512-BF16. Either is faster, and no longer float32.
    Raises Unavailable where they cannot run, ValueError for another name and for the rounding that
    the other one has.
    """
    if name not in NAMES:
        raise ValueError(f"unknown kernels {name!r}: choose {' or '.join(NAMES)}")
    if tf32 and name != "cupy":
        raise ValueError(f"kernels {name!r} have no TF32: leave tf32 out, or choose cupy")
    if bf16 and name != "numba":
        raise ValueError(f"kernels {name!r} have no bfloat16: leave bf16 out, or choose numba")
    if name == "numba":
        from minivae_kernels import cpu

        return cpu.load(threads, bf16=bf16)
    from minivae_kernels import gpu

    return gpu.load(threads, tf32=tf32)


def expect_training(activation: str, likelihood: str, dtype: str, binarise: str) -> None:
    """Say that a run with the numba kernels is about to begin: what it needs is compiled beside.

    dtype: the data's, as they are stored. Nothing happens where that was compiled before.
    """
    from importlib.util import find_spec

    if find_spec("numba") is not None:
        from minivae_kernels.cpu.step import ahead

        ahead.expect(activation, likelihood, dtype, binarise)
