"""Sees which NumPy functions a forward calls on complex numbers, to name those that lose the
imaginary part."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from minivae.verify.evaluate import Leaf, Pass
from minivae.verify.tolerances import STEP

LOSSY = frozenset(
    "absolute fabs sign conjugate heaviside norm vdot var std angle abs svd eigh eigvalsh cholesky "
    "slogdet det_sign pinv lstsq qr real nanvar nanstd cov corrcoef round "
    "matrix_norm vector_norm vecdot".split()
)


class Spy(np.ndarray):
    """An array that writes down the names of the lossy functions it meets."""

    seen: set[str]

    def __array_finalize__(self, obj: Any) -> None:
        self.seen = getattr(obj, "seen", set())

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if ufunc.__name__ in LOSSY and any(np.iscomplexobj(a) for a in args):
            self.seen.add(f"np.{ufunc.__name__}")
        plain = [np.asarray(a) if isinstance(a, Spy) else a for a in args]
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = tuple(np.asarray(o) if isinstance(o, Spy) else o for o in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if out is not None:
            return out[0]
        return self._wrap(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ in LOSSY:
            self.seen.add(f"np.{function.__name__}")
        return super().__array_function__(function, types, args, kwargs)

    def var(self, *args: Any, **kwargs: Any) -> Any:
        return self._noted("var", *args, **kwargs)

    def std(self, *args: Any, **kwargs: Any) -> Any:
        return self._noted("std", *args, **kwargs)

    def conj(self) -> Any:
        return self._noted("conj")

    conjugate = conj

    def _noted(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if np.iscomplexobj(self):
            self.seen.add(f"np.{method}")
        return self._wrap(getattr(np.asarray(self), method)(*args, **kwargs))

    def _wrap(self, result: Any) -> Any:
        if isinstance(result, np.ndarray):
            wrapped = result.view(Spy)
            wrapped.seen = self.seen
            return wrapped
        return result


def lossy_calls(job: Pass, leaf: Leaf) -> list[str]:
    """The lossy functions a forward calls when `leaf` is complex; empty when the run cannot be
    watched."""
    spy = np.asarray(leaf.value + 1j * STEP).view(Spy)
    spy.seen = set()
    values = list(job.base)
    values[leaf.place] = spy
    with contextlib.suppress(Exception):  # a forward may take no array subclass: nothing is known
        job.forward(*_arguments(job, values))
    return sorted(spy.seen)


def _arguments(job: Pass, values: list[Any]) -> Any:
    from minivae.verify import tree

    copies = [v if isinstance(v, Spy) else tree.copy_leaf(v) for v in values]
    return tree.replace(job.args, copies)
