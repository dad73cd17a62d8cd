"""One case: a pass of ours as a function of a backend's ops, with a test point that hides no
mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.types import Array
from minivae.verify.check import check
from minivae.verify.report import Report

# No two sizes are equal and none is 1, so that a mixed-up axis cannot pass.
DIMS = {"B": 5, "D": 7, "H": 6, "J": 3, "I": 4, "O": 8, "L": 2}


class Case(NamedTuple):
    """One row: forward(K, *inputs) -> (y, cache), backward(K, dy, cache), and a test point."""

    name: str
    kind: str  # "op", "layer", "model" or "part"
    covers: tuple[str, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: dict[str, Any]
    wrt: tuple[str, ...] | None = None

    def run(self, K: Any = ops, **options: Any) -> Report:
        """The report of this row under the namespace of ops K."""
        return check(
            lambda *inputs: self.forward(K, *inputs),
            lambda dy, cache: self.backward(K, dy, cache),
            list(self.inputs.values()),
            name=self.name,
            names=list(self.inputs),
            wrt=self.wrt,
            **{"seconds": 60.0, **options},  # every entry is visited, on the slowest machine too
        )


def lint_dims(dims: dict[str, int]) -> list[str]:
    """Dimensions that are equal, or 1, and so cannot tell axes apart."""
    notes = [f"{name} is 1" for name, n in dims.items() if n == 1]
    seen: dict[int, str] = {}
    for name, n in dims.items():
        if n in seen:
            notes.append(f"{seen[n]} and {name} are both {n}")
        seen.setdefault(n, name)
    return notes


def rng_for(name: str) -> np.random.Generator:
    """A generator of the row's own, so that adding a row moves no other's test point."""
    return np.random.default_rng(list(name.encode()))


def normal(name: str, *shape: int, scale: float = 1.0) -> Array:
    return rng_for(name).normal(size=shape) * scale


def covariance(name: str, n: int) -> Array:
    """A matrix near a covariance: each entry is a variable of its own, so it is not symmetric."""
    root = normal(name, n, n)
    return root @ root.T + n * np.eye(n) + 0.3 * normal(name + "skew", n, n)
