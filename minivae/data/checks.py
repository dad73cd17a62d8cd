"""Checks that rows can be used, and their conversion to the two dtypes that training reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError
from minivae.data.reading import CHANNELS
from minivae.parts import LIKELIHOODS
from minivae.parts.domains import UNIT

LEVELS = (16, 255, 65535)  # whites of pictures that are stored as other numbers than bytes
_CHUNK = 8192  # rows looked at together, so that a check needs little memory
_EXACT = 2**24  # float32 holds every whole number up to here


def require_matrix(array: NDArray[Any], where: str) -> NDArray[Any]:
    """``array`` if it is a non-empty numeric matrix (rows, features); DataError otherwise."""
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: holds {no_real_numbers(array.dtype)}")
    if array.ndim > 2:
        raise DataError(
            f"{where}: holds an array of shape {array.shape}, but rows or pictures are needed: "
            f"(N, D), (N, H, W), (N, H, W, 1) or (N, H, W, 3); {_flattened(array.shape)}"
        )
    if array.ndim < 2:
        raise DataError(
            f"{where}: holds an array of shape {array.shape}, but rows of features are needed, "
            "two dimensions; X.reshape(-1, 1) makes one feature a row"
        )
    if array.size == 0:
        raise DataError(
            f"{where}: is empty, shape {array.shape}; at least one row and one feature are needed"
        )
    return array


def flat_pictures(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, ...] | None]:
    """Rows (N, D) of pictures (N, H, W), (N, H, W, 1 or 3) or, as PyTorch has them, (N, 3, H, W).

    Returns the rows, channels last, and the shape of a picture; other arrays come back as they
    are, with None.
    """
    # so narrow a picture is none: (N, 3, 3, 2) is no stack of PyTorch's
    narrow = array.ndim == 4 and min(array.shape[2:]) < 4
    if array.ndim == 4 and array.shape[3] not in CHANNELS and array.shape[1] in CHANNELS:
        array = array if narrow else np.moveaxis(array, 1, 3)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.size == 0 or not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)):
        return array, None
    return array.reshape(len(array), -1), array.shape[1:]


def require_finite(
    array: NDArray[Any], where: str, columns: Sequence[str] | None = None, first: int = 0
) -> None:
    """DataError that names the first row and column holding NaN or infinity.

    ``first`` is the number of the array's first row.
    """
    if array.dtype.kind != "f":
        return
    for start in range(0, len(array), _CHUNK):
        good = np.isfinite(array[start : start + _CHUNK])
        if not good.all():
            row, column = (int(i) for i in np.argwhere(~good)[0])
            value = array[start + row, column]
            place = _place(first + start + row, column, columns)
            raise DataError(
                f"{where}: {place} is {value}; remove such rows or fill them in before training"
            )


def _place(row: int, column: int, columns: Sequence[str] | None) -> str:
    """A value's place in words: its row, and its column's name or number."""
    if columns is None:
        return f"row {row}, column {column} (from 0)"
    return f"row {row} (from 0), column {columns[column]!r}"


class Stored(NamedTuple):
    """Parts as uint8 or float32, the factor to their values, whether all are 0 or 1, a note."""

    parts: dict[str, NDArray[Any]]
    scale: float
    binary: bool
    note: str = ""


def to_storage(
    parts: Mapping[str, NDArray[Any]],
    where: str,
    *,
    columns: Sequence[str] | None = None,
    pictures: bool = False,
) -> Stored:
    """Parts of one data set in the two dtypes that training reads.

    Whole numbers that are all 0 or 1 are binary data, scale 1. Other bytes are pictures, scale
    1/255. Where the rows are known to be ``pictures``, levels of grey stored as other numbers are
    scaled as well (:func:`grey_levels`). Any other number becomes float32 as it stands. All parts
    are judged together, so that a test part never gets another scale than the training part.
    """
    widths = {name: part.shape[1] for name, part in parts.items()}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise DataError(f"{where}: the parts differ in their number of features: {listed}")
    for name, part in parts.items():
        require_finite(part, f"{where} ({name})" if len(parts) > 1 else where, columns)
    if all(_is_binary(part) for part in parts.values()):
        binary = {n: np.ascontiguousarray(p, dtype=np.uint8) for n, p in parts.items()}
        return Stored(binary, 1.0, True)
    if all(part.dtype == np.uint8 for part in parts.values()):
        pixels = {n: np.ascontiguousarray(p) for n, p in parts.items()}
        return Stored(pixels, 1.0 / 255.0, False)
    if any(part.dtype == np.uint8 for part in parts.values()):
        listed = ", ".join(f"{name} {part.dtype}" for name, part in parts.items())
        raise DataError(f"{where}: the parts differ in dtype ({listed}), so their scales would too")
    floats = {n: _to_float32(p, f"{where} ({n})", columns) for n, p in parts.items()}
    top = grey_levels(parts.values()) if pictures else 1
    note = f"{where}: grey levels up to {top} are divided by {top}" if top > 1 else ""
    return Stored(floats, 1.0 / top, False, note)


def grey_levels(parts: Iterable[NDArray[Any]]) -> int:
    """The white of pictures stored as other numbers than bytes: 16, 255 or 65535; 1 where none.

    uint16 always counts to 65535. Whole numbers from 0 count to the least of the three that holds
    them, fractions (as resizing leaves them) to 255 where they come near to it.
    """
    parts = list(parts)
    low = min(float(part.min()) for part in parts)
    high = max(float(part.max()) for part in parts)
    whole = all(part.dtype.kind in "ui" or (part == np.trunc(part)).all() for part in parts)
    return white(low, high, whole, deep=all(part.dtype == np.uint16 for part in parts))


def white(low: float, high: float, whole: bool, *, deep: bool) -> int:
    """`grey_levels` for values from low to high, ``whole`` numbers or not, uint16 (deep) or not."""
    if deep:
        return LEVELS[-1]
    if low < 0 or high <= 1 or high > LEVELS[-1]:
        return 1
    if whole:
        return next(level for level in LEVELS if high <= level)
    return 255 if 200 < high <= 255 else 1


def check_domain(
    array: NDArray[Any],
    scale: float,
    where: str,
    likelihood: str,
    groups: tuple[int, ...] = (),
    columns: Sequence[str] | None = None,
) -> None:
    """DataError naming the first value, once scaled, that the likelihood's data cannot have."""
    domain = LIKELIHOODS[likelihood].domain
    for start in range(0, len(array), _CHUNK):
        chunk = array[start : start + _CHUNK]
        found = domain.fault(chunk if scale == 1.0 else chunk * scale, groups)
        if found is not None:
            row, column, value = found
            fix = _range_fix(array, scale) if domain is UNIT else domain.fix
            raise DataError(
                f"{where}: {_place(start + row, column, columns)} is {value:g}, but the "
                f"{likelihood} likelihood needs {domain.words}; {fix}"
            )


