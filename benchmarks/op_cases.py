"""One case for every op: inputs at the model's shapes, and what the arithmetic costs at least."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

D, H, J = 784, 400, 20
#: batch sizes: working sets that stay in the caches, and working sets far past them
SIZES = {"cache": 128, "memory": 16_384}

# Arithmetic instructions an element in the straight-line forms of the kernels' mathematics: one
# for each multiply-add, comparison-and-select, shift or division. The limit of such an op is
# this many vector instructions at the measured rate of multiply-adds, two FLOPs each.
EXP, LOG1P, TANH = 16, 22, 36
SIGMOID, SOFTPLUS = EXP + 5, EXP + LOG1P + 3
PHILOX_WORD = 25  # ten rounds of two wide multiplies and four xors, for four words
NORMAL = PHILOX_WORD + 30  # half a log, half a square root, a sine or a cosine

Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class OpCase:
    """build(rng, B) -> the op's arguments; work(B) -> instructions, or products' multiply-adds.

    exact: random bits and copies, compared bit for bit. mutates: positions of arguments that
    the op changes in place, which are then read and written.
    """

    build: Callable[[np.random.Generator, int], Inputs]
    work: Callable[[int], float]
    exact: bool = False
    mutates: tuple[int, ...] = ()


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal float32."""
    return rng.standard_normal(shape, dtype=np.float32)


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Uniform float32 in [0, 1)."""
    return rng.random(shape, dtype=np.float32)


def elementwise(count: int, instructions: float, width: int = H) -> OpCase:
    """An op on `count` arrays of shape (B, width)."""
    return OpCase(
        lambda rng, B: tuple(normal(rng, B, width) for _ in range(count)),
        lambda B: instructions * B * width,
    )


def latent(build: Callable[[np.random.Generator, int], Inputs], instructions: float) -> OpCase:
    """An op on (B, J) and (1, B, J) arrays."""
    return OpCase(build, lambda B: instructions * B * J)


def likelihood(
    upstream: bool, instructions: float, tail: Callable[[], Inputs] = lambda: ()
) -> OpCase:
    """An op on logits or means (1, B, D) and data (B, D), with or without dnll (1, B)."""

    def build(rng: np.random.Generator, B: int) -> Inputs:
        given = (2 * normal(rng, 1, B, D), unit(rng, B, D), *tail())
        return (normal(rng, 1, B), *given) if upstream else given

    return OpCase(build, lambda B: instructions * B * D)


def dense(order: str) -> OpCase:
    """A product at (B, D) x (D, H); `order` names the arguments: x, W, b or dy."""

    def build(rng: np.random.Generator, B: int) -> Inputs:
        named = {"x": (B, D), "W": (D, H), "b": (H,), "y": (B, H)}
        scale = {"W": 0.05}  # about 1 / sqrt(D), so that tanh does not saturate
        return tuple(np.float32(scale.get(k, 1)) * normal(rng, *named[k]) for k in order)

    return OpCase(build, lambda B: B * D * H)


def covariances(rng: np.random.Generator, upstream: bool) -> Inputs:
    """Two Gaussians in J dimensions."""

    def cov() -> np.ndarray:
        root = normal(rng, J, 2 * J)
        return root @ root.T / (2 * J) + np.eye(J, dtype=np.float32)

    given = (normal(rng, J), cov(), normal(rng, J), cov())
    return (np.float32(1.7), *given) if upstream else given


def parameters(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """As many buffers of the model's size; the last, a second moment, is positive."""
    buffers = [normal(rng, 653_624) for _ in range(count)]
    return [*buffers[:-1], np.abs(buffers[-1])]


def data_rows(rng: np.random.Generator, B: int) -> tuple[np.ndarray, np.ndarray]:
    """A data set of bytes and B of its rows."""
    rows = max(4 * B, 1000)
    return rng.integers(0, 256, (rows, D), dtype=np.uint8), rng.permutation(rows)[:B]


LOGC = (np.float32(0.3),)
SCALE = 1 / 255

