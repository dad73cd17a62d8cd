"""The embedded default: the 1797 handwritten 8x8 digits that scikit-learn carries."""

from __future__ import annotations

import gzip
import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.arrays import hold_out
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError

ROWS, SIDE, LEVELS, TEST_COUNT = 1797, 8, 16, 297
LICENCE = "CC BY 4.0"
_MAX_BYTES = 1 << 20  # the table takes 260 kB as text


def load_digits(split: bool = True) -> Dataset:
    """1500 training and 297 test pictures of 8x8, grey levels 0 to 16, with their labels.

    Raises:
        DataError: scikit-learn, which carries the pictures, is missing or has lost them.
    """
    table = _table()
    if table.shape != (ROWS, SIDE * SIDE + 1) or table.min() < 0 or table[:, :-1].max() > LEVELS:
        raise DataError(
            f"digits: scikit-learn's file has shape {table.shape}, not the known "
            f"{(ROWS, SIDE * SIDE + 1)}; reinstall scikit-learn"
        )
    pixels = np.ascontiguousarray(table[:, :-1], dtype=np.uint8)
    whole = Dataset(
        name="digits",
        train=pixels,
        test=pixels[:0],
        train_labels=table[:, -1].astype(np.int64),
        shape=(SIDE, SIDE),
        scale=1.0 / LEVELS,
        licence=LICENCE,
        source="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, 1998",
        label_names=tuple("0123456789"),
    )
    return hold_out(whole, TEST_COUNT) if split else whole


def _table() -> NDArray[Any]:
    """(1797, 65) values, read without importing scikit-learn, which takes a second."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None:
        raise DataError("digits: scikit-learn carries this data; pip install scikit-learn")
    for folder in spec.submodule_search_locations or ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return _read(path)
    try:
        from sklearn.datasets import load_digits as fallback
    except ImportError as error:
        raise DataError(f"digits: scikit-learn is broken ({error}); reinstall it") from None
    bunch = fallback()
    return np.column_stack([bunch.data, bunch.target])


def _read(path: Path) -> NDArray[Any]:
    try:
        with gzip.open(path) as stream:
            text = stream.read(_MAX_BYTES)
        return np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.float64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); reinstall scikit-learn") from None
