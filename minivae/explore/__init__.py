"""The latent explorer: one HTML file with the decoder inside, to walk a latent plane by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.backend import load_backend
from minivae.explore.closed import asset, closed_page, encoded
from minivae.layers import Parameters
from minivae.metrics.regularity import neighbour_radii, on_manifold
from minivae.parts import ACTIVATIONS, LIKELIHOODS
from minivae.plots.images import Look, look_of
from minivae.types import Array

CELLS = 64  # the shading's grid, per side
PROOF = 16  # decoded points that the page can check itself against
MEASURED = 1000  # draws from the prior whose decoded pictures are judged
NEIGHBOURS = 2000  # at most so many data tell what is near the data
ORIGINALS_BYTES = 1_200_000  # how much of the data itself the page may carry
SCRIPTS = ("bytes", "theme", "decoder", "plane", "panel", "page")
IDENTITY = "identity"
REACH, STEP = 20.0, 0.002  # of a function that the page is given as a table, straight beyond


class Explored(NamedTuple):
    """A model as the page sees it.

    decode: codes (n, J) -> pixel means (n, D). activation, link: of the decoder, by name; groups:
    the groups' sizes where the link is a softmax over each. mu (N, J), sd (N, J) or None for an
    autoencoder. dims: the two latent dimensions of the plane; the others rest. likelihood, logc,
    beta: what the loss of a datum is made of; the page computes it for "gaussian" and "bernoulli",
    and shows none for others. deviation (D,): of each column, where logc is that of standardised
    columns and all else in the user's units; None where there is one kind of unit.
    """

    title: str
    about: str
    decode: Callable[[Array], Array]
    parameters: Parameters
    depth: int
    activation: str
    link: str
    mu: Array
    sd: Array | None
    dims: tuple[int, int]
    likelihood: str = ""
    logc: float = 0.0
    deviation: Array | None = None
    beta: float = 1.0
    groups: tuple[int, ...] = ()


def page(
    title: str,
    models: list[Explored],
    x: Array,
    shape: tuple[int, ...],
    *,
    rows: Array,
    labels: Array | None = None,
    names: tuple[str, ...] | None = None,
    look: Look | None = None,
    note: str = "",
) -> str:
    """The whole page as text.

    x (N, D) the data whose codes are shown, rows (N,) their numbers in the data set, labels (N,)
    and their names or None, shape (height, width) or (height, width, 3) of a datum as a picture,
    look how values become grey. Raises ValueError if the shape does not fit the data.
    """
    if np.prod(shape) != x.shape[1]:
        size = "x".join(str(n) for n in shape)
        raise ValueError(f"pictures of {size} do not fit {x.shape[1]} features")
    look = (look or look_of(x)).of_shape(shape)
    originals = x[: max(1, ORIGINALS_BYTES // (4 * x.shape[1]))]
    content = {
        "data": {
            "shape": list(shape),
            "look": look._asdict(),
            "rows": rows.tolist(),
            "labels": None if labels is None else labels.tolist(),
            "names": names,
            "originals": len(originals),
            "pixels": encoded(originals.astype(np.float32)),
        },
        "path": ends_of_path(models[0].mu[: len(originals)], models[0].dims, labels),
        "models": [content_of(model, x) for model in models],
    }
    scripts = [asset("minivae.explore", f"{name}.js") for name in SCRIPTS]
    style, own = (asset("minivae.explore", f"{name}.css") for name in ("theme", "page"))
    template = asset("minivae.explore", "page.html")
    return closed_page(template, style + own, scripts, content, {"title": title, "note": note})


def content_of(model: Explored, x: Array) -> dict[str, Any]:
    """What the page needs of one model: decoder, codes, shading and points to check against."""
    low, high = extent(model.mu[:, model.dims])
    names = [f"decoder.{i}" for i in range(model.depth)] + ["decoder.out"]
    proof = model.mu[:PROOF].astype(np.float32)
    near = Neighbourhood(x)
    return {
        "title": model.title,
        "about": f"{model.about} {told_of_prior(model, near)}",
        "latent": model.mu.shape[1],
        "dims": list(model.dims),
        "low": low.tolist(),
        "high": high.tolist(),
        "mu": encoded(model.mu.astype(np.float32)),
        "sd": None if model.sd is None else encoded(model.sd.astype(np.float32)),
        "likelihood": model.likelihood,
        "logc": model.logc,
        "deviation": None
        if model.deviation is None
        else encoded(model.deviation.astype(np.float32)),
        "beta": model.beta,
        "cells": CELLS,
        "shade": encoded(off_manifold(model, near, low, high)),
        "decoder": {
            "layers": [layer_of(model.parameters, name) for name in names],
            "activation": table_of(ACTIVATIONS[model.activation].forward),
            "link": link_of(model),
            "groups": list(model.groups),
        },
        "proof": {
            "codes": encoded(proof),
            "pixels": encoded(model.decode(proof).astype(np.float32)),
        },
    }


def table_of(function: Callable[[Array], Array]) -> str:
    """A function of one number as base64 of its float32 values every STEP from -REACH to REACH.

    So the page needs no code for an activation: it looks up, and goes on straight outside.
    """
    points = np.arange(-round(REACH / STEP), round(REACH / STEP) + 1) * STEP
    return encoded(np.asarray(function(points)).astype(np.float32))


def link_of(model: Explored) -> str | None:
    """The table from the decoder's output to E[x | z]; None where the two are one, or by groups."""
    likelihood = next((part for part in LIKELIHOODS.values() if part.link == model.link), None)
    if likelihood is None or model.groups or likelihood.link == IDENTITY:
        return None
    K = load_backend("numpy")
    return table_of(lambda a: likelihood.mean(K, a))


