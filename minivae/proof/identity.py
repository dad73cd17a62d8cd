"""An identity that the maths asks of a forward, and what several of them are made with."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from minivae.types import Array


class Meaning(NamedTuple):
    """One identity that must hold: its error, the limit, and the op it would blame."""

    name: str
    op: str
    error: float
    limit: float

    @property
    def ok(self) -> bool:
        return self.error <= self.limit


def gauss_hermite(points: int, dims: int) -> tuple[Array, Array]:
    """Nodes (n, dims) and weights (n,) that integrate polynomials against N(0, I) exactly."""
    node, weight = np.polynomial.hermite_e.hermegauss(points)
    weight = weight / weight.sum()
    grid = np.array(list(itertools.product(node, repeat=dims)))
    weights = np.array([math.prod(w) for w in itertools.product(weight, repeat=dims)])
    return grid, weights


def largest(gap: Array, of: Array) -> float:
    return float(np.abs(gap).max() / np.abs(of).max())


def linear_decoder() -> tuple[Array, Array, Array, Array]:
    """W (J, D), b (D,), log c and data (B, D) of a model whose posterior is known exactly."""
    rng = np.random.default_rng(8)
    return rng.normal(size=(2, 4)), rng.normal(size=4), np.array(-0.3), rng.normal(size=(3, 4))
