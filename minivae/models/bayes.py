"""Bayes' rule by brute force: the posterior and the evidence on a grid, for one or two latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minivae.types import Array

Decoder = Callable[[Array], Array]


class GridPosterior(NamedTuple):
    """Nodes (G, J), the posterior's density at each (G,), and log p(x) in nats."""

    nodes: Array
    density: Array
    log_p: float


def log_gaussian_likelihood(decode: Decoder, c: float, x: Array, z: Array) -> Array:
    """log N(x; f(z), c I) (G,) in nats, for one datum x (D,) and many latents z (G, J) (E10)."""
    squares = ((x - decode(z)) ** 2).sum(axis=1)
    result: Array = -0.5 * (squares / c + x.size * np.log(2.0 * np.pi * c))
    return result


def ancestral_sample(decode: Decoder, c: float, z: Array, noise: Array) -> Array:
    """Data (N, D) made in the model's two steps, from prior draws z and noise (N, D) (E10).

    Both are standard normal and come from the caller: nothing here draws.
    """
    x: Array = decode(z) + np.sqrt(c) * noise
    return x


def posterior_on_grid(
    decode: Decoder, c: float, x: Array, latent_dim: int, reach: float = 5.0, points: int = 201
) -> GridPosterior:
    """p(z|x) by evaluating Bayes' rule on a regular grid over [-reach, reach]^J (E11).

    x (D,). The sum over the grid is the integral in the denominator. Raises ValueError for more
    than two latent dimensions, where a grid is hopeless.
    """
    if not latent_dim <= 2:
        raise ValueError(
            f"a grid in {latent_dim} dimensions needs {points}^{latent_dim} nodes; "
            "use variational inference instead (fit_posteriors)."
        )
    axis = np.linspace(-reach, reach, points)
    mesh = np.meshgrid(*[axis] * latent_dim, indexing="ij")
    nodes = np.stack([m.ravel() for m in mesh], axis=1)
    cell = (axis[1] - axis[0]) ** latent_dim
    prior = -0.5 * ((nodes**2).sum(axis=1) + latent_dim * np.log(2.0 * np.pi))
    joint = log_gaussian_likelihood(decode, c, x, nodes) + prior
    top = joint.max()
    total = np.exp(joint - top).sum() * cell
    return GridPosterior(nodes, np.exp(joint - top) / total, float(top + np.log(total)))


def log_evidence_by_quadrature(
    decode: Decoder, c: float, x: Array, latent_dim: int, order: int = 64
) -> float:
    """log p(x) in nats by Gauss-Hermite quadrature over the prior (E11).

    x (D,), latent_dim <= 2. Exact for polynomials of degree 2·order - 1; good while the
    likelihood is not much narrower than the gap between nodes.
    """
    if not latent_dim <= 2:
        raise ValueError(f"quadrature in {latent_dim} dimensions is out of reach; at most 2.")
    points, weights = np.polynomial.hermite_e.hermegauss(order)
    mesh = np.meshgrid(*[points] * latent_dim, indexing="ij")
    nodes = np.stack([m.ravel() for m in mesh], axis=1)
    weight = np.ones(1)
    for _ in range(latent_dim):
        weight = np.outer(weight, weights / np.sqrt(2.0 * np.pi)).ravel()
    logs = log_gaussian_likelihood(decode, c, x, nodes)
    top = logs.max()
    return float(top + np.log(np.sum(weight * np.exp(logs - top))))
