"""In which units a VAE takes its rows: bytes are pictures, 0 to 255 standing for 0 to 1."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from minivae.types import Array

_ROUNDING = 1e-6  # of float32's 255 · (1 / 255)


class Kind(Enum):
    """How numbers are kept, which tells pictures from other data."""

    BYTES = "bytes"
    WHOLE = "whole numbers"
    OTHER = "fractions, or true and false"


class Units(NamedTuple):
    """What a fit saw: bytes that are no 0s and 1s alone; or other numbers, beyond 0 to 1."""

    grey_bytes: bool = False
    own: bool = False

    @classmethod
    def of(cls, rows: Array, kind: Kind) -> Units:
        """From a fit's rows (N, D) as they were given."""
        if kind is Kind.BYTES and rows.max() > 1:
            return cls(grey_bytes=True)
        return cls(own=beyond_unit(float(rows.min()), float(rows.max())))

    def taken(self, rows: Array, kind: Kind) -> Array:
        """Rows (N, D) of this kind as the fitted model takes them.

        Where bytes were fitted, other whole numbers are bytes too; where other numbers beyond 0 to
        1 were, bytes are such numbers. Raises ValueError, with the fix, for what cannot be bytes
        and yet cannot be values from 0 to 1.
        """
        if kind is Kind.BYTES:
            grey = self.grey_bytes or (not self.own and rows.max() > 1)
        else:
            grey = self.grey_bytes and kind is Kind.WHOLE
            if self.grey_bytes:
                _refuse_other_units(rows, kind)
        return rows / 255.0 if grey else rows


def beyond_unit(low: float, high: float) -> bool:
    """Whether values from `low` to `high` leave the range from 0 to 1."""
    return low < 0 or high > 1 + _ROUNDING


def kind_of(X: Any) -> Kind:
    """The kind of the numbers in an array, a tensor, a list of rows, or all columns of a frame."""
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        names = [str(dtype).lower() for dtype in X.dtypes]  # NumPy's, pandas', Arrow's, Polars'
        if all(name.startswith("uint8") for name in names):
            return Kind.BYTES
        whole = all(name.startswith(("int", "uint")) for name in names)
        return Kind.WHOLE if whole else Kind.OTHER
    dtype = np.asarray(X).dtype
    if dtype == np.uint8:
        return Kind.BYTES
    return Kind.WHOLE if dtype.kind in "ui" else Kind.OTHER


def _refuse_other_units(rows: Array, kind: Kind) -> None:
    low, high = rows.min(), rows.max()
    levels = high > 1 and bool((rows == np.trunc(rows)).all())
    good = low >= 0 and high <= 255 if kind is Kind.WHOLE else not levels
    if not good:
        scaled = f"give values from 0 to 1, as X / {max(high, 255):g}"
        raise ValueError(
            f"X holds whole numbers from {low:g} to {high:g}, but was bytes, divided by 255, when "
            f"the model was fitted: {'take the same bytes, 0 to 255' if low < 0 else scaled}."
        )
