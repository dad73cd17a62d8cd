"""Arguments for every op at odd sizes: what a backend's kernels are tried on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.types import Array

# Sizes on purpose: 1, primes, one below, at and above the blocks kernels like.
SIZES: tuple[tuple[int, int, int, int], ...] = (  # B, D, J, L
    (1, 1, 1, 1),
    (1, 17, 3, 2),
    (7, 31, 2, 1),
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

    def n(*shape: int, scale: float = 1.0) -> Array:
        return np.asarray((rng.normal(size=shape) * scale).astype(np.float32))

    def unit(*shape: int) -> Array:
        return rng.uniform(0.02, 0.98, shape).astype(np.float32)

    def covariance() -> Array:
        root = rng.normal(size=(J, J))
        return (root @ root.T + J * np.eye(J)).astype(np.float32)

    logc = np.asarray(np.float32(-0.4))
    rows = rng.permutation(3 * B)[:B].astype(np.int64)
    pixels = rng.integers(0, 256, (3 * B, D)).astype(np.uint8)
    base = op.rsplit("_", 1)[0]
    if op in ("dense_forward", "dense_relu_forward", "dense_tanh_forward"):
        return n(B, D), n(D, J, scale=1 / D**0.5), n(J)
    if op == "dense_backward_params":
        return n(B, J), n(B, D)
    if op == "dense_backward_input":
        return n(B, J), n(D, J)
    if base in ("relu", "tanh", "sigmoid", "softplus"):
        x = n(B, D, scale=4.0)
        return (x,) if op.endswith("forward") else (n(B, D), x)
    table: dict[str, Callable[[], tuple[Any, ...]]] = {
        "bound_logvar_forward": lambda: (n(B, J, scale=30),),
        "bound_logvar_backward": lambda: (n(B, J), n(B, J, scale=30)),
        "reparameterise_forward": lambda: (n(B, J), n(B, J), n(L, B, J)),
        "reparameterise_backward": lambda: (n(L, B, J), n(B, J), n(L, B, J)),
        "kl_forward": lambda: (n(B, J), n(B, J)),
        "kl_backward": lambda: (n(B, J), n(B, J), n(B, J)),
        "free_bits_forward": lambda: (np.abs(n(J)), 0.5),
        "free_bits_backward": lambda: (n(J), np.abs(n(J)), 0.5),
        "gaussian_kl_forward": lambda: (n(J), covariance(), n(J), covariance()),
        "gaussian_kl_backward": lambda: (logc, n(J), covariance(), n(J), covariance()),
        "bernoulli_nll_forward": lambda: (n(L, B, D, scale=3), unit(B, D)),
        "bernoulli_nll_backward": lambda: (n(L, B), n(L, B, D, scale=3), unit(B, D)),
        "gaussian_nll_forward": lambda: (n(L, B, D), n(B, D), logc),
        "gaussian_nll_backward": lambda: (n(L, B), n(L, B, D), n(B, D), logc),
        "dense_relu_backward": lambda: (n(B, D), np.maximum(n(B, D), 0)),
        "dense_tanh_backward": lambda: (n(B, D), np.tanh(n(B, D))),
        "latent_forward": lambda: (n(B, J), n(B, J), n(L, B, J)),
        "latent_backward": lambda: (n(L, B, J), n(B, J), n(B, J), n(B, J), n(L, B, J)),
        "bernoulli_nll_grad": lambda: (n(L, B), n(L, B, D, scale=3), unit(B, D)),
        "gaussian_nll_grad": lambda: (n(L, B), n(L, B, D), n(B, D), logc),
        "sgd_update": lambda: (n(B * D), n(B * D), n(B * D), 0.05, 0.9),
        "adam_update": lambda: (
            n(B * D),
            n(B * D),
            n(B * D, scale=0.1),
            n(B * D) ** 2,
            1e-3,
            0.9,
            0.999,
            1e-8,
            7,
        ),
        "philox": lambda: (
            rng.integers(0, 2**32, (B, 4), dtype=np.uint32),
            rng.integers(0, 2**32, 2, dtype=np.uint32),
        ),
        "uniforms": lambda: (11, 3, 5, rows, D),
        "normals": lambda: (11, 2, 5, rows, D),
        "permutation": lambda: (11, 3, B * D),
        "gather": lambda: (pixels, rows, 1 / 255),
        "binarise": lambda: (unit(B, D), unit(B, D)),
        "gather_binarise": lambda: (pixels, rows, 1 / 255, 11, 3, 5),
    }
    if op not in table:
        raise KeyError(
            f"op {op} has no arguments in the kernels' table: add a row to verify/kernel_points.py"
        )
    return table[op]()