CASES: dict[str, OpCase] = {
    "dense_forward": dense("xWb"),
    "dense_backward_params": dense("yx"),
    "dense_backward_input": dense("yW"),
    "dense_relu_forward": dense("xWb"),
    "dense_tanh_forward": dense("xWb"),
    "dense_relu_backward": elementwise(2, 1),
    "dense_tanh_backward": elementwise(2, 4),
    "relu_forward": elementwise(1, 1),
    "relu_backward": elementwise(2, 1),
    "tanh_forward": elementwise(1, TANH),
    "tanh_backward": elementwise(2, EXP + 6),
    "sigmoid_forward": elementwise(1, SIGMOID, D),
    "sigmoid_backward": elementwise(2, SIGMOID + 4, D),
    "softplus_forward": elementwise(1, SOFTPLUS, D),
    "softplus_backward": elementwise(2, SIGMOID + 1, D),
    "bound_logvar_forward": latent(lambda rng, B: (normal(rng, B, J),), 2),
    "bound_logvar_backward": latent(lambda rng, B: (normal(rng, B, J), normal(rng, B, J)), 3),
    "reparameterise_forward": latent(
        lambda rng, B: (normal(rng, B, J), normal(rng, B, J), normal(rng, 1, B, J)), EXP + 2
    ),
    "reparameterise_backward": latent(
        lambda rng, B: (normal(rng, 1, B, J), normal(rng, B, J), normal(rng, 1, B, J)), EXP + 4
    ),
    "kl_forward": latent(lambda rng, B: (normal(rng, B, J), normal(rng, B, J)), EXP + 6),
    "kl_backward": latent(lambda rng, B: tuple(normal(rng, B, J) for _ in range(3)), EXP + 6),
    "free_bits_forward": OpCase(lambda rng, B: (normal(rng, J), 0.1), lambda B: J),
    "free_bits_backward": OpCase(lambda rng, B: (normal(rng, J), normal(rng, J), 0.1), lambda B: J),
    "gaussian_kl_forward": OpCase(lambda rng, B: covariances(rng, False), lambda B: J**3),
    "gaussian_kl_backward": OpCase(lambda rng, B: covariances(rng, True), lambda B: 3 * J**3),
    "latent_forward": latent(
        lambda rng, B: (normal(rng, B, J), normal(rng, B, J), normal(rng, 1, B, J)), 2 * EXP + 8
    ),
    "latent_backward": latent(
        lambda rng, B: (
            normal(rng, 1, B, J),
            *(normal(rng, B, J) for _ in range(3)),
            normal(rng, 1, B, J),
        ),
        2 * EXP + 10,
    ),
    "bernoulli_nll_forward": likelihood(False, SOFTPLUS + 3),
    "bernoulli_nll_backward": likelihood(True, SIGMOID + 2),
    "bernoulli_nll_grad": likelihood(True, SOFTPLUS + 3 + 7),
    "gaussian_nll_forward": likelihood(False, 2, lambda: LOGC),
    "gaussian_nll_backward": likelihood(True, 4, lambda: LOGC),
    "gaussian_nll_grad": likelihood(True, 5, lambda: LOGC),
    "sgd_update": OpCase(
        lambda rng, B: (*parameters(rng, 3), 1e-3, 0.9), lambda B: 4 * 653_624, mutates=(0, 2)
    ),
    "adam_update": OpCase(
        lambda rng, B: (*parameters(rng, 4), 1e-3, 0.9, 0.999, 1e-8, 7),
        lambda B: 12 * 653_624,
        mutates=(0, 2, 3),
    ),
    "philox": OpCase(
        lambda rng, B: (
            rng.integers(0, 2**32, (B * D // 4, 4), dtype=np.uint32),
            rng.integers(0, 2**32, 2, dtype=np.uint32),
        ),
        lambda B: PHILOX_WORD * B * D,
        exact=True,
    ),
    "uniforms": OpCase(
        lambda rng, B: (77, 3, int(rng.integers(1000)), rng.permutation(4 * B)[:B], D),
        lambda B: (PHILOX_WORD + 3) * B * D,
        exact=True,
    ),
    "normals": OpCase(
        lambda rng, B: (77, 2, int(rng.integers(1000)), rng.permutation(4 * B)[:B], J),
        lambda B: NORMAL * B * J,
        exact=True,
    ),
    "permutation": OpCase(
        lambda rng, B: (77, int(rng.integers(1000)), 60_000), lambda B: 17 * 60_000, exact=True
    ),
    "gather": OpCase(lambda rng, B: (*data_rows(rng, B), SCALE), lambda B: 2 * B * D, exact=True),
    "binarise": OpCase(
        lambda rng, B: (unit(rng, B, D), unit(rng, B, D)), lambda B: B * D, exact=True
    ),
    "gather_binarise": OpCase(
        lambda rng, B: (*data_rows(rng, B), SCALE, 77, 3, int(rng.integers(1000))),
        lambda B: (PHILOX_WORD + 5) * B * D,
        exact=True,
    ),
}
PRODUCTS = tuple(n for n in CASES if n.startswith("dense") and "_backward" not in n[5:]) + (
    "dense_backward_params",
    "dense_backward_input",
)
