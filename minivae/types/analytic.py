"""Derivatives by one complex step; and arrays for it, on which the usual real functions stay
analytic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array

STEP = 1e-40  # the complex step: h*h underflows against everything, h itself is far above 1e-308


def complex_step(
    function: Callable[..., Any], values: Sequence[Any], deltas: dict[int, Array], h: float = STEP
) -> Any:
    """Im f(values + i h delta) / h for the places in `deltas`: exact to rounding."""
    moved = list(values)
    for place, delta in deltas.items():
        moved[place] = moved[place] + (1j * h) * delta
    return np.imag(function(*moved)) / h


def fine_step(values: Sequence[Any], deltas: dict[int, Array]) -> float:
    """The complex step along a direction: STEP, or less where that is not far below an entry."""
    least = 1.0
    for place, delta in deltas.items():
        at = np.flatnonzero(delta)
        sizes = np.abs(np.ravel(values[place])[at] / np.ravel(delta)[at])
        least = min(least, sizes.min(where=sizes > 0, initial=1.0))
    return float(STEP * np.clip(1e20 * least, 1e-150, 1.0))


# By the name of a NumPy function: its slopes by each of its arguments, at real numbers.
SLOPES: dict[str, Callable[..., Sequence[Any]]] = {
    "absolute": lambda x: [np.sign(x)],
    "fabs": lambda x: [np.sign(x)],
    "conjugate": lambda x: [1.0],
    "logaddexp": lambda a, b: [1 / (1 + np.exp(b - a)), 1 / (1 + np.exp(a - b))],
    "arctan2": lambda y, x: [x / (x * x + y * y), -y / (x * x + y * y)],
    "hypot": lambda a, b: [a / np.hypot(a, b), b / np.hypot(a, b)],
    "expit": lambda x: [0.25 / np.cosh(x / 2) ** 2],
    "cbrt": lambda x: [1 / (3 * np.cbrt(x) ** 2)],
    "copysign": lambda a, b: [np.sign(a) * np.copysign(1.0, b), 0.0],
    "heaviside": lambda x, at: [0.0, 0.0],
    **dict.fromkeys(("sign", "rint", "floor", "ceil", "trunc"), lambda x: [0.0]),
}
LOSSY = frozenset(
    "sign angle abs svd eigh eigvalsh cholesky pinv lstsq qr real nanvar nanstd cov corrcoef norm "
    "matrix_norm vector_norm vecdot vdot slogdet imag around round".split()
)


def by_slopes(ufunc: np.ufunc, args: Sequence[Any]) -> Array:
    """f(real) + i f'(real) imag: the first order is all that a step of 1e-40 shows."""
    real, imaginary = [np.real(a) for a in args], [np.imag(a) for a in args]
    slopes = zip(SLOPES[ufunc.__name__](*real), imaginary, strict=True)
    return np.asarray(ufunc(*real) + 1j * sum(slope * step for slope, step in slopes))


def euclidean_norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The Euclidean norm; NotImplementedError for another."""
    if ord not in (None, 2, "fro") or (ord == 2 and axis is None and x.ndim != 1):
        raise NotImplementedError
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


class Analytic(np.ndarray):
    """A complex array on which np.abs, np.linalg.norm, np.var, … keep the imaginary part, and which
    writes down what else may lose it."""

    seen: set[str] = set()

    def _wrap(self, result: Any) -> Any:
        return result.view(Analytic) if type(result) is np.ndarray else result

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        plain = [np.asarray(a) if isinstance(a, Analytic) else a for a in args]
        out = tuple(map(np.asarray, kwargs.pop("out", ())))
        known = method == "__call__" and ufunc.__name__ in SLOPES and "where" not in kwargs
        if known and any(np.iscomplexobj(a) for a in plain):
            result = by_slopes(ufunc, plain)
            if out:
                out[0][...] = result
        else:
            result = getattr(ufunc, method)(*plain, **kwargs, **({"out": out} if out else {}))
        return self._wrap(out[0] if out else result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        if name == "norm" and np.iscomplexobj(args[0]):
            with contextlib.suppress(TypeError, NotImplementedError):
                found = euclidean_norm(np.asarray(args[0]), *args[1:], **kwargs)
                return self._wrap(np.asarray(found))
        if name in LOSSY:
            self.seen.add(f"np.{name}")
        return super().__array_function__(function, types, args, kwargs)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False, **_: Any) -> Any:  # type: ignore[override]
        gap = self - self.mean(axis=axis, keepdims=True)
        total = (gap * gap).sum(axis=axis, keepdims=keepdims)
        return self._wrap(np.asarray(total / (self.size / np.size(total) - ddof)))

    def std(self, axis: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        return np.sqrt(self.var(axis, **kwargs))