def layer_of(p: Parameters, name: str) -> dict[str, Any]:
    """A dense layer's weights, row by row, as base64 of little-endian float32."""
    W = p[f"{name}.W"]
    return {
        "I": W.shape[0],
        "O": W.shape[1],
        "W": encoded(W.astype(np.float32)),
        "b": encoded(p[f"{name}.b"].astype(np.float32)),
    }


def extent(plane: Array) -> tuple[Array, Array]:
    """A square's corners around the codes (N, 2), with a margin and the prior's middle inside."""
    low, high = np.quantile(plane, 0.002, axis=0), np.quantile(plane, 0.998, axis=0)
    margin = 0.12 * (high - low) + 1e-3
    return np.minimum(low - margin, -1.0), np.maximum(high + margin, 1.0)


class Neighbourhood:
    """Where data lie: the balls around each datum to its third nearest neighbour   (E40)"""

    def __init__(self, x: Array) -> None:
        self.points = x[:NEIGHBOURS].astype(np.float64)
        self.radii = neighbour_radii(self.points, min(3, len(self.points) - 1))

    def holds(self, decoded: Array) -> Array:
        """Whether each of the pictures (n, D) lies in some datum's ball: (n,) of bool."""
        return on_manifold(decoded.astype(np.float64), self.points, self.radii)

    def baselines(self) -> tuple[float, float]:
        """What a share is to be held against: halfway blends of two data that lie near the data,
        and one half of the data near the other half, which no model made."""
        mixed = 0.5 * (self.points + np.roll(self.points, len(self.points) // 2, axis=0))
        half = Neighbourhood(self.points[::2]) if len(self.points) >= 4 else self
        return float(self.holds(mixed).mean()), float(half.holds(self.points[1::2]).mean())


def off_manifold(model: Explored, near: Neighbourhood, low: Array, high: Array) -> Array:
    """1 where a cell's decoded centre lies in no datum's neighbourhood, uint8   (E40)"""
    centres = (np.arange(CELLS) + 0.5) / CELLS
    z = np.zeros((CELLS * CELLS, model.mu.shape[1]), dtype=np.float32)
    across, up = np.meshgrid(centres, centres)
    z[:, model.dims[0]] = (low[0] + across * (high[0] - low[0])).ravel()
    z[:, model.dims[1]] = (low[1] + up * (high[1] - low[1])).ravel()
    return (~near.holds(model.decode(z))).astype(np.uint8)


def told_of_prior(model: Explored, near: Neighbourhood) -> str:
    """How far out the codes lie, and what share of the prior decodes to something near the data."""
    z = np.random.default_rng(0).normal(size=(MEASURED, model.mu.shape[1])).astype(np.float32)
    share = float(near.holds(model.decode(z)).mean())
    blends, halves = near.baselines()
    spread = ", ".join(f"{s:.2g}" for s in model.mu[:, model.dims].std(axis=0))
    return (
        f"The codes' standard deviations are {spread} (the prior's: 1, 1). Of {MEASURED} draws "
        f"from the prior N(0, I), {share:.0%} decode to something near the data "
        f"(of blends of two data {blends:.0%} are near; of one half of the data {halves:.0%} are "
        "near the other half)."
    )


def ends_of_path(mu: Array, dims: tuple[int, int], labels: Array | None) -> list[int]:
    """Two data to start with: of the two kinds that lie farthest apart, each kind's middle one.

    Without labels, the two data that lie farthest apart among a few hundred.
    """
    plane = mu[:, dims]
    if labels is None or len(np.unique(labels[: len(mu)])) < 2:
        middles = np.arange(min(300, len(mu)))
    else:
        labels = labels[: len(mu)]
        groups = [np.flatnonzero(labels == kind) for kind in np.unique(labels)]
        middles = np.array([central(plane, group) for group in groups])
    gaps = np.linalg.norm(plane[middles][:, None] - plane[middles][None], axis=2)
    a, b = np.unravel_index(np.argmax(gaps), gaps.shape)
    return [int(middles[a]), int(middles[b])]


def central(plane: Array, group: Array) -> int:
    """The member of a group of rows that lies nearest to the group's median."""
    away = np.linalg.norm(plane[group] - np.median(plane[group], axis=0), axis=1)
    return int(group[np.argmin(away)])
