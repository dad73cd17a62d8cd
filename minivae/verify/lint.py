"""Reads a test point for what would let a wrong pass through: equal sizes, ones, zeros,
repeated numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import tree


def lint_point(values: Sequence[Any], names: Sequence[str], y: Array, dy: Array) -> list[str]:
    """One line for each weakness of a test point; none is a fault of the pass."""
    notes: list[str] = []
    for name, value in zip(names, values, strict=True):
        if tree.kind_of(value) == "float":
            notes += lint_array(name, np.asarray(value))
    if dy.size and np.all(np.abs(dy) == 1):
        notes.append("test point: the upstream is 1 everywhere: a dropped upstream would pass")
    if y.size > 1 and np.ptp(y) == 0:
        notes.append("test point: all outputs are equal")
    return notes


def lint_array(name: str, value: Array) -> list[str]:
    """Equal axes, zeros, repeated entries of one array."""
    notes = []
    sizes = [n for n in value.shape if n > 1]
    if len(set(sizes)) < len(sizes):
        notes.append(f"test point: {name} has equal axes {value.shape}: a transposition could pass")
    if value.size > 1 and not np.any(value):
        notes.append(f"test point: {name} is zero everywhere")
    elif value.size > 1 and len(np.unique(value)) == 1:
        notes.append(f"test point: all entries of {name} are equal")
    elif value.size > 2 and 2 * np.count_nonzero(value == 0) > value.size:
        notes.append(f"test point: more than half of {name} is zero")
    return notes


def lint_dims(dims: dict[str, int]) -> list[str]:
    """Dimensions that are equal, or 1, and so cannot tell axes apart."""
    notes = [f"test point: {name} is 1" for name, n in dims.items() if n == 1]
    seen: dict[int, str] = {}
    for name, n in dims.items():
        if n in seen:
            notes.append(f"test point: {seen[n]} and {name} are both {n}")
        seen.setdefault(n, name)
    return notes


def lint_mix(name: str, preactivation: Array) -> list[str]:
    """A ReLU's test point needs units on both sides."""
    share = float(np.mean(preactivation > 0))
    return [] if 0 < share < 1 else [f"test point: all units of {name} are on one side of the kink"]
