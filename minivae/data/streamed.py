"""Data sets whose rows stay on disk: the file is looked through once, then read as it is needed."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minivae.data.arrays import hold_out, standardised
from minivae.data.checks import require_finite, white
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.reading import Reading
from minivae.data.shape import LOOKED_AT, fitting_shape, guessed_shape
from minivae.data.stream import POSSIBLE, STREAMED_FROM, FileRows, RowFile


class _Seen(NamedTuple):
    """What one look through all values found."""

    low: float
    high: float
    whole: bool  # no fractions


def is_streamed(size: int) -> bool:
    """Whether an array of so many bytes is read piece by piece."""
    return POSSIBLE and size >= STREAMED_FROM


def from_file(source: RowFile, reading: Reading, picture: tuple[int, ...] | None) -> Dataset:
    """A data set on the rows of a file; ``picture`` is the shape that the file itself gives.

    The values are checked and scaled as :func:`minivae.data.arrays.from_arrays` does. Memory is
    bounded by the pieces read at once and 8 bytes a row.

    Raises:
        DataError: NaN, infinity, values beyond float32, options that such data cannot have.
    """
    name = str(source.path)
    reading.refuse(name, "data that are read piece by piece", "label", "resize", "one_hot")
    shape = fitting_shape(source.width, reading.shape or picture, name)
    rows = FileRows(source)
    seen = _look(rows, name)
    binary = seen.whole and seen.low >= 0 and seen.high <= 1
    rows = FileRows(source, limits=(seen.low, seen.high))
    scale, note = _scale(seen, source.dtype, binary, shape is not None, name)
    some = rows[np.arange(min(LOOKED_AT, len(rows)))]
    guess, doubt = (None, "") if shape else guessed_shape(some, name)
    size = source.count * source.row_bytes / 1e9
    notes = (f"{name}: {size:.1f} GB are read from disk piece by piece", note, doubt)
    dataset = Dataset(
        name=name,
        train=rows,  # type: ignore[arg-type]
        test=np.empty((0, source.width), rows.dtype),
        shape=shape or guess,
        scale=scale,
        source=name,
        fixed_binary=binary,
        notes=tuple(text for text in notes if text),
    )
    dataset = hold_out(dataset) if reading.split else dataset
    return standardised(dataset) if reading.standardise else dataset


def _look(rows: FileRows, name: str) -> _Seen:
    low, high, whole = math.inf, -math.inf, True
    for first, chunk in _raw_chunks(rows):
        require_finite(chunk, name, first=first)
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        whole = whole and (chunk.dtype.kind != "f" or bool((chunk == np.trunc(chunk)).all()))
    limit = float(np.finfo(np.float32).max) if rows.source.dtype.kind == "f" else 2.0**24
    if not (-limit <= low and high <= limit):
        raise DataError(
            f"{name}: values from {low:g} to {high:g} do not fit float32; rescale the data first"
        )
    return _Seen(low, high, whole)


def _raw_chunks(rows: FileRows) -> Any:
    """The values as the file has them, before any is rounded to float32."""
    source = rows.source
    step = max(1, (4 << 20) // source.row_bytes)
    for first in range(0, source.count, step):
        yield first, source.read(first, min(first + step, source.count))


def _scale(
    seen: _Seen, dtype: np.dtype[Any], binary: bool, pictures: bool, name: str
) -> tuple[float, str]:
    if binary:
        return 1.0, ""
    if dtype == np.uint8:
        return 1.0 / 255.0, ""
    top = white(*seen, deep=dtype == np.uint16) if pictures else 1
    note = f"{name}: grey levels up to {top} are divided by {top}" if top > 1 else ""
    return 1.0 / top, note
