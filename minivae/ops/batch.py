"""From the stored data to a batch of inputs: pick rows, cast, scale, binarise."""

from __future__ import annotations

import numpy as np

from minivae.types import Array


def gather(data: Array, rows: Array, scale: float) -> Array:
    """data[rows] · scale                                                (E35)

    data (N, D) uint8 or float, rows (B,) -> x (B, D); uint8 becomes float32.
    """
    picked = data[rows]
    if picked.dtype == np.uint8:
        picked = picked.astype(np.float32)
    return picked * picked.dtype.type(scale)


def binarise(x: Array, u: Array) -> Array:
    """1 where u < x, else 0: with uniform u a Bernoulli(x) draw of every pixel   (E35)

    x, u (B, D) -> (B, D) of x's dtype. x = 0 always gives 0 and x = 1 always 1, since
    0 < u < 1.
    """
    return np.where(u < x, 1, 0).astype(x.dtype)
