"""What comes in: which arithmetic an op runs in, and arrays a compiled loop may walk through."""

from __future__ import annotations

from typing import Any

import numpy as np


def precision(op: str, *arrays: Any) -> type[np.floating[Any]]:
    """float32 (the compiled kernels) or float64 (NumPy expressions), as NumPy would promote.

    Raises TypeError for anything else: complex numbers and Python objects are the reference's.
    """
    kind = np.result_type(*(a if isinstance(a, (int, float)) else np.asarray(a) for a in arrays))
    if kind in (np.float32, np.float16):
        return np.float32
    if kind == np.float64 or kind.kind in "iub":
        return np.float64
    raise TypeError(
        f"{op}: arrays of {kind} have no kernel here; float32 or float64 is needed "
        f"(the numpy backend takes every type)"
    )


def flat(a: Any) -> np.ndarray:
    """As aligned, C-contiguous float32 in one dimension; copied only if it is not."""
    return readable(np.require(a, np.float32, ["C", "A"])).reshape(-1)


def fresh(shape: Any) -> np.ndarray:
    """A float32 array that a kernel will fill; the tests have it come full of NaN."""
    return np.empty(shape, dtype=np.float32)


class _Alias:
    """The same memory under another flag."""

    def __init__(self, a: np.ndarray) -> None:
        self.held = a
        address = a.__array_interface__["data"][0]
        self.__array_interface__ = {**a.__array_interface__, "data": (address, False)}


def readable(a: np.ndarray) -> np.ndarray:
    """The array under the one type that kernels are compiled for.

    To Numba a read-only array is another type: every kernel would be compiled a second time, to
    do the same. Kernels write only to what they return, so here the flag is taken off a view.
    """
    return a if a.flags.writeable or not a.size else np.asarray(_Alias(a))


def matrix(op: str, name: str, a: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """The array, after a check of its shape (None: any length)."""
    a = np.asarray(a)
    fits = a.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, a.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("·" if n is None else str(n) for n in shape)
        raise ValueError(f"{op}: {name} has shape {a.shape}, but ({wanted}) is needed")
    return a


def in_place(op: str, **buffers: Any) -> None:
    """Raise unless all are float32 vectors of one length that can be changed where they are."""
    sizes = {a.shape for a in buffers.values()}
    if len(sizes) > 1:
        shown = ", ".join(f"{name} {a.shape}" for name, a in buffers.items())
        raise ValueError(f"{op}: the buffers differ in shape: {shown}")
