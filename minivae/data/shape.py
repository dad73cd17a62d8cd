"""The shape of a row seen as a picture: as given, or a square where the rows look like one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError
from minivae.data.reading import checked_shape, shape_words

LEAST_SIDE = 8
LOOKED_AT = 500  # rows
LIKE = 0.7  # of what unrelated values differ by, which is twice the variance


def fitting_shape(width: int, given: tuple[int, ...] | None, where: str) -> tuple[int, ...] | None:
    """The given shape of a picture, where rows of ``width`` features have it; DataError else."""
    if given is None:
        return None
    shape = checked_shape(given)
    pixels = math.prod(shape)
    if pixels != width:
        raise DataError(
            f"{where}: pictures of {shape_words(shape)} need {pixels} features, but rows have "
            f"{width}; give a shape whose product is {width}"
        )
    return shape


def guessed_shape(rows: Any, where: str) -> tuple[tuple[int, int] | None, str]:
    """(side, side) where rows (N, side²) look like square pictures, else None; and what to say.

    In a picture of width w a pixel is more like the one w places on, right below it, than like
    its neighbours' neighbours there; in a table, a series or a picture of another width it is not.
    """
    width = rows.shape[1]
    side = math.isqrt(width)
    if side * side != width or side < LEAST_SIDE:
        return None, ""
    x = np.asarray(rows[:LOOKED_AT], dtype=np.float64)
    colour = width % 3 == 0 and _difference(x, 3) < LIKE * _difference(x, 1)
    below = _difference(x, side)
    beside = min(_difference(x, side - 1), _difference(x, side + 1))
    if not colour and below < LIKE and below < beside:
        return (side, side), ""
    hint = "" if not colour else " (neighbouring values alternate as in colour pictures)"
    return None, (
        f"{where}: rows of {width} do not look like {side}x{side} pictures{hint} and are drawn as "
        "lines; --shape H,W or H,W,3 says otherwise"
    )


def _difference(x: NDArray[np.float64], lag: int) -> float:
    """Mean squared difference of values ``lag`` apart in a row, over twice the variance."""
    spread = 2.0 * float(x.var())
    if not spread > 0:
        return 1.0
    return float(((x[:, lag:] - x[:, :-lag]) ** 2).mean()) / spread
