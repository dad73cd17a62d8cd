"""Whether an answer is right, and where it is not, which known mistake it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def agree(
    found: Any,
    expected: Any,
    hint: str,
    tolerance: float = 1e-10,
    mistakes: Mapping[str, Any] | None = None,
) -> None:
    """Raise AssertionError with a hint unless shapes and values agree; NaN never does.

    mistakes: hint -> the values that a known mistake gives. Where the answer is one of those, its
    hint is given, and `hint` only where none fits.
    """
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if near(found, expected, tolerance):
        return
    for said, wrong in (mistakes or {}).items():
        if near(found, np.asarray(wrong, dtype=np.float64), tolerance):
            raise AssertionError(said)
    if found.shape != expected.shape:
        raise AssertionError(f"the shape is {found.shape}, expected {expected.shape}. {hint}")
    error = np.max(np.abs(found - expected)) if expected.size else 0.0
    raise AssertionError(f"off by up to {error:.3g}. {hint}")


def values_of(found: Any, count: int) -> list[Any]:
    """The values of an answer that is to return so many. AssertionError where it does not."""
    try:
        values = list(found)
    except TypeError:  # a single number
        raise AssertionError(f"it should return {count} values, not one.") from None
    if len(values) != count:
        raise AssertionError(f"it should return {count} values, not {len(values)}.")
    return values


def near(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether two arrays have one shape and the same values, as far as the larger ones tell."""
    if found.shape != expected.shape:
        return False
    if not expected.size:
        return True
    scale = max(1.0, float(np.max(np.abs(expected))))
    return bool(np.max(np.abs(found - expected)) <= tolerance * scale)
