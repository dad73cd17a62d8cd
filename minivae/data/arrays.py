"""Data sets from arrays in memory: the one place where parts are checked and cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.checks import require_labels, require_matrix, to_storage
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.ops.philox import permutation

HELD_OUT = 0.1  # of the rows, where the data comes in one piece
_SPLIT_SEED = 0  # the cut is a property of the data set, never of the run


def from_arrays(
    train: NDArray[Any],
    test: NDArray[Any] | None = None,
    valid: NDArray[Any] | None = None,
    *,
    labels: Mapping[str, NDArray[Any]] | None = None,
    name: str = "X",
    split: bool = True,
    shape: tuple[int, int] | None = None,
    source: str = "given arrays",
) -> Dataset:
    """Check arrays and make a :class:`Dataset` of them.

    Args:
        train: (N, D) real numbers. Values of 0 and 1 alone stay as they are; other uint8 values
            are pictures, scaled by 1/255; all else becomes float32.
        test, valid: further parts of D features. Without ``test``, one row in ten is held out by
            a fixed permutation.
        labels: ``{"train": y, "test": …}``, whole numbers, one a row.
        name: what messages call the data.
        split: False keeps all rows, in their order, in ``train``.
        shape: (height, width) of a row as a picture; guessed where D is a square of at least 64.

    Raises:
        DataError: wrong dimensions or dtype, no rows, NaN, infinity, parts or labels that differ
            in size.
    """
    given = {"train": train, "valid": valid, "test": test}
    parts = {
        part: require_matrix(np.asarray(rows), name if part == "train" else f"{name} ({part})")
        for part, rows in given.items()
        if rows is not None
    }
    stored, scale, binary = to_storage(parts, name)
    tags = {
        part: require_labels(np.asarray(y), len(stored[part]), f"{name} ({part})")
        for part, y in (labels or {}).items()
        if part in stored
    }
    dataset = Dataset(
        name=name,
        train=stored["train"],
        test=stored.get("test", stored["train"][:0]),
        valid=stored.get("valid"),
        train_labels=tags.get("train"),
        test_labels=tags.get("test"),
        valid_labels=tags.get("valid"),
        shape=picture_shape(stored["train"].shape[1], shape, name),
        scale=scale,
        source=source,
        fixed_binary=binary,
    )
    return hold_out(dataset) if split and test is None else dataset


def hold_out(dataset: Dataset, count: int | None = None) -> Dataset:
    """Cut ``count`` rows (a tenth by default) of ``train`` off as ``test``.

    Which rows is a fixed permutation of their number, so that every run and machine cuts alike.
    """
    rows = len(dataset.train)
    count = round(HELD_OUT * rows) if count is None else count
    if count == 0:
        return dataset
    order = permutation(_SPLIT_SEED, 0, rows)
    return take(dataset, np.sort(order[count:]), np.sort(order[:count]))


def take(dataset: Dataset, train: NDArray[np.int64], test: NDArray[np.int64]) -> Dataset:
    """Rows of ``train``, chosen twice: as the new train and as the new test part."""
    labels, factors = dataset.train_labels, dataset.factors
    return dataset.with_parts(
        train=dataset.train[train],
        test=dataset.train[test],
        train_labels=None if labels is None else labels[train],
        test_labels=None if labels is None else labels[test],
        factors=None if factors is None else {k: v[train] for k, v in factors.items()},
        test_factors=None if factors is None else {k: v[test] for k, v in factors.items()},
    )


def merge(dataset: Dataset) -> Dataset:
    """All rows in ``train``, in the order train, valid, test; the other parts have none."""
    rows = list(dataset.parts.values())
    if len(rows) == 1:
        return dataset
    tags = [getattr(dataset, f"{part}_labels") for part in dataset.parts]
    factors, more = dataset.factors, dataset.test_factors
    return dataset.with_parts(
        train=np.concatenate(rows),
        test=dataset.train[:0],
        valid=None,
        train_labels=None if any(y is None for y in tags) else np.concatenate(tags),
        test_labels=None,
        valid_labels=None,
        factors=(
            {k: np.concatenate([v, more[k]]) for k, v in factors.items()}
            if factors is not None and more is not None
            else None
        ),
        test_factors=None,
    )


def picture_shape(width: int, given: tuple[int, int] | None, where: str) -> tuple[int, int] | None:
    """The given (height, width), checked; else a square where one fits ``width`` features."""
    if given is not None:
        if given[0] * given[1] != width:
            raise DataError(
                f"{where}: pictures of {given[0]}x{given[1]} need {given[0] * given[1]} features, "
                f"but rows have {width}; give a height and width whose product is {width}"
            )
        return given
    side = math.isqrt(width)
    return (side, side) if side * side == width and side >= 8 else None