def _range_fix(array: NDArray[Any], scale: float) -> str:
    low, high = float(array.min()) * scale, float(array.max()) * scale
    if low >= 0.0 and np.isfinite(high):
        return f"divide the data by {high:g}, or use the Gaussian likelihood"
    return "rescale it with (X - X.min()) / (X.max() - X.min()), or use the Gaussian likelihood"


def _is_binary(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "b":
        return True
    if array.dtype.kind == "f" and not np.isin(array[:64], (0.0, 1.0)).all():
        return False  # the usual case, settled by a few rows
    for start in range(0, len(array), _CHUNK):
        chunk = array[start : start + _CHUNK]
        if not (chunk.min() >= 0 and chunk.max() <= 1):
            return False
        if chunk.dtype.kind == "f" and not ((chunk == 0) | (chunk == 1)).all():
            return False
    return True


def _to_float32(
    array: NDArray[Any], where: str, columns: Sequence[str] | None
) -> NDArray[np.float32]:
    limit = float(np.finfo(np.float32).max) if array.dtype.kind == "f" else float(_EXACT)
    low, high = float(array.min()), float(array.max())
    if not (-limit <= low and high <= limit):
        row, column = (int(i) for i in np.argwhere(~(np.abs(array.astype(float)) <= limit))[0])
        raise DataError(
            f"{where}: values from {low:g} to {high:g} do not fit float32 (the first that does "
            f"not: {_place(row, column, columns)}); rescale the data first"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _flattened(shape: tuple[int, ...]) -> str:
    if len(shape) == 4 and shape[3] == 4:
        return "X[..., :3] leaves the transparency out"
    return "flatten with X.reshape(len(X), -1)"


def no_real_numbers(dtype: np.dtype[Any]) -> str:
    """What an array of this dtype holds instead of real numbers, and how it becomes such."""
    if dtype.names is not None:
        names = ", ".join(repr(name) for name in dtype.names[:3])
        return (
            f"records ({names}{', …' if len(dtype.names) > 3 else ''}), not rows of numbers; save "
            "numpy.column_stack([X[name] for name in X.dtype.names])"
        )
    words = {
        "O": "Python objects, not numbers; save real numbers, as X.astype('float32')",
        "c": "complex numbers, not real numbers; save numpy.hstack([X.real, X.imag])",
        "U": "text, not numbers; save real numbers, or a table as .csv, whose text has --one-hot",
        "M": "dates, not numbers; save days, as (X - X.min()) / numpy.timedelta64(1, 'D')",
    }
    words["S"] = words["U"]
    return words.get(dtype.kind, f"dtype {dtype}, not real numbers; save X.astype('float32')")
