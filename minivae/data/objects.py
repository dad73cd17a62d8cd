"""Python objects as rows: lists, tensors and sparse matrices, and what is none of them."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.cells import refuse_dates
from minivae.data.checks import no_real_numbers
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.foreign import dense
from minivae.data.names import refuse_twice
from minivae.data.tables import text_columns

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")


def array_of(what: Any) -> NDArray[Any]:
    """Rows in a list, a tensor, a series, a sparse matrix or an array as a NumPy array.

    Raises DataError, with the fix, for what holds no rows.
    """
    kind = type(what).__name__
    if isinstance(what, np.ma.MaskedArray):
        refuse_masked(what, "the array")
    if hasattr(what, "toarray") and hasattr(what, "nnz"):
        return dense(f"the {kind}", what)
    if not isinstance(what, (list, tuple)) and not hasattr(what, "__array__"):
        raise DataError(
            f"a {kind} is no data set: give a name, a path, a NumPy array, or a pandas or Polars "
            "frame"
        )
    try:
        return np.asarray(what)
    except Exception as error:  # each library's own: a tensor on a card, rows of unequal lengths
        raise DataError(f"the {kind} is no array of rows: {error}") from None


def refuse_masked(array: Any, name: str) -> None:
    """DataError naming the first masked value: NumPy passes over the mask without a word."""
    hidden = np.argwhere(np.ma.getmaskarray(array))
    if len(hidden):
        raise DataError(
            f"{name}: the value at {tuple(hidden[0].tolist())} is masked, {len(hidden)} in all; "
            "remove such rows or fill them in, X.filled(value)"
        )


def refuse_no_file(text: str) -> None:
    """DataError for what other programs take in a file's place: an address, or - for a pipe."""
    if _URL.match(text):
        raise DataError(f"{text}: an address is not read; download the file and give its path")
    if text == "-":
        raise DataError(
            "-: a pipe is not read, for data are read more than once; save them in a file and "
            "give that"
        )


def refuse_misread(X: Any) -> None:
    """Raise, with the fix, for what an estimator would take for other numbers, or for none.

    DataError, a ValueError, for dates, records and masked values; TypeError for paths and data
    sets. All else is left to the estimator's own checks.
    """
    if isinstance(X, (str, bytes, os.PathLike)):
        raise TypeError(f"X is a name or path: give its rows, load_data({X!r}).values('train')")
    if isinstance(X, Dataset):
        raise TypeError("X is a Dataset: give its rows, X.values('train')")
    if isinstance(X, np.ma.MaskedArray):
        refuse_masked(X, "X")
    if isinstance(X, np.ndarray) and (X.dtype.names or X.dtype.kind in "mM"):
        raise DataError(f"X holds {no_real_numbers(X.dtype)}")
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        refuse_twice(map(str, X.columns), "X")
        refuse_dates(X, text_columns(X), "X")
