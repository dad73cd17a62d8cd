"""Fast kernels for minivae's ops, asked for by name; nothing heavy is imported before that."""

from __future__ import annotations

from typing import Any

NAMES = ("numba", "cupy")


class Unavailable(RuntimeError):
    """These kernels cannot run here; the message says why and how to mend it."""


def load(name: str, threads: int | None = None, *, tf32: bool = False) -> dict[str, Any]:
    """The kernels called "numba" (this processor) or "cupy" (an NVIDIA card), by op name.

    threads: how many a CPU kernel may use; None takes one for every core this process may
    run on. tf32: let a card round the products' inputs to TF32: faster, and no longer float32.
    Raises Unavailable where they cannot run, ValueError for another name.
    """
    if name == "numba":
        from minivae_kernels import cpu

        return cpu.load(threads)
    if name == "cupy":
        from minivae_kernels import gpu

        return gpu.load(threads, tf32=tf32)
    raise ValueError(f"unknown kernels {name!r}: choose {' or '.join(NAMES)}")
