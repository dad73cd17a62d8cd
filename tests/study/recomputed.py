"""Ties a test to the very formula of MATHS.md that it recomputes, and the tools it does it with."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import integrate

from minivae.backend import load_backend
from minivae.study import index
from minivae.types import Array

K = load_backend("numpy")
UP = np.array(0.7)  # an upstream gradient
LATEX = {each.number: each.latex for each in index.equations()}


def digest(number: int) -> str:
    """Eight letters that change when the formula on the page does, blanks apart."""
    return hashlib.sha256(re.sub(r"\s+", "", LATEX[number]).encode()).hexdigest()[:8]


def recomputes(number: int, seen: str) -> Callable[[Any], Any]:
    """The test below recomputes (E`number`) as it was printed when its digest was `seen`."""

    def tie(test: Any) -> Any:
        @functools.wraps(test)
        def tied(*args: Any, **kwargs: Any) -> None:
            now = digest(number)
            assert now == seen, f"(E{number}) has changed: recompute it here, then say {now!r}"
            test(*args, **kwargs)

        return tied

    return tie


def slopes(function: Callable[[Array], Any], x: Array, h: float = 1e-5) -> Array:
    """The gradient of a scalar function at x, any shape, by central differences."""
    x = np.array(x, dtype=np.float64)
    found = np.empty_like(x)
    for at in np.ndindex(x.shape):
        kept = x[at]
        x[at] = kept + h
        above = float(function(x))
        x[at] = kept - h
        found[at] = (above - float(function(x))) / (2 * h)
        x[at] = kept
    return found


def close(one: Any, other: Any, tolerance: float) -> None:
    """Equal to `tolerance`, relative to the larger of 1 and the largest entry; NaN fails."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    assert one.shape == other.shape
    scale = max(1.0, float(np.abs(other).max()))
    assert np.abs(one - other).max() <= tolerance * scale


def correlated_rows() -> Array:
    """Data (40, 4) whose columns are correlated and whose mean is not 0."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4)) + 3.0


X = correlated_rows()
LINE = np.linspace(-14.0, 14.0, 8001)  # where the trapezium rule is exact for Gaussians


def integral(values: Array) -> Any:
    """Over LINE, along the first axis."""
    return values.sum(axis=0) * (LINE[1] - LINE[0])


def normal(x: Any, mean: Any, variance: Any) -> Any:
    """The density of N(mean, variance) at x."""
    return np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)


def bend(z: Array) -> Array:
    """A decoder from one number to two that bends."""
    return np.stack([np.sin(2 * z[:, 0]), 0.3 * z[:, 0] ** 2], axis=1)


SEEN, C = np.array([0.9, 0.2]), 0.3


def joint(z: Any) -> Any:
    """p(x|z) p(z) of the datum SEEN, factor by factor."""
    z = np.atleast_1d(z)
    by_feature = [normal(a, f, C) for a, f in zip(SEEN, bend(z[:, None]).T)]
    return by_feature[0] * by_feature[1] * normal(z, 0.0, 1.0)


EVIDENCE = integrate.quad(lambda z: joint(z)[0], -9, 9, epsabs=1e-13)[0]
