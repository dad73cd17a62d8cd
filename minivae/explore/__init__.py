"""The latent explorer: one HTML file with the decoder inside, to walk a latent plane by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.explore.closed import asset, closed_page, encoded
from minivae.layers import Parameters
from minivae.metrics.regularity import neighbour_radii, on_manifold
from minivae.types import Array

CELLS = 64  # the shading's grid, per side
PROOF = 16  # decoded points that the page can check itself against
ORIGINALS_BYTES = 800_000  # how much of the data itself the page may carry
SCRIPTS = ("decoder.js", "view.js", "page.js")


class Explored(NamedTuple):
    """A model as the page sees it.

    decode: codes (n, J) -> pixel means (n, D). mu (N, J), sd (N, J) or None for an autoencoder.
    dims: the two latent dimensions of the plane; the others rest at zero.
    """

    title: str
    about: str
    decode: Callable[[Array], Array]
    parameters: Parameters
    depth: int
    activation: str
    output: str
    mu: Array
    sd: Array | None
    dims: tuple[int, int]


def page(
    title: str,
    models: list[Explored],
    x: Array,
    shape: tuple[int, ...],
    *,
    rows: Array,
    labels: Array | None,
    colours: tuple[str, ...],
    names: tuple[str, ...] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    note: str = "",
) -> str:
    """The whole page as text.

    x (N, D) the data whose codes are shown, rows (N,) their numbers in the data set, labels (N,)
    or None with their names or None, shape (height, width) or (height, width, 3) of a datum seen
    as a picture, limits the values that are drawn darkest and lightest.
    Raises ValueError if the shape does not fit the data.
    """
    if math.prod(shape) != x.shape[1]:
        size = "x".join(str(n) for n in shape)
        raise ValueError(f"pictures of {size} do not fit {x.shape[1]} features")
    low, high = limits
    shown = min(len(x), ORIGINALS_BYTES // x.shape[1])
    content = {
        "data": {
            "shape": list(shape),
            "rows": rows.tolist(),
            "labels": None if labels is None else labels.tolist(),
            "names": None if names is None else list(names),
            "limits": [low, high],
            "colours": list(colours),
            "originals": shown,
            "pixels": encoded(
                np.round(255 * np.clip((x[:shown] - low) / (high - low), 0, 1)).astype(np.uint8)
            ),
        },
        "models": [content_of(model, x) for model in models],
    }
    scripts = [asset("minivae.explore", name) for name in SCRIPTS]
    style, template = (asset("minivae.explore", f"page.{kind}") for kind in ("css", "html"))
    return closed_page(template, style, scripts, content, {"title": title, "note": note})


def content_of(model: Explored, x: Array) -> dict[str, Any]:
    """What the page needs of one model: decoder, codes, shading and points to check against."""
    plane = model.mu[:, model.dims]
    low, high = extent(plane)
    names = [f"decoder.{i}" for i in range(model.depth)] + ["decoder.out"]
    proof = model.mu[:PROOF].astype(np.float32)
    return {
        "title": model.title,
        "about": model.about,
        "latent": model.mu.shape[1],
        "dims": list(model.dims),
        "low": low.tolist(),
        "high": high.tolist(),
        "mu": encoded(plane.astype(np.float32)),
        "sd": None if model.sd is None else encoded(model.sd[:, model.dims].astype(np.float32)),
        "cells": CELLS,
        "shade": encoded(off_manifold(model, x, low, high)),
        "decoder": {
            "layers": [layer_of(model.parameters, name) for name in names],
            "activation": model.activation,
            "output": model.output,
        },
        "proof": {
            "codes": encoded(proof),
            "pixels": encoded(model.decode(proof).astype(np.float32)),
        },
    }


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


def off_manifold(model: Explored, x: Array, low: Array, high: Array) -> Array:
    """1 where a cell's decoded centre lies in no datum's neighbourhood, uint8   (E40)

    A datum's neighbourhood is the ball to its third nearest neighbour, among at most 2000 data.
    """
    points = x[:2000].astype(np.float64)
    centres = (np.arange(CELLS) + 0.5) / CELLS
    z = np.zeros((CELLS * CELLS, model.mu.shape[1]), dtype=np.float32)
    across, up = np.meshgrid(centres, centres)
    z[:, model.dims[0]] = (low[0] + across * (high[0] - low[0])).ravel()
    z[:, model.dims[1]] = (low[1] + up * (high[1] - low[1])).ravel()
    decoded = model.decode(z).astype(np.float64)
    radii = neighbour_radii(points, min(3, len(points) - 1))
    return (~on_manifold(decoded, points, radii)).astype(np.uint8)
