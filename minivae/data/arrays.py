"""Data sets from arrays in memory: the one place where parts are checked and cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.checks import flat_pictures, require_matrix, to_storage
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.far import origin_of_run, settled_origin, without
from minivae.data.labels import usable_labels
from minivae.data.reading import Reading, shape_words
from minivae.data.shape import fitting_shape, guessed_shape
from minivae.data.standard import CHUNK, Standard
from minivae.data.stream import FileRows, select
from minivae.ops.philox import permutation

HELD_OUT = 0.1  # of the rows, where the data comes in one piece
_SPLIT_SEED = 0  # the cut is a property of the data set, never of the run


def from_file_arrays(
    path: object,
    reading: Reading,
    train: NDArray[Any],
    test: NDArray[Any] | None = None,
    valid: NDArray[Any] | None = None,
    **more: Any,
) -> Dataset:
    """`from_arrays` for what lies at `path`, as `reading` says; `more` is handed on, and wins."""
    settings: dict[str, Any] = {
        "name": str(path),
        "source": str(path),
        "split": reading.split,
        "shape": reading.shape,
        "standardise": reading.standardise,
        "origin": origin_of_run(reading, more.get("columns"), train.shape[-1:]),
    }
    return from_arrays(train, test, valid, **settings | more)


def from_arrays(
    train: NDArray[Any],
    test: NDArray[Any] | None = None,
    valid: NDArray[Any] | None = None,
    *,
    labels: Mapping[str, Any] | None = None,
    label_places: Mapping[str, str] | None = None,
    name: str = "X",
    split: bool = True,
    shape: tuple[int, ...] | None = None,
    source: str = "given arrays",
    columns: tuple[str, ...] | None = None,
    groups: tuple[tuple[int, int], ...] | None = None,
    standardise: bool = False,
    origin: NDArray[np.float64] | None = None,
) -> Dataset:
    """Check arrays and make a :class:`Dataset` of them.

    Args:
        train: (N, D) real numbers, or pictures (N, H, W), (N, H, W, 1) or (N, H, W, 3). Values of
            0 and 1 alone stay as they are; other uint8 values are pictures, scaled by 1/255; grey
            levels of pictures stored as other numbers are scaled too; all else becomes float32.
        test, valid: further parts of D features. Without ``test``, one row in ten is held out by
            a fixed permutation.
        labels: ``{"train": y, …}`` of any kind; unusable ones are noted, infinite ones refused.
        label_places: what messages call the labels of each part, ``name`` by default.
        name: what messages call the data.
        split: False keeps all rows, in their order, in ``train``.
        shape: (height, width) or (height, width, 3) of a row as a picture; where it is not given,
            a square is taken if the rows look like one.
        columns: their names, for a table.
        groups: (first column, column after the last) of columns that are one-hot together.
        standardise: take each column's mean and deviation over ``train`` out of it.
        origin: what to take out of each column before it becomes float32, for data that are
            standardised by others' moments next; with `standardise` it is found out here.

    Raises:
        DataError: wrong dimensions or dtype, no rows, NaN, infinity, parts that differ in size.
    """
    given = {"train": train, "valid": valid, "test": test}
    flat, found = _rows_of(given, name)
    shape = fitting_shape(flat["train"].shape[1], shape or found, name)
    pictures = shape is not None
    origin, far = settled_origin(flat["train"], name, columns, origin, standardise, pictures)
    flat = {part: without(x, origin) for part, x in flat.items()}
    stored = to_storage(flat, name, columns=columns, pictures=pictures)
    sizes = {part: len(x) for part, x in stored.parts.items()}
    tags = usable_labels(labels or {}, sizes, name, label_places)
    rows: dict[str, Any] = {"test": stored.parts["train"][:0], **stored.parts}
    guess, doubt = (None, "") if pictures or columns else guessed_shape(rows["train"], name)
    dataset = Dataset(
        name=name,
        source=source,
        **rows | {f"{part}_labels": y for part, y in tags.parts.items()},
        label_names=tags.names,
        shape=shape or guess,
        scale=stored.scale,
        fixed_binary=stored.binary,
        columns=None if pictures else columns,
        groups=groups,
        origin=origin,
        notes=tuple(note for note in (stored.note, tags.note, doubt, far) if note),
    )
    dataset = hold_out(dataset) if split and test is None else dataset
    return standardised(dataset) if standardise else dataset


def _rows_of(
    parts: Mapping[str, Any], name: str
) -> tuple[dict[str, NDArray[Any]], tuple[int, ...] | None]:
    """Each part that is given as a matrix, and a picture's shape where they are pictures."""
    flat: dict[str, NDArray[Any]] = {}
    shapes = {}
    for part, rows in parts.items():
        if rows is None:
            continue
        where = name if part == "train" else f"{name} ({part})"
        array, shapes[part] = flat_pictures(np.asarray(rows))
        flat[part] = require_matrix(array, where)
    if len(set(shapes.values())) > 1:
        listed = ", ".join(
            f"{part} {shape_words(shape) if shape else 'rows'}" for part, shape in shapes.items()
        )
        raise DataError(f"{name}: the parts differ in their pictures' shape: {listed}")
    return flat, shapes["train"]


def standardised(dataset: Dataset, standard: Standard | None = None) -> Dataset:
    """The data set with each column's mean and deviation over ``train``, or those given, taken out.

    Data that are standardised already come back as they are.
    """
    if dataset.standard is not None:
        return dataset
    if standard is None:
        standard = Standard.of(dataset.train, dataset.scale, dataset.groups, origin=dataset.origin)
    origin = dataset.origin
    parts = {"train": dataset.train, "test": dataset.test, "valid": dataset.valid}
    changed = {
        part: rows if rows is None else _applied(rows, dataset.scale, standard, origin)
        for part, rows in parts.items()
    }
    return dataset.with_parts(
        **changed, scale=1.0, fixed_binary=False, standard=standard, origin=None
    )


def _applied(
    rows: Any, scale: float, standard: Standard, origin: NDArray[np.float64] | None
) -> Any:
    def change(x: NDArray[Any]) -> NDArray[np.float32]:
        values = x.astype(np.float64) * scale
        values = values if origin is None else values + origin
        return standard.apply(values).astype(np.float32)

    if isinstance(rows, FileRows):
        return rows.converted(change)
    out = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, len(rows), CHUNK):
        out[start : start + CHUNK] = change(rows[start : start + CHUNK])
    return out


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
        train=select(dataset.train, train),
        test=select(dataset.train, test),
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
