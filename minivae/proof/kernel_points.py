"""The sizes at which a backend's kernels are tried, and arguments for an op at each of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.proof import points

# Sizes on purpose: 1, primes, one below, at and above the blocks kernels like.
SIZES: tuple[tuple[int, int, int, int], ...] = (  # B, D, J, L
    (1, 1, 1, 1),
    (1, 17, 3, 2),
    (7, 31, 2, 1),
    (9, 2, 7, 1),  # few terms: a coarse product shows, before its errors average out
    (13, 33, 5, 3),
    (31, 127, 16, 1),
    (33, 129, 17, 2),
    (64, 65, 20, 1),
    (129, 257, 19, 1),
)


def arguments(
    op: str, rng: np.random.Generator, size: tuple[int, int, int, int]
) -> tuple[Any, ...]:
    """float32 arguments of an op at a size (B, D, J, L); integers and Python floats as they are."""
    B, D, J, L = size
    dims = {"B": B, "D": D, "J": J, "L": L, "H": D, "I": D, "O": J, "N": 3 * B, "P": B * D}
    return points.arguments(op, dims, rng, np.float32)
