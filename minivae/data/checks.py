"""Checks that rows can be used, and their conversion to the two dtypes that training reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError

_CHUNK = 8192  # rows looked at together, so that a check needs little memory
_LABEL_LIMIT = 2.0**63  # what int64 holds
_EXACT = 2**24  # float32 holds every whole number up to here


def require_matrix(array: NDArray[Any], where: str) -> NDArray[Any]:
    """``array`` if it is a non-empty numeric matrix (rows, features); DataError otherwise."""
    if array.dtype.kind not in "buif":
        raise DataError(
            f"{where}: holds {_kind(array.dtype)}, not numbers; "
            "save real numbers, as X.astype('float32')"
        )
    if array.ndim > 2:
        raise DataError(
            f"{where}: holds an array of shape {array.shape}, but rows of features are needed; "
            "flatten each picture with X.reshape(len(X), -1)"
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


def require_finite(array: NDArray[Any], where: str) -> None:
    """DataError that names the first row and column holding NaN or infinity."""
    if array.dtype.kind != "f":
        return
    for start in range(0, len(array), _CHUNK):
        good = np.isfinite(array[start : start + _CHUNK])
        if not good.all():
            row, column = (int(i) for i in np.argwhere(~good)[0])
            value = array[start + row, column]
            raise DataError(
                f"{where}: row {start + row}, column {column} (from 0) is {value}; "
                "remove such rows or fill them in before training"
            )


def require_labels(labels: NDArray[Any], rows: int, where: str) -> NDArray[np.int64]:
    """Labels as int64 (rows,); DataError when they are not whole numbers, one a row."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "buif":
        raise DataError(
            f"{where}: labels of shape {labels.shape} and dtype {labels.dtype} cannot be used; "
            "they must be whole numbers, one a row"
        )
    if len(labels) != rows:
        raise DataError(f"{where}: {len(labels)} labels for {rows} rows; there must be one a row")
    whole = labels.dtype.kind != "f" or (labels == np.trunc(labels)) & np.isfinite(labels)
    if not np.all(whole):
        first = int(np.flatnonzero(~np.asarray(whole))[0])
        raise DataError(
            f"{where}: the label of row {first} (from 0) is {labels[first]}, and labels must be "
            "whole numbers; save y.astype('int64')"
        )
    if rows and not (float(labels.min()) >= -_LABEL_LIMIT and float(labels.max()) < _LABEL_LIMIT):
        raise DataError(
            f"{where}: labels from {labels.min()} to {labels.max()} do not fit int64; number the "
            "classes from 0"
        )
    return labels.astype(np.int64)


def to_storage(
    parts: Mapping[str, NDArray[Any]], where: str
) -> tuple[dict[str, NDArray[Any]], float, bool]:
    """Parts of one data set -> (parts as uint8 or float32, scale, whether all are 0 or 1).

    Whole numbers that are all 0 or 1 are binary data, scale 1. Other bytes are pictures, scale
    1/255. Any other number becomes float32 as it stands. All parts are judged together, so that a
    test part never gets another scale than the training part.
    """
    widths = {name: part.shape[1] for name, part in parts.items()}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise DataError(f"{where}: the parts differ in their number of features: {listed}")
    for name, part in parts.items():
        require_finite(part, f"{where} ({name})" if len(parts) > 1 else where)
    if all(_is_binary(part) for part in parts.values()):
        return {n: np.ascontiguousarray(p, dtype=np.uint8) for n, p in parts.items()}, 1.0, True
    if all(part.dtype == np.uint8 for part in parts.values()):
        return {n: np.ascontiguousarray(p) for n, p in parts.items()}, 1.0 / 255.0, False
    if any(part.dtype == np.uint8 for part in parts.values()):
        listed = ", ".join(f"{name} {part.dtype}" for name, part in parts.items())
        raise DataError(f"{where}: the parts differ in dtype ({listed}), so their scales would too")
    return {n: _to_float32(p, f"{where} ({n})") for n, p in parts.items()}, 1.0, False


def check_unit_range(array: NDArray[Any], scale: float, where: str, purpose: str) -> None:
    """DataError naming the first value outside [0, 1] once scaled (NaN counts as outside)."""
    for start in range(0, len(array), _CHUNK):
        chunk = array[start : start + _CHUNK]
        low, high = chunk.min() * scale, chunk.max() * scale
        if low >= 0.0 and high <= 1.0 + 1e-6:
            continue
        values = chunk * scale
        bad = ~((values >= 0.0) & (values <= 1.0 + 1e-6))
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{where}: row {start + row}, column {column} (from 0) is "
            f"{float(values[row, column]):g}, but {purpose} needs values in [0, 1]; "
            f"{_range_fix(array, scale)}"
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


def _to_float32(array: NDArray[Any], where: str) -> NDArray[np.float32]:
    limit = float(np.finfo(np.float32).max) if array.dtype.kind == "f" else float(_EXACT)
    low, high = float(array.min()), float(array.max())
    if not (-limit <= low and high <= limit):
        raise DataError(
            f"{where}: values from {low:g} to {high:g} do not fit float32; rescale the data first"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _kind(dtype: np.dtype[Any]) -> str:
    words = {"O": "Python objects", "c": "complex numbers", "U": "text", "S": "text"}
    return words.get(dtype.kind, f"dtype {dtype}")
