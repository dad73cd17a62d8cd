"""The likelihoods p(x | z): what the decoder's output means, and what is learned beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minivae.ops import likelihood as ops
from minivae.parts.domains import REAL, UNIT, Domain
from minivae.parts.table import Table, kernel
from minivae.types import Array


class Scale(NamedTuple):
    """A positive number that a likelihood has beside the decoder's output, kept as its logarithm.

    tensor: the parameter's name where it is learned. symbol: what it is called in formulas.
    words: what it is. each: one for every feature instead of one for all.
    """

    tensor: str
    symbol: str
    words: str
    each: bool = False

    def shape(self, data_dim: int) -> tuple[int, ...]:
        """The shape of its logarithm."""
        return (data_dim,) if self.each else ()


class Noise(NamedTuple):
    """Where a draw of data takes its random numbers from: arrays (N, D), made when asked for."""

    uniforms: Callable[[], Array]
    normals: Callable[[], Array]


@dataclass(frozen=True)
class Likelihood:
    """p(x | z) of one datum given the decoder's output, and what people should know about it.

    forward(out, x, *extra) -> nll (L, B) in nats, out (L, B, D), x (B, D);
    backward(dnll, out, x, *extra) -> dout (L, B, D), and the gradient of log scale if it has one;
    mean(K, out, *extra) -> E[x | z], of out's shape;
    draw(mean, out, noise, *extra) -> x (N, D) from p(x | z).
    `extra` is log scale where there is a scale, the sizes of the groups where there are groups.
    output: what the decoder's output is. formula: -log p(x | z) in letters. term: its name.
    binary: whether x of 0 and 1 make it a distribution over coin flips, so that binarised targets
    are sensible. grey: what to say of targets between 0 and 1, or nothing.
    """

    name: str
    forward: Callable[..., Array]
    backward: Callable[..., Any]
    mean: Callable[..., Array]
    draw: Callable[..., Array]
    domain: Domain = REAL
    scale: Scale | None = None
    grouped: bool = False
    output: str = "the mean"
    formula: str = "-log p(x|z)"
    term: str = "-log p(x|z)"
    words: str = ""
    binary: bool = False
    squared_error: bool = False
    remarks: tuple[str, ...] = ()

    def nll_forward(self, K: Any, out: Array, x: Array, extra: tuple[Any, ...]) -> Array:
        """-log p(x | z) in nats by backend K: (L, B, D) -> (L, B)."""
        return kernel(K, self.forward)(out, x, *extra)

    def nll_backward(
        self, K: Any, dnll: Array, out: Array, x: Array, extra: tuple[Any, ...]
    ) -> tuple[Array, Array | None]:
        """The gradients in the decoder's output (L, B, D) and in log scale, None without one."""
        result = kernel(K, self.backward)(dnll, out, x, *extra)
        return result if self.scale is not None else (result, None)


def _mean_is_output(K: Any, out: Array, *extra: Any) -> Array:
    return out


def _sigmoid_mean(K: Any, logits: Array) -> Array:
    return K.sigmoid_forward(logits)


def _flip_coins(mean: Array, logits: Array, noise: Noise) -> Array:
    return (noise.uniforms() < mean).astype(np.float32)


def _add_normals(mean: Array, out: Array, noise: Noise, logc: Array) -> Array:
    return np.asarray(mean + np.sqrt(np.exp(logc)).astype(np.float32) * noise.normals())


LIKELIHOODS: Table[Likelihood] = Table(
    "likelihood",
    [
        Likelihood(
            "bernoulli",
            ops.bernoulli_nll_forward,
            ops.bernoulli_nll_backward,
            _sigmoid_mean,
            _flip_coins,
            domain=UNIT,
            output="logits",
            formula="softplus(logit) - x * logit",
            term="cross-entropy",
            words="coin flips; for pixels of 0 and 1, and as a cross-entropy for grey ones",
            binary=True,
        ),
        Likelihood(
            "gaussian",
            ops.gaussian_nll_forward,
            ops.gaussian_nll_backward,
            _mean_is_output,
            _add_normals,
            scale=Scale("decoder.logc", "c", "the variance"),
            formula="(x - f)^2 / (2c) + log(2 pi c) / 2",
            words="any real data, with one variance c",
            squared_error=True,
        ),
    ],
)


def log_scale(c: float | str) -> float | None:
    """The logarithm of a scale that is given; None where it is learned."""
    return None if isinstance(c, str) else math.log(float(c))
