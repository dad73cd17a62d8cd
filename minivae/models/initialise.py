"""The first values of the parameters: Glorot-uniform weights, zero biases, c = 1."""

from __future__ import annotations

import math

import numpy as np

from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.ops.philox import INIT, uniforms
from minivae.params import Layout
from minivae.types import Array


def glorot(layout: Layout, seed: int, dtype: str = "float32") -> Array:
    """A flat buffer whose matrices are uniform in ±√(6 / (I + O)), all else zero.

    Glorot & Bengio 2010, equation 16. The k-th tensor of the layout draws from step k of the
    initialisation stream, so it depends on nothing but its place, its shape and the seed.
    """
    theta = np.zeros(layout.size, dtype=dtype)
    for k, (name, view) in enumerate(layout.views(theta).items()):
        if name.endswith(".W"):
            rows, columns = view.shape
            bound = math.sqrt(6 / (rows + columns))
            u = uniforms(seed, INIT, k, np.arange(rows), columns)
            view[...] = (2 * u.astype(np.float64) - 1) * bound
    return theta


def initialise(config: ModelConfig, seed: int, dtype: str = "float32") -> Array:
    """The VAE's parameters before the first update, a function of (config, seed)."""
    return glorot(layout_of(config), seed, dtype)
