"""A table's columns in the order in which a model knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.names import listed

UNNAMED = "Unnamed: "  # pandas' name for column j without one, with j after it


def without_leavings(
    frame: Any, name: str, kept: Sequence[str], known: Sequence[str] | None
) -> tuple[Any, list[str]]:
    """A pandas frame without what programs leave in a file, unless ``kept``; and notes of it.

    That is: columns that are empty and have no name, and the numbers or names of the rows: a first
    column without a name whose cells are whole numbers or words, each of them once, or any where a
    run's columns are ``known`` and it is none of them: of a single row nothing else can tell.
    """
    notes, left_out = [], []
    first = frame.columns[0] if len(frame.columns) else None
    unnamed = [c for c in frame.columns if c == "" or str(c).startswith(UNNAMED)]
    spread = {column.rpartition("=")[0] for column in known or () if "=" in column}
    asked = {*kept, *(known or ()), *spread}
    for column in [c for c in unnamed if c not in asked]:
        if frame[column].isna().all() and len(frame):
            notes.append(f"{name}: an empty column without a name is left out")
        elif column == first and _tells_rows_apart(frame[column], unknown=bool(known)):
            notes.append(
                f"{name}: the row numbers or names in its first column are left out; give the "
                "column a name where it is to be trained on"
            )
        else:
            continue
        left_out.append(column)
    frame = frame.drop(columns=left_out) if left_out else frame
    return frame, list(dict.fromkeys(notes))


def _tells_rows_apart(column: Any, *, unknown: bool) -> bool:
    """By the cells, or their kind alone where the column is ``unknown`` to a run."""
    if getattr(column.dtype, "kind", "O") in "bfc":  # a fraction is a measurement
        return False
    return unknown or (len(column) > 1 and bool(column.astype(str).is_unique))


def with_columns(
    dataset: Dataset, wanted: tuple[str, ...], groups: Sequence[Sequence[int]], run: object
) -> Dataset:
    """The table with the columns `wanted`, found by their names, in that order.

    Of the `groups` (first, after the last) of one-hot columns among `wanted`, these rows may lack
    kinds ("colour=red"), which are columns of zeros then. Data without names come back as they are.

    Raises DataError, naming the columns, where one is missing or is not known to `run`.
    """
    have = dataset.columns
    if have is None or have == wanted:
        return dataset
    place = {name: j for j, name in enumerate(have)}
    asked = frozenset(wanted)
    zeros = {
        name
        for first, after in groups
        for name in wanted[first:after]
        if name not in place and any(kind in place for kind in wanted[first:after])
    }
    lacking = [name for name in wanted if name not in place and name not in zeros]
    unknown = [name for name in have if name not in asked]
    if lacking or unknown:
        faults = {"lacks": lacking, "also has": unknown}
        said = " and ".join(f"{has} {listed(map(repr, c))}" for has, c in faults.items() if c)
        raise DataError(
            f"{dataset.name} has other columns than {run} was trained on: it {said}; give it "
            f"{listed(map(repr, wanted))}"
        )
    places = np.array([-1 if name in zeros else place[name] for name in wanted])
    parts = {"train": dataset.train, "test": dataset.test, "valid": dataset.valid}
    taken: dict[str, Any] = {
        part: None if rows is None else _taken(rows, places) for part, rows in parts.items()
    }
    if dataset.origin is not None:
        taken["origin"] = np.where(places < 0, 0.0, dataset.origin[places])
    own = tuple((first, after) for first, after in groups) or None
    note = f"{dataset.name}: its columns are taken by their names"
    return dataset.with_parts(**taken, columns=wanted, groups=own, notes=(*dataset.notes, note))


def _taken(rows: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """The columns at `places`, row by row in memory; zeros where the place is -1."""
    taken = np.ascontiguousarray(rows[:, places])
    taken[:, places < 0] = 0
    return taken
