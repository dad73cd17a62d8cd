"""A part as a pass that can be checked, at a point of a given size and precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.parts.activations import Activation
from minivae.parts.domains import Domain
from minivae.parts.likelihoods import Likelihood
from minivae.parts.objectives import Objective, Terms
from minivae.types import Array


class PartTrial(NamedTuple):
    """A part as a pass to be checked: forward(*inputs) -> (y, cache), backward(dy, cache)."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: dict[str, Any]


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Normal numbers, the same ones for the same seed."""
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * scale)


def activation_trial(part: Activation, scale: float = 2.5, dtype: str = "float64") -> PartTrial:
    """The activation h (5, 7) of a (5, 7)."""
    inputs = {"a": numbers(5, 7, scale=scale).astype(dtype)}
    return PartTrial(lambda a: (part.forward(a), a), part.backward, inputs)


GROUPS = (2, 4)  # the columns of a part that is told how they hang together


def likelihood_trial(
    part: Likelihood, L: int = 2, B: int = 4, D: int = 6, dtype: str = "float64"
) -> PartTrial:
    """The nll (L, B) of D columns, in the decoder's outputs and in the scale if it has one."""
    x = sample_data(part, B, D).astype(dtype)
    inputs = {"out": numbers(L, B, D).astype(dtype)}
    if part.scale is not None:
        inputs["log_scale"] = numbers(*part.scale.shape(D), seed=2, scale=0.3).astype(dtype)
    tail = groups_of(part, D)
    return PartTrial(
        lambda out, *scale: (part.forward(out, x, *scale, *tail), (out, *scale)),
        lambda dnll, cache: part.backward(dnll, cache[0], x, *cache[1:], *tail),
        inputs,
    )


def groups_of(part: Likelihood, D: int) -> tuple[tuple[int, ...], ...]:
    """What a likelihood of groups is told beside: two groups in D columns."""
    return ((2, D - 2),) if part.grouped else ()


def sample_data(part: Likelihood, B: int, D: int) -> Array:
    """Data (B, D) that the likelihood accepts: the first kind of numbers that its domain takes.

    Raises LookupError where it takes none of them.
    """
    rng = np.random.default_rng(3)
    shares = np.zeros((B, D))
    shares[:, 0] = shares[:, -1] = 1.0
    normal, uniform = rng.normal(size=(B, D)), rng.uniform(0.05, 0.95, (B, D))
    counts = rng.integers(0, 6, (B, D)).astype(np.float64)
    signs = np.where(normal > 0, 1.0, -1.0)
    kinds = (
        normal, uniform, counts, shares, 1 + uniform, -uniform, np.maximum(counts, 1), signs,
        uniform / uniform.sum(axis=1, keepdims=True),  # rows that sum to 1
        normal / np.linalg.norm(normal, axis=1, keepdims=True),  # and rows of length 1
        100 * uniform,
    )  # fmt: skip
    groups = groups_of(part, D)
    for x in kinds:
        if part.domain.fault(x.copy(), *groups) is None:
            return x
    raise LookupError(f"{Domain.__name__} {part.domain.words!r}")


def objective_trial(
    part: Objective, free_bits: float = 0.0, *, L: int = 2, B: int = 4, J: int = 3,
    beta: float = 0.8, weighed: bool = True, dtype: str = "float64",
) -> PartTrial:  # fmt: skip
    """The loss of B data, J latents and as many draws as the objective needs, L at least."""
    from minivae import ops

    L = max(L, part.least_draws)
    eps = numbers(L, B, J, seed=4).astype(dtype)
    counts = np.resize([0.5, 2.0, 0.25, 1.25], B).astype(dtype)
    weight = counts if part.weighs and weighed else None

    def forward(nll: Array, mu: Array, logvar: Array) -> tuple[Array, Terms]:
        z = ops.reparameterise_forward(mu, logvar, eps)
        terms = Terms(nll, ops.kl_forward(mu, logvar), mu, logvar, z, eps, weight)
        return part.forward(ops, terms, beta, free_bits), terms

    def backward(dloss: Array, terms: Terms) -> tuple[Array, ...]:
        return tuple(part.backward(ops, dloss, terms, beta, free_bits))

    inputs = {"nll": numbers(L, B).astype(dtype), "mu": numbers(B, J, seed=5).astype(dtype),
              "logvar": numbers(B, J, seed=6).astype(dtype)}  # fmt: skip
    return PartTrial(forward, backward, inputs)
