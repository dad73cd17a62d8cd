"""Rows on disk that are read when they are asked for, so that data may be larger than memory.

Files are read, never mapped: a mapped file that is cut short while in use kills the process
(SIGBUS), a read comes back short and can be told.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError

STREAMED_FROM = 1 << 30  # bytes of values from which a file is read piece by piece
RUN_BYTES = 4 << 20  # read at once
GAP_BYTES = 8 << 10  # rows that lie no farther apart are read with what is between them
MOST_PIECES = 1000  # of one call; systems take 1024
POSSIBLE = hasattr(os, "preadv")  # not on Windows


class RowFile:
    """A file's rows: ``count`` of ``width`` values of ``dtype``, row by row from ``offset``."""

    def __init__(
        self, path: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> None:
        self.path, self.offset, self.dtype = path, offset, dtype
        self.count, self.width = shape[0], math.prod(shape[1:])
        self.row_bytes = self.width * dtype.itemsize
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._changed = os.fstat(self._file).st_mtime_ns

    def read(self, first: int, after: int) -> NDArray[Any]:
        """Rows ``first`` to ``after`` - 1, (n, width), in the file's own dtype.

        Raises DataError where the file is no longer what it was.
        """
        out = np.empty((after - first, self.width), dtype=self.dtype)
        self.read_into(out, np.arange(first, after))
        return out

    def read_into(self, out: NDArray[Any], numbers: NDArray[np.int64]) -> None:
        """Rows of rising ``numbers``, near to each other, into ``out`` (n, width), in one read.

        ``out`` is C-contiguous and of the file's dtype. Raises DataError as :meth:`read`.
        """
        start = self.offset + int(numbers[0]) * self.row_bytes
        pieces = self._pieces(memoryview(out.reshape(-1).view(np.uint8).data), numbers)
        try:
            for group in range(0, len(pieces), MOST_PIECES):
                start = self._fill(pieces[group : group + MOST_PIECES], start)
            changed = os.fstat(self._file).st_mtime_ns != self._changed
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{self.path}: cannot be read any more ({reason})") from None
        if changed:
            raise DataError(f"{self.path}: was changed while it was read; restore it")

    def _pieces(self, out: memoryview, numbers: NDArray[np.int64]) -> list[memoryview]:
        """Where the bytes from the first row to the last go: to ``out``, or, between, nowhere."""
        steps = np.diff(numbers)
        ends = np.flatnonzero(steps != 1) + 1
        bounds = [0, *ends.tolist(), len(numbers)]
        gaps = (steps[ends - 1] - 1).tolist()
        nowhere = memoryview(bytearray(max(gaps, default=0) * self.row_bytes))
        pieces = []
        for i in range(len(bounds) - 1):
            pieces.append(out[bounds[i] * self.row_bytes : bounds[i + 1] * self.row_bytes])
            if i < len(gaps) and gaps[i]:
                pieces.append(nowhere[: gaps[i] * self.row_bytes])
        return pieces

    def _fill(self, pieces: list[memoryview], start: int) -> int:
        """Read all ``pieces`` from the file's byte ``start``; returns the byte after them."""
        while pieces:
            found = os.preadv(self._file, pieces, start)
            if found == sum(map(len, pieces)):
                return start + found
            if not found:
                raise DataError(
                    f"{self.path}: ended at row {(start - self.offset) // self.row_bytes} of "
                    f"{self.count}, for it was cut short while it was read; restore it"
                )
            start += found
            while pieces and found >= len(pieces[0]):
                found -= len(pieces[0])
                pieces = pieces[1:]
            if found:
                pieces = [pieces[0][found:], *pieces[1:]]
        return start


class FileRows:
    """Rows (N, D) of a file, as an array to be read: ``rows[7]``, ``rows[3:9]``, ``rows[[5, 2]]``.

    What is asked for is read; ``numpy.asarray(rows)`` reads all of it.
    """

    ndim = 2

    def __init__(
        self,
        source: RowFile,
        index: NDArray[np.int64] | None = None,
        convert: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        limits: tuple[float, float] | None = None,
    ) -> None:
        self.source, self._index, self._convert = source, index, convert
        self._limits = limits
        count = source.count if index is None else len(index)
        self.shape = (count, source.width)
        own = source.dtype == np.uint8 and convert is None
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if own else np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Values in all rows."""
        return self.shape[0] * self.shape[1]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self._read(np.arange(*key.indices(len(self))))
        rows = np.asarray(key)
        if rows.dtype.kind == "b":
            rows = np.flatnonzero(rows)
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows must lie in 0 to {len(self) - 1}")
        return self._read(rows.reshape(1))[0] if rows.ndim == 0 else self._read(rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self._read(np.arange(len(self)))
        return whole if dtype is None else whole.astype(dtype)

    def select(self, rows: NDArray[np.int64]) -> FileRows:
        """These rows, by number and in this order, still unread."""
        index = rows if self._index is None else self._index[rows]
        return FileRows(self.source, index, self._convert, self._limits)

    def converted(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> FileRows:
        """The rows with ``change`` (to float32) done to whatever is read."""
        before = self._convert or _as_float32
        first = None if self.dtype == np.uint8 else before

        def both(x: NDArray[Any]) -> NDArray[Any]:
            return change(x if first is None else first(x))

        return FileRows(self.source, self._index, both)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """The rows from the first to the last, in pieces that are read at once."""
        step = max(1, RUN_BYTES // max(1, self.source.row_bytes))
        for start in range(0, len(self), step):
            yield self._read(np.arange(start, min(start + step, len(self))))

    def min(self) -> float:
        """A lower bound of all values: the file's least, where it was looked for."""
        return self._range()[0]

    def max(self) -> float:
        """An upper bound of all values: the file's largest, where it was looked for."""
        return self._range()[1]

    def _range(self) -> tuple[float, float]:
        if self._limits is None:
            found = [(float(x.min()), float(x.max())) for x in self.chunks()]
            self._limits = min(low for low, _ in found), max(high for _, high in found)
        return self._limits

    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        out = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        self.read_into(out, rows)
        return out

    def read_into(self, out: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Rows by number into ``out`` (n, D), C-contiguous and of this dtype."""
        numbers = rows if self._index is None else self._index[rows]
        if not (np.diff(numbers) > 0).all():
            kinds, places = np.unique(numbers, return_inverse=True)
            sorted_rows = np.empty((len(kinds), self.shape[1]), dtype=self.dtype)
            self._read_rising(sorted_rows, kinds)
            out[:] = sorted_rows[places.ravel()]
        else:
            self._read_rising(out, numbers)

    def _read_rising(self, out: NDArray[Any], numbers: NDArray[np.int64]) -> None:
        direct = self._convert is None and self.source.dtype == self.dtype
        for start, stop in self._runs(numbers):
            if direct:
                self.source.read_into(out[start:stop], numbers[start:stop])
                continue
            found = np.empty((stop - start, self.shape[1]), dtype=self.source.dtype)
            self.source.read_into(found, numbers[start:stop])
            out[start:stop] = found if self._convert is None else self._convert(found)

    def _runs(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Pieces of the rising row numbers that are read at once."""
        size = self.source.row_bytes
        far = np.flatnonzero(np.diff(numbers) > max(1, GAP_BYTES // size)) + 1
        most = max(1, RUN_BYTES // size)
        for start, stop in zip([0, *far.tolist()], [*far.tolist(), len(numbers)], strict=True):
            while start < stop:
                reach = int(np.searchsorted(numbers[start:stop], numbers[start] + most))
                yield start, start + reach
                start += reach


def _as_float32(x: NDArray[Any]) -> NDArray[Any]:
    return x.astype(np.float32)


def select(rows: Any, index: NDArray[np.int64]) -> Any:
    """Rows by number: a copy of an array's, or a file's, which stay unread."""
    return rows.select(index) if isinstance(rows, FileRows) else rows[index]


def chunks(rows: Any) -> Iterator[NDArray[Any]]:
    """Rows in pieces, from the first to the last: an array in one, a file's as they are read."""
    if isinstance(rows, FileRows):
        yield from rows.chunks()
    else:
        yield rows
