"""The first values of the parameters: random weights by a named rule, c = 1, biases mostly 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.ops.philox import INIT, normals, uniforms
from minivae.params import Layout
from minivae.types import Array

OUTPUT_BIAS = "decoder.out.b"


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
            view[...] = _uniform(seed, k, rows, columns) * bound
    return theta


def fan_in(layout: Layout, seed: int, dtype: str = "float32") -> Array:
    """Matrices and biases uniform in ±1 / √I, I the inputs of their layer, all else zero.

    What PyTorch's `nn.Linear` begins with.
    """
    theta = np.zeros(layout.size, dtype=dtype)
    views = layout.views(theta)
    for k, (name, view) in enumerate(views.items()):
        if name.endswith((".W", ".b")):
            bound = 1 / math.sqrt(len(views[name[:-1] + "W"]))
            values = _uniform(seed, k, *np.atleast_2d(view).shape)
            view[...] = values.reshape(view.shape) * bound
    return theta


def normal(layout: Layout, seed: int, dtype: str = "float32", deviation: float = 0.1) -> Array:
    """Matrices and biases normal with this standard deviation, all else zero.

    Kingma & Welling 2014, section 5, draw them "from N(0, 0.01)". Read as a variance that is 0.1;
    the first author's own code (github.com/dpkingma/anglepy, `init_w(std=1e-2)`) has 0.01.
    """
    theta = np.zeros(layout.size, dtype=dtype)
    for k, (name, view) in enumerate(layout.views(theta).items()):
        if name.endswith((".W", ".b")):
            rows, columns = np.atleast_2d(view).shape
            drawn = normals(seed, INIT, k, np.arange(rows), columns)
            view[...] = deviation * drawn.reshape(view.shape)
    return theta


def _uniform(seed: int, k: int, rows: int, columns: int) -> Array:
    """(rows, columns) float64, uniform in (-1, 1), of the layout's k-th tensor."""
    u = uniforms(seed, INIT, k, np.arange(rows), columns)
    return 2 * u.astype(np.float64) - 1


INITIALISATIONS: Mapping[str, Callable[[Layout, int, str], Array]] = {
    "glorot": glorot,
    "fan-in": fan_in,
    "normal": normal,
    "normal-0.01": partial(normal, deviation=0.01),
}


def initialise(
    config: ModelConfig,
    seed: int,
    dtype: str = "float32",
    rule: str = "glorot",
    output_bias: Array | None = None,
) -> Array:
    """The VAE's parameters before the first update, a function of (config, seed) and the rule.

    rule: a name in INITIALISATIONS. output_bias (D,): where the decoder's last bias begins.
    """
    layout = layout_of(config)
    theta = INITIALISATIONS[rule](layout, seed, dtype)
    if output_bias is not None:
        layout.views(theta)[OUTPUT_BIAS][...] = output_bias
    return theta
