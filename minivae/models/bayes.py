"""Bayes' rule by brute force: the posterior and the evidence on a grid, for one or two latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minivae.types import Array

Decoder = Callable[[Array], Array]
AT_ONCE = 8192
NOTHING = 1e-9  # of the highest density: what lies lower holds no mass to speak of


class GridPosterior(NamedTuple):
    """Nodes (G, J), the posterior's density at each (G,), and log p(x) in nats."""

    nodes: Array
    density: Array
    log_p: float


def log_gaussian_likelihood(decode: Decoder, c: float, x: Array, z: Array) -> Array:
    """log N(x; f(z), c I) (G,) in nats, for one datum x (D,) and many latents z (G, J) (E10).

    Some thousands of them are decoded at a time: a grid's pictures together would fill the memory.
    """
    parts = np.array_split(z, max(1, -(-len(z) // AT_ONCE)))
    squares = np.concatenate([((x - decode(part)) ** 2).sum(axis=1) for part in parts])
    result: Array = -0.5 * (squares / c + x.size * np.log(2.0 * np.pi * c))
    return result


def ancestral_sample(decode: Decoder, c: float, z: Array, noise: Array) -> Array:
    """Data (N, D) made in the model's two steps, from prior draws z and noise (N, D) (E10).

    Both are standard normal and come from the caller: nothing here draws.
    """
    x: Array = decode(z) + np.sqrt(c) * noise
    return x


def posterior_on_grid(
    decode: Decoder, c: float, x: Array, latent_dim: int, reach: float = 5.0, points: int = 201,
    centre: Array | float = 0.0,
) -> GridPosterior:  # fmt: skip
    """p(z|x) by evaluating Bayes' rule on a regular grid over centre + [-reach, reach]^J (E11).

    x (D,), centre (J,) or a number. The sum over the grid is the integral in the denominator.
    Raises ValueError for more than two latent dimensions, where a grid is hopeless.
    """
    if not latent_dim <= 2:
        raise ValueError(
            f"a grid in {latent_dim} dimensions needs {points}^{latent_dim} nodes; "
            "use variational inference instead (fit_posteriors)."
        )
    axis = np.linspace(-reach, reach, points)
    mesh = np.meshgrid(*[axis] * latent_dim, indexing="ij")
    nodes = np.stack([m.ravel() for m in mesh], axis=1) + centre
    cell = (axis[1] - axis[0]) ** latent_dim
    prior = -0.5 * ((nodes**2).sum(axis=1) + latent_dim * np.log(2.0 * np.pi))
    joint = log_gaussian_likelihood(decode, c, x, nodes) + prior
    top = joint.max()
    total = np.exp(joint - top).sum() * cell
    return GridPosterior(nodes, np.exp(joint - top) / total, float(top + np.log(total)))


def posterior_on_finer_grid(
    decode: Decoder, c: float, x: Array, latent_dim: int, reach: float = 5.0, points: int = 201
) -> GridPosterior:
    """`posterior_on_grid` twice: half as many points a side find where the posterior lies, and all
    of them are then spent there. For a posterior that is narrow beside the prior.

    Raises ValueError as that does.
    """
    coarse = posterior_on_grid(decode, c, x, latent_dim, reach, (points + 1) // 2)
    step = 2 * reach / ((points + 1) // 2 - 1)
    there = coarse.nodes[coarse.density > NOTHING * coarse.density.max()]
    low, high = there.min(axis=0) - 2 * step, there.max(axis=0) + 2 * step
    closer = float((high - low).max()) / 2
    return posterior_on_grid(decode, c, x, latent_dim, closer, points, (low + high) / 2)


def quadrature_draws(latent_dim: int, order: int) -> tuple[Array, Array]:
    """Gauss-Hermite nodes eps (G, J) and weights (G,) that sum to 1 (E11).

    Means over them are exact for polynomials in each eps_j of degree up to 2·order - 1, so an
    estimator's expectation can be computed, not sampled.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(order)
    weights = weights / weights.sum()
    mesh = np.meshgrid(*[points] * latent_dim, indexing="ij")
    nodes = np.stack([m.ravel() for m in mesh], axis=1)
    product = np.ones(1)
    for _ in range(latent_dim):
        product = np.outer(product, weights).ravel()
    return nodes, product


def log_evidence_by_quadrature(
    decode: Decoder, c: float, x: Array, latent_dim: int, order: int = 64
) -> float:
    """log p(x) in nats by Gauss-Hermite quadrature over the prior (E11).

    x (D,), latent_dim <= 2. Exact for polynomials of degree 2·order - 1; good while the
    likelihood is not much narrower than the gap between nodes.
    """
    if not latent_dim <= 2:
        raise ValueError(f"quadrature in {latent_dim} dimensions is out of reach; at most 2.")
    nodes, weight = quadrature_draws(latent_dim, order)
    logs = log_gaussian_likelihood(decode, c, x, nodes)
    top = logs.max()
    return float(top + np.log(np.sum(weight * np.exp(logs - top))))


class Nearest(NamedTuple):
    """A Gaussian N(mean (J,), root rootᵀ), root (J, J) lower, and its KL to the posterior, nats."""

    mean: Array
    root: Array
    kl: float


def divergence_to_posterior(
    decode: Decoder, c: float, x: Array, log_p: float, mean: Array, root: Array, order: int = 12
) -> float:
    """KL(N(mean, root rootᵀ) || p(z|x)) in nats for one datum x (D,), by quadrature (E18).

    root (J, J) lower triangular, J <= 2. log_p is log p(x), from `posterior_on_grid`.
    """
    latent_dim = len(mean)
    eps, weight = quadrature_draws(latent_dim, order)
    z = mean + eps @ root.T
    constant = latent_dim * np.log(2.0 * np.pi)
    prior = -0.5 * ((z**2).sum(axis=1) + constant)
    joint = weight @ (log_gaussian_likelihood(decode, c, x, z) + prior)
    log_q = -0.5 * (latent_dim + constant) - np.log(np.abs(np.diag(root))).sum()
    return float(log_q - joint + log_p)


def nearest_gaussian(
    decode: Decoder, c: float, x: Array, log_p: float, start: tuple[Array, Array], diagonal: bool
) -> Nearest:
    """The Gaussian of least KL(q || p(z|x)) near start = (mean (J,), root (J, J)) (E17).

    x (D,), J <= 2; diagonal: one whose axes do not lean. A posterior with several hills has a
    nearest Gaussian on each: start at several places and keep the best.
    """
    from scipy.optimize import minimize

    latent_dim = len(start[0])
    below = np.tril_indices(latent_dim, -1)
    below = (below[0][:0], below[1][:0]) if diagonal else below

    def unpack(flat: Array) -> tuple[Array, Array]:
        root = np.diag(np.exp(flat[latent_dim : 2 * latent_dim]))
        root[below] = flat[2 * latent_dim :]
        return flat[:latent_dim], root

    def divergence(flat: Array) -> float:
        return divergence_to_posterior(decode, c, x, log_p, *unpack(flat))

    first = np.concatenate([start[0], np.log(np.diag(start[1])), start[1][below]])
    best = minimize(divergence, first, method="BFGS", options={"gtol": 1e-4})
    return Nearest(*unpack(best.x), float(best.fun))
