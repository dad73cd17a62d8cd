"""What values a likelihood's data may take, and what to say of data that take others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minivae.types import Array


@dataclass(frozen=True)
class Domain:
    """The data that a likelihood accepts.

    words: the values, as "numbers in [0, 1]". bad(x, groups) -> mask of x's entries (B, D) that
    cannot be. fix: what to do about them.
    """

    words: str
    bad: Callable[[Array, tuple[int, ...]], Array]
    fix: str

    def fault(self, x: Array, groups: tuple[int, ...] = ()) -> tuple[int, int, float] | None:
        """Row, column and value of the first entry of x (B, D) that cannot be; None if all can."""
        bad = self.bad(x, groups)
        if not bad.any():
            return None
        row, column = (int(i) for i in np.argwhere(bad)[0])
        return row, column, float(x[row, column])


ROUNDING = 1e-6  # a byte times 1/255 may round to a little more than 1


def _outside_unit(x: Array, groups: tuple[int, ...]) -> Array:
    return np.asarray(~((x >= 0) & (x <= 1 + ROUNDING)))


def _not_finite(x: Array, groups: tuple[int, ...]) -> Array:
    return ~np.isfinite(x)


def _no_count(x: Array, groups: tuple[int, ...]) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(~((x >= 0) & np.isfinite(x) & (np.floor(x) == x)))


def _no_shares(x: Array, groups: tuple[int, ...]) -> Array:
    bad = _outside_unit(x, groups)
    start = 0
    for size in groups:
        total = x[:, start : start + size].sum(axis=1, dtype=np.float64)
        bad[:, start] |= ~(np.abs(total - 1) <= 1e-3)  # the group's first column stands for it
        start += size
    return bad


UNIT = Domain("data in [0, 1]", _outside_unit,
              "scale them (X / 255 for bytes), or use the gaussian likelihood")  # fmt: skip
REAL = Domain("any numbers", _not_finite, "remove such rows or fill them in")
COUNTS = Domain("counts 0, 1, 2, …", _no_count,
                "round them, or use the gaussian likelihood")  # fmt: skip
SHARES = Domain("groups of columns that each sum to 1", _no_shares,
                "give the groups' sizes in order, and one-hot columns")  # fmt: skip
