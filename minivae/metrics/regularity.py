"""Continuity and completeness of a latent space as numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.messages import shown
from minivae.types import Array
from minivae.types.analytic import complex_step

Decoder = Callable[[Array], Array]


class Completeness(NamedTuple):
    """Shares between 0 and 1: samples on the data's manifold, data on the samples' manifold."""

    completeness: float
    coverage: float


class Halfway(NamedTuple):
    """Per pair (P,): midpoint's distance to the data over the ends' mean, and the detour ratio."""

    ratio: Array
    detour: Array
    midpoint_distance: Array


def decoder_jacobian(decode: Decoder, z: Array) -> Array:
    """The Jacobian (N, D, J) of the decoder at z (N, J), by one complex step per column (E39).

    `decode` must be analytic code: it gets complex128 and must keep the imaginary part. A decoder
    that drops it raises TypeError, instead of passing for a flat one.
    """

    def decoded(moved: Array) -> Array:
        y = decode(moved)
        if not np.iscomplexobj(y):
            raise TypeError("the decoder dropped the imaginary part: give it complex-safe code.")
        return y

    z = np.asarray(z, dtype=np.complex128)
    directions = np.eye(z.shape[1])
    return np.stack([complex_step(decoded, [z], {0: e}) for e in directions], axis=2)


def decoder_stretch(decode: Decoder, z: Array, scale: Array | None = None) -> Array:
    """How far one latent standard deviation can move the decoded datum, at each z (E39).

    z (N, J) -> (N,): the largest singular value of J_f(z) T. scale is T (J, J), any root of the
    covariance of the latents being sampled; None takes the identity, the prior's.
    """
    jacobian = decoder_jacobian(decode, z)
    if scale is not None:
        jacobian = jacobian @ scale
    gram = np.swapaxes(jacobian, 1, 2) @ jacobian  # J x J: far smaller than D x J
    top = np.linalg.eigvalsh(gram)[:, -1]
    return np.sqrt(np.maximum(top, 0.0))


def neighbour_radii(points: Array, k: int) -> Array:
    """Distance (N,) from each point to its k-th nearest neighbour other than itself (E40)."""
    if not 1 <= k < len(points):
        raise ValueError(f"k={k} neighbours need at least {k + 1} points; got {len(points)}.")
    distances, _ = nearest(points, k).kneighbors()
    return np.asarray(distances[:, -1])


def on_manifold(queries: Array, points: Array, radii: Array) -> Array:
    """Whether each query lies inside some point's ball: (Q,) booleans (E40)."""
    from sklearn.metrics import pairwise_distances_chunked

    inside = pairwise_distances_chunked(
        queries, points, reduce_func=lambda distances, start: (distances <= radii).any(axis=1)
    )
    return np.concatenate(list(inside))


def nearest_distance(queries: Array, points: Array) -> Array:
    """Distance (Q,) from each query to the nearest of the points."""
    distances, _ = nearest(points, 1).kneighbors(queries)
    return np.asarray(distances[:, 0])


def nearest(points: Array, k: int) -> Any:
    """scikit-learn's search for the k nearest of the points (N, D)."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k).fit(points)


def completeness_and_coverage(decoded: Array, data: Array, k: int = 3) -> Completeness:
    """Precision and recall of decoded latent samples against data, by k nearest neighbours (E40).

    decoded (Y, D), data (X, D): use as many of the one as of the other, for a ball's size depends
    on the number of points. Distances are between raw features (Kynkäänniemi et al. 2019 use a
    network's features; pixels keep this free of any other model).
    """
    decoded, data = np.asarray(decoded, np.float64), np.asarray(data, np.float64)
    precision = on_manifold(decoded, data, neighbour_radii(data, k)).mean()
    recall = on_manifold(data, decoded, neighbour_radii(decoded, k)).mean()
    return Completeness(float(precision), float(recall))


def posterior_overlap(mu: Array, logvar: Array, neighbours: int = 1) -> Array:
    """Bhattacharyya coefficient (N,) of each posterior with its k-th nearest in mean (E41).

    mu, logvar (N, J), diagonal Gaussians. 1: the two are the same; 0: they do not meet.
    """
    mu, logvar = np.asarray(mu, np.float64), np.asarray(logvar, np.float64)
    other = nearest(mu, neighbours).kneighbors(return_distance=False)[:, -1]
    return bhattacharyya(mu, logvar, mu[other], logvar[other])


def bhattacharyya(mu1: Array, logvar1: Array, mu2: Array, logvar2: Array) -> Array:
    """Overlap (N,) of two diagonal Gaussians: the integral of the root of their product (E41)."""
    # With tiny variances the ratio of exponentials would be 0/0: logarithms throughout.
    top = np.maximum(logvar1, logvar2)
    log_mean = top + np.log(0.5 * (np.exp(logvar1 - top) + np.exp(logvar2 - top)))
    logs = 0.25 * (logvar1 + logvar2) - 0.5 * log_mean - (mu1 - mu2) ** 2 / 8.0 * np.exp(-log_mean)
    result: Array = np.exp(logs.sum(axis=1))
    return result


def spherical(start: Array, end: Array, t: float) -> Array:
    """The point (P, J) a share t of the way along the arc from start to end (P, J).

    The direction turns along the great circle and the length changes evenly: the usual formula,
    applied to vectors of two lengths, runs off to infinity where they point opposite ways.
    """
    lengths = [np.linalg.norm(v, axis=1, keepdims=True) for v in (start, end)]
    a, b = (v / np.maximum(n, 1e-300) for v, n in zip((start, end), lengths, strict=True))
    angle = np.arccos(np.clip((a * b).sum(axis=1, keepdims=True), -1.0, 1.0))
    sine = np.sin(angle)
    straight = sine < 1e-8  # one direction or opposite ones: no circle is singled out
    safe = np.where(straight, 1.0, sine)
    turned = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / safe
    length = (1 - t) * lengths[0] + t * lengths[1]
    result: Array = np.where(straight, (1 - t) * start + t * end, length * turned)
    return result


def halfway_test(
    decode: Decoder, start: Array, end: Array, data: Array, path: str = "linear"
) -> Halfway:
    """Does the middle of two codes decode to something between, and like data (E46)?

    start, end (P, J) codes; data (N, D) stands for the manifold; path "linear" or "spherical".
    ratio 1: the middle is as near to data as the ends are. detour 1: it lies on the straight line
    between the decoded ends; larger: the way round.
    """
    if path not in ("linear", "spherical"):
        raise ValueError(f"path must be 'linear' or 'spherical', not {shown(path)}.")
    middle = 0.5 * (start + end) if path == "linear" else spherical(start, end, 0.5)
    first, mid, last = (np.asarray(decode(z), np.float64) for z in (start, middle, end))
    data = np.asarray(data, np.float64)
    ends = 0.5 * (nearest_distance(first, data) + nearest_distance(last, data))
    distance = nearest_distance(mid, data)
    way = np.linalg.norm(first - mid, axis=1) + np.linalg.norm(mid - last, axis=1)
    straight = np.linalg.norm(first - last, axis=1)
    return Halfway(distance / np.maximum(ends, 1e-12), way / np.maximum(straight, 1e-12), distance)
