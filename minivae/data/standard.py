"""Standardised columns: mean 0 and deviation 1 inside the model, the user's units outside it.

With y = (x - m) / s for every column, log p(x) = log p(y) - sum of log s (change of variables).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from minivae.data.names import NAMED

CHUNK = 8192  # rows taken together
LOOKED_AT = 20_000  # rows that tell how the columns are scaled
LOOKED_AT_VALUES = 2**22  # at most
LARGE = 10.0  # a deviation, or a distance from 0, from which the advice is given
APART = 1000.0  # or the largest deviation over the smallest,
SELDOM = 0.01  # of columns that leave their median in more rows than this: not a picture's corner
ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of its mean: 0.1 + 0.2 beside 0.3 is no spread


class Standard(NamedTuple):
    """Mean and deviation of each column, float64 (D,); a column that is not scaled has 0 and 1.

    origin: what is taken out of columns far from 0 before they become float32, or None.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    origin: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        rows: Any,
        scale: float = 1.0,
        groups: Sequence[tuple[int, int]] | None = None,
        weight: NDArray[np.float64] | None = None,
        origin: NDArray[np.float64] | None = None,
    ) -> Self:
        """From the values rows · scale + origin (N, D); columns that never vary have deviation 1.

        The 0s and 1s of one-hot `groups` (first column, column after the last) stay as they are. A
        row of weight w in `weight` (N,) counts as w rows.
        """
        mean, deviation = moments(rows, weight=weight)
        mean, deviation = mean * scale, np.where(deviation > 0, deviation * scale, 1.0)
        for first, after in groups or ():
            mean[first:after], deviation[first:after] = 0.0, 1.0
        return cls(mean if origin is None else mean + origin, deviation, origin)

    def without_origin(self) -> Standard:
        """The same for rows out of which the origin has been taken."""
        return self if self.origin is None else Standard(self.mean - self.origin, self.deviation)

    @property
    def log_volume(self) -> float:
        """Sum of log deviations, nats: what -log p gains on the way back to the user's units."""
        return float(np.log(self.deviation).sum())

    def apply(self, x: NDArray[Any]) -> NDArray[Any]:
        """(x - mean) / deviation, (N, D), of x's dtype, or float64 where x holds whole numbers."""
        y = (np.asarray(x, dtype=np.float64) - self.mean) / self.deviation
        return y.astype(x.dtype) if x.dtype.kind == "f" else y

    def invert(self, y: NDArray[Any]) -> NDArray[Any]:
        """Back to the user's units, (N, D) float64: float32 would round large means' digits off."""
        return np.asarray(y, dtype=np.float64) * self.deviation + self.mean

    def to_dict(self) -> dict[str, Any]:
        """JSON values; floats come back as the same bits."""
        return {key: x.tolist() for key, x in self._asdict().items() if x is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        mean, deviation = (np.asarray(values[key], np.float64) for key in ("mean", "deviation"))
        origin = values.get("origin")  # runs of earlier versions took none out
        return cls(mean, deviation, None if origin is None else np.asarray(origin, np.float64))


def moments(
    rows: Any, chunk: int = CHUNK, weight: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each column (D,), float64, in one pass over chunks.

    The chunks' moments are joined as in Chan, Golub & LeVeque (1983), which loses no digits. A row
    of weight w counts as w rows. A column of one value has that mean and deviation 0 exactly, where
    sums round (seven times 0.1 has the mean 0.1 + 1.4e-17); one that only rounding varies has 0.
    """
    count, width = 0.0, rows.shape[1]
    mean, squares = np.zeros(width), np.zeros(width)
    first, varies = np.zeros(width), np.zeros(width, dtype=bool)
    for start in range(0, len(rows), chunk):
        x = np.asarray(rows[start : start + chunk], dtype=np.float64)
        w = None if weight is None else weight[start : start + chunk]
        n = float(len(x)) if w is None else float(w.sum())
        if n == 0:
            continue
        counting = x if w is None else x[w > 0]
        first = counting[0] if count == 0 else first
        varies |= (counting != first).any(axis=0)
        own = np.average(x, axis=0, weights=w)
        step, spread = own - mean, (x - own) ** 2
        total = count + n
        within = spread.sum(axis=0) if w is None else w @ spread
        squares += within + step**2 * (count * n / total)
        mean += step * (n / total)
        count = total
    mean, deviation = np.where(varies, mean, first), np.sqrt(squares / (count or 1.0))
    return mean, np.where(varies & (deviation > ROUNDING * np.abs(mean)), deviation, 0.0)


def some_rows(rows: Any) -> Any:
    """The first of the rows (N, D), enough to tell how their columns are scaled."""
    return rows[: max(1, min(LOOKED_AT, LOOKED_AT_VALUES // rows.shape[1]))]


def scale_advice(rows: Any, scale: float, columns: Sequence[str] | None = None) -> str | None:
    """One line where columns are so large or so unlike that a Gaussian's one variance fits few.

    Or where they lie so far from 0, where a decoder begins, that training may not get there.
    rows (N, D) as stored and the factor `scale` that makes values of them; None where all is well.
    """
    some = np.asarray(some_rows(rows), dtype=np.float64) * scale
    with np.errstate(over="ignore"):  # infinite is large
        deviation = some.std(axis=0)
    middle = np.median(some, axis=0)
    moves = (some != middle).mean(axis=0)
    varying = np.flatnonzero((deviation > LARGE) | (moves > SELDOM))
    order = varying[np.argsort(-deviation[varying], kind="stable")]
    why = "one scale cannot fit them all, and training may fail"
    largest, smallest = (deviation[order[[0, -1]]]) if order.size else (0.0, 0.0)
    if not (largest > LARGE or largest > APART * smallest):
        order = np.flatnonzero(np.abs(middle) > LARGE)
        order = order[np.argsort(-np.abs(middle[order]), kind="stable")]
        why = "so far from 0 training takes long, and may not get there"
    if not order.size:
        return None

    def said(j: int) -> str:
        name = f"column {j}" if columns is None else repr(str(columns[j]))
        return f"{name} spans {some[:, j].min():g} to {some[:, j].max():g}"

    named = [said(int(j)) for j in order[:NAMED]]
    if order.size > NAMED:
        named.append(said(int(order[-1])))
    return f"unscaled data: {', '.join(named)}; {why}"
