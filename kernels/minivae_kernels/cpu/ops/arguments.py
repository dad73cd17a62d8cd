"""Checks of an op's arguments, and arrays in the form that a compiled loop can walk through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minivae_kernels.support import Unsupported

F32 = np.dtype(np.float32)
Op = TypeVar("Op")


def float32_only(op: str, *arrays: Any) -> None:
    """Decline an op whose arguments do not make float32 together, as NumPy promotes them.

    Raises minivae_kernels.Unsupported, whereupon the backend calls the reference.
    """
    for a in arrays:
        if not (isinstance(a, np.ndarray) and a.dtype is F32):
            break
    else:
        return
    kind = np.result_type(*(a if isinstance(a, (int, float)) else np.asarray(a) for a in arrays))
    if kind not in (np.float32, np.float16):
        raise Unsupported(op, f"{op}: the compiled kernels compute in float32, not in {kind}")


def declining(make: Callable[[Any], Op]) -> Op:
    """make(reference) -> an op that asks the reference itself for what it declines.

    It is one function fewer between Python and the kernel than a wrapper would be. After a pause,
    when little of it is in a cache, a function costs 5 to 10 µs.
    """
    op: Any = make(None)
    op.or_else = make
    return op


def asked(reference: Any, kernel: Callable[..., Any], *args: Any) -> Any:
    """kernel(*args), or the reference for what it declines, if there is one."""
    try:
        return kernel(*args)
    except Unsupported:
        if reference is None:
            raise
        return reference(*args)


def flat(a: Any) -> np.ndarray:
    """As aligned, C-contiguous float32 in one dimension; copied only if it is not."""
    if type(a) is np.ndarray and a.dtype is F32 and a.flags.carray:  # nothing to be done: 0.2 µs
        return a if a.ndim == 1 else a.reshape(-1)
    return readable(np.require(a, np.float32, ["C", "A"])).reshape(-1)


def plain(a: Any) -> np.ndarray:
    """As aligned, C-contiguous float32; copied only if it is not."""
    return np.require(a, np.float32, ["C", "A"])


def fresh(shape: Any) -> np.ndarray:
    """A float32 array that a kernel will fill; the tests have it come full of NaN."""
    return np.empty(shape, dtype=np.float32)


class _Alias:
    """An array's memory, to be viewed as writable."""

    def __init__(self, a: np.ndarray) -> None:
        self.held = a
        address = a.__array_interface__["data"][0]
        self.__array_interface__ = {**a.__array_interface__, "data": (address, False)}


def readable(a: np.ndarray) -> np.ndarray:
    """The array under the one type that kernels are compiled for.

    To Numba a read-only array is another type: every kernel would be compiled a second time, to
    do the same. Kernels write only to what they return and to what `in_place` has let through, so
    here the flag is taken off a view.
    """
    return a if a.flags.writeable or not a.size else np.asarray(_Alias(a))


def matrix(op: str, name: str, a: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """The array, after a check of its shape (None: any length)."""
    a = np.asarray(a)
    if a.ndim == len(shape):
        for want, have in zip(shape, a.shape, strict=True):
            if want is not None and want != have:
                break
        else:
            return a
    wanted = ", ".join("·" if n is None else str(n) for n in shape)
    raise ValueError(f"{op}: {name} has shape {a.shape}, but ({wanted}) is needed")


def in_place(op: str, grad: Any, **changed: Any) -> None:
    """Raise ValueError unless all have one shape, and what is changed in place can be written to.

    The gradient may be read-only. Precision and layout are not looked at here: what the kernels
    cannot walk through, the reference changes.
    """
    buffers = {**changed, "grad": grad}
    if len({a.shape for a in buffers.values()}) > 1:
        shown = ", ".join(f"{name} {a.shape}" for name, a in buffers.items())
        raise ValueError(f"{op}: the buffers differ in shape: {shown}")
    for name, a in changed.items():
        if isinstance(a, np.ndarray) and not a.flags.writeable:
            raise ValueError(f"{op}: {name} is changed in place, but is read-only: give an array "
                             "that can be written to")  # fmt: skip
