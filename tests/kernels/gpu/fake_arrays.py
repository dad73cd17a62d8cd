"""An array on the card, as strict as cupy.ndarray: what that refuses, this refuses.

It is no numpy.ndarray. Nothing turns it into one but `get()`; host arrays do not mix with it;
results, sums to a single number too, stay on the card; NumPy's functions reach it only where
CuPy has one of that name (fake_names.py). What it does to memory goes through the current stream.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_memory import MemoryPointer
from fake_names import FUNCTIONS, UFUNCS
from fake_operators import add_operators

IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)


class Array:
    """`memory` is the host's view of a buffer of the stand-in's card; tests may look at it."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, cupy: Any, buffer: Any, memory: np.ndarray, base: Array | None) -> None:
        self.cupy, self.buffer, self.memory, self.base = cupy, buffer, memory, base

    # What is known without asking the card

    shape = property(lambda self: self.memory.shape)
    ndim = property(lambda self: self.memory.ndim)
    size = property(lambda self: self.memory.size)
    dtype = property(lambda self: self.memory.dtype)
    itemsize = property(lambda self: self.memory.itemsize)
    nbytes = property(lambda self: self.memory.nbytes)
    strides = property(lambda self: self.memory.strides)
    base: Array | None = None

    @property
    def flags(self) -> Any:
        f = self.memory.flags
        return SimpleNamespace(
            c_contiguous=f.c_contiguous, f_contiguous=f.f_contiguous, owndata=self.base is None
        )

    @property
    def data(self) -> Any:
        start = self.memory.ctypes.data - self.buffer.address if self.buffer.size else 0
        return MemoryPointer(self.cupy, self.buffer, start)

    @property
    def span(self) -> Any:
        """Its bytes, for the race detector."""
        return self.buffer.span(self.memory)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return len(self.memory)

    # Views

    def _view(self, memory: np.ndarray) -> Array:
        return Array(self.cupy, self.buffer, memory, self if self.base is None else self.base)

    @property
    def T(self) -> Array:
        return self if self.ndim < 2 else self._view(self.memory.T)

    @property
    def real(self) -> Array:
        return self if self.dtype.kind != "c" else self._view(self.memory.real)

    def transpose(self, *axes: Any) -> Array:
        return self._view(self.memory.transpose(*axes))

    def reshape(self, *shape: Any, order: str = "C") -> Array:
        memory = self.memory.reshape(*shape, order=order)
        if memory.shape == self.shape:
            return self._view(self.memory)
        if not self.size or np.may_share_memory(memory, self.memory):
            return self._view(memory)
        return self.copy().reshape(*shape)

    def ravel(self, order: str = "C") -> Array:
        return self.reshape(-1, order=order)

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def _index(self, key: Any) -> None:
        """The real one copies host indices to the card at each use; here that is refused."""
        for part in key if isinstance(key, tuple) else (key,):
            good = part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))
            if not good or isinstance(part, bool):
                raise TypeError(f"the stand-in takes no index of type {type(part).__name__}")

    def __getitem__(self, key: Any) -> Array:
        self._index(key)
        if isinstance(key, tuple) and Ellipsis not in key:
            key = (*key, Ellipsis)
        return self._view(self.memory[key if isinstance(key, tuple) else (key, Ellipsis)])

    def __setitem__(self, key: Any, value: Any) -> None:
        target = self[() if key is Ellipsis else key]
        if isinstance(value, np.ndarray):
            if value.ndim:
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            value = value.item()
        target._assign(value)

    def _assign(self, value: Any) -> None:
        """Copy an array of the card, or a number, into this one's elements."""
        if isinstance(value, Array):
            np.broadcast_shapes(self.shape, value.shape)
            source, reads = value.memory, [value.span]
        else:
            source, reads = self.dtype.type(value), []
        memory = self.memory
        with np.errstate(all="ignore"):
            self.cupy.queue("copy", reads, [self.span], lambda: np.copyto(memory, source, "unsafe"))

    def fill(self, value: Any) -> None:
        self[...] = value

    # Between host and card

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self.memory.flags.c_contiguous or self.memory.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        self.cupy.refuse_in_capture("a copy from the host")
        memory, stream = self.memory, self.cupy.current[-1]
        self.cupy.queue("set", [], [self.span], lambda: np.copyto(memory, arr))
        self.cupy.order.sending(arr, self.cupy.order.now(stream, "set"))

    def get(self, stream: Any = None, order: str = "C") -> np.ndarray:
        if not self.size:
            return np.empty(self.shape, self.dtype)
        self.cupy.refuse_in_capture("a copy to the host")
        found: list[np.ndarray] = []
        memory = self.memory
        self.cupy.queue("get", [self.span], [], lambda: found.append(np.array(memory, order="C")))
        self.cupy.current[-1].synchronize()
        return found[0]

    def item(self) -> Any:
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(IMPLICIT)

    # New arrays

    def copy(self, order: str = "C") -> Array:
        out: Array = self.cupy.empty(self.shape, self.dtype)
        out._assign(self)
        return out

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> Array:
        if not copy and self.dtype == np.dtype(dtype):
            return self
        out: Array = self.cupy.empty(self.shape, dtype)
        out._assign(self)
        return out

    def sum(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Array:
        return self.cupy.reduce(np.sum, self, axis, keepdims, dtype=dtype)

    def mean(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Array:
        return self.cupy.reduce(np.mean, self, axis, keepdims, dtype=dtype)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return self.cupy.reduce(np.max, self, axis, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return self.cupy.reduce(np.min, self, axis, keepdims)

    # NumPy's two protocols, and operators

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or ufunc.__name__ not in UFUNCS:
            return NotImplemented
        out = kwargs.pop("out", (None,))
        if len(out) != 1:
            raise ValueError("The 'out' parameter must have exactly one array value")
        return self.cupy.elementwise(ufunc, inputs, out[0], **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__module__ != "numpy" or func.__name__ not in FUNCTIONS:
            return NotImplemented
        if not all(kind in (Array, np.ndarray) for kind in types):
            return NotImplemented
        return getattr(self.cupy, func.__name__)(*args, **kwargs)

    def __neg__(self) -> Array:
        return self.cupy.elementwise(np.negative, (self,))

    def __abs__(self) -> Array:
        return self.cupy.elementwise(np.absolute, (self,))

    def __invert__(self) -> Array:
        return self.cupy.elementwise(np.invert, (self,))

    def __matmul__(self, other: Any) -> Array:
        return self.cupy.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Array:
        return self.cupy.matmul(other, self)


add_operators(Array)
