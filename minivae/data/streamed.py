"""Data sets whose rows stay on disk: the file is looked through once, then read as it is needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.data.arrays import hold_out, standardised
from minivae.data.checks import require_finite, white
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.far import origin_of_run, settled_origin, without
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
    given = _AsWritten(source)
    known = origin_of_run(reading, None, (source.width,))
    origin, far = settled_origin(
        given, name, None, known, reading.standardise, shape is not None, given.chunk
    )
    seen = _look(given, origin, name)
    binary = seen.whole and seen.low >= 0 and seen.high <= 1
    rows = FileRows(source, None, _moved(origin), limits=(seen.low, seen.high))
    scale, note = _scale(seen, source.dtype, binary, shape is not None, name)
    some = rows[np.arange(min(LOOKED_AT, len(rows)))]
    guess, doubt = (None, "") if shape else guessed_shape(some, name)
    size = source.count * source.row_bytes / 1e9
    notes = (f"{name}: {size:.1f} GB are read from disk piece by piece", note, doubt, far)
    dataset = Dataset(
        name=name,
        train=rows,  # type: ignore[arg-type]
        test=np.empty((0, source.width), rows.dtype),
        shape=shape or guess,
        scale=scale,
        origin=origin,
        source=name,
        fixed_binary=binary,
        notes=tuple(text for text in notes if text),
    )
    dataset = hold_out(dataset) if reading.split else dataset
    return standardised(dataset) if reading.standardise else dataset


class _AsWritten:
    """A file's rows (N, D) as it has them, before any is rounded to float32; read in slices."""

    def __init__(self, source: RowFile) -> None:
        self.source, self.dtype = source, source.dtype
        self.shape = (source.count, source.width)
        self.chunk = max(1, (4 << 20) // source.row_bytes)  # rows read at once

    def __len__(self) -> int:
        return self.source.count

    def __getitem__(self, key: slice) -> NDArray[Any]:
        first, after, _ = key.indices(len(self))
        return self.source.read(first, after)


def _moved(
    origin: NDArray[np.float64] | None,
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """How rows as a file has them become float32 where an origin is taken out of them first."""
    return None if origin is None else lambda x: without(x, origin).astype(np.float32)


def _look(rows: _AsWritten, origin: NDArray[np.float64] | None, name: str) -> _Seen:
    low, high, whole = math.inf, -math.inf, True
    for first in range(0, len(rows), rows.chunk):
        chunk = rows[first : first + rows.chunk]
        require_finite(chunk, name, first=first)
        chunk = without(chunk, origin)
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
        whole = whole and (chunk.dtype.kind != "f" or bool((chunk == np.trunc(chunk)).all()))
    floats = rows.dtype.kind == "f" or origin is not None
    limit = float(np.finfo(np.float32).max) if floats else 2.0**24
    if not (-limit <= low and high <= limit):
        raise DataError(
            f"{name}: values from {low:g} to {high:g} do not fit float32; rescale the data first"
        )
    return _Seen(low, high, whole)


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
