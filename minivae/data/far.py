"""Columns so far from 0 that float32 loses their differences: a time in seconds since 1970, say.

Near 1.7e9 float32 holds one whole second in 128. What such a column is standardised to is told in
float64, before it is rounded: an origin is taken out first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.names import listed
from minivae.data.reading import Reading
from minivae.data.standard import CHUNK, moments, some_rows

LOST = 1e-3  # of a column's deviation: rounding by less makes no odds
EXACT = 2**53  # float64 tells every whole number from the next up to here


def origins(rows: Any, chunk: int = CHUNK) -> NDArray[np.float64] | None:
    """What is to be taken out of each column (D,) before it becomes float32: its mean, or 0.

    rows (N, D) as they are given, read in chunks. None where no column lies so far from 0 that
    float32 would move a value by more than LOST of its column's deviation.
    """
    if rows.dtype.kind not in "iuf" or rows.dtype.itemsize < 4 or rows.dtype == np.float32:
        return None  # float32 holds them all
    moved = np.zeros(rows.shape[1])
    with np.errstate(all="ignore"):  # what is not finite is named where all values are checked
        for start in range(0, len(rows), chunk):
            x = rows[start : start + chunk]
            rounded = x.astype(np.float32).astype(np.float64)
            moved = np.maximum(moved, np.abs(x - rounded).max(axis=0))
        if not moved.any():
            return None
        mean, deviation = moments(rows, chunk)
        far = (deviation > 0) & (moved > LOST * deviation)
        if rows.dtype.kind in "iu":
            far &= np.abs(mean) + deviation < EXACT
    return np.where(far, mean, 0.0) if far.any() else None


def without(rows: NDArray[Any], origin: NDArray[np.float64] | None) -> NDArray[Any]:
    """The rows (N, D) with the origin (D,) taken out, float64; as they are where there is none.

    Rows of another width come back as they are too, to be refused where widths are compared.
    """
    return rows if origin is None or rows.shape[1:] != origin.shape else rows - origin


def settled_origin(
    rows: Any,
    name: str,
    columns: Sequence[str] | None,
    given: NDArray[np.float64] | None,
    standardise: bool,
    pictures: bool,
    chunk: int = CHUNK,
) -> tuple[NDArray[np.float64] | None, str]:
    """The origin of data that are to be standardised, and what to say of such as are not.

    given: the origin of a run that reads these data again. Pictures' levels are never far apart.
    """
    if pictures:
        return None, ""
    if standardise:
        return origins(rows, chunk), ""
    return given, far_note(some_rows(rows), name, columns) if given is None else ""


def origin_of_run(
    reading: Reading, columns: tuple[str, ...] | None, width: tuple[int, ...]
) -> NDArray[np.float64] | None:
    """What a run that reads these rows took out of its columns, by their names or numbers."""
    if reading.origin is None:
        return None
    if columns is not None and reading.columns:
        known = dict(zip(reading.columns, reading.origin, strict=True))
        return np.array([known.get(name, 0.0) for name in columns])
    return np.array(reading.origin) if width == (len(reading.origin),) else None


def far_note(rows: Any, name: str, columns: Sequence[str] | None) -> str:
    """One line that names the columns of which float32 loses the differences, or nothing."""
    origin = origins(rows)
    if origin is None:
        return ""
    far = np.flatnonzero(origin)
    named = [f"column {j}" if columns is None else repr(columns[j]) for j in far.tolist()]
    return (
        f"{name}: {listed(named)}: so far from 0 float32 loses the differences between "
        "rows; --standardise keeps them, or subtract the smallest value first"
    )
