"""Reconstruction error, and a table of every model's on the same data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minivae.types import Array


class ReconstructionRow(NamedTuple):
    """One line of the comparison: a model's name and its error per datum (E2) on two sets."""

    name: str
    train_error: float
    test_error: float


def reconstruction_error(x: Array, reconstructed: Array) -> float:
    """Mean over the data of the squared distance, summed over features (E2).

    x and reconstructed (N, D). Raises ValueError where the shapes differ: broadcasting would give
    a number that means nothing.
    """
    if x.shape != reconstructed.shape:
        raise ValueError(f"x has shape {x.shape}, its reconstruction {reconstructed.shape}.")
    difference = np.asarray(x, dtype=np.float64) - reconstructed
    return float(np.mean(np.sum(difference**2, axis=1)))


def best_pair(models: Mapping[str, Any], train: Array, test: Array) -> list[ReconstructionRow]:
    """Fit every model (an encoder and decoder pair) and rank them by test error, best first (E1).

    Each value of `models` has fit, encode and decode. train (N, D), test (M, D).
    """
    rows = []
    for name, model in models.items():
        model.fit(train)
        errors = [reconstruction_error(x, model.decode(model.encode(x))) for x in (train, test)]
        rows.append(ReconstructionRow(name, *errors))
    return sorted(rows, key=lambda row: row.test_error)
