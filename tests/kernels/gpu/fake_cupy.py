"""A strict stand-in for the module cupy, so that `CupyDevice` and all above it run without a card.

It answers as CuPy 14 does (read in its sources, and compared with the real one where that can be
imported: test_gpu_stand_in_is_cupy.py), runs kernels by the host build, and is strict where a card
is: arrays that are not NumPy's (fake_arrays.py), limited and pooled memory (fake_memory.py), work
that must be in order (fake_order.py), nothing allocated, copied or awaited in a capture. It shows
that the lines run and fit together. It does NOT show that the driver, NVRTC or cuBLAS behave so.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_arrays import Array
from fake_kernels import RawModule
from fake_memory import MemoryPool, OutOfMemoryError, Pool
from fake_names import UFUNCS
from fake_order import LEGACY, PER_THREAD, CaptureError, Order, RaceError
from fake_streams import Event, Stream, get_elapsed_time
from minivae_kernels.gpu.host_device import HostDevice

SCALARS = (bool, int, float, complex, np.generic)


class FakeCupy:
    """The parts of the module cupy that minivae uses.

    memory: bytes of the card. per_thread: as CUPY_CUDA_PER_THREAD_DEFAULT_STREAM=1 makes it.
    allocating_captures: CuPy's pool can serve a capture; the product's step must not need it.
    """

    __version__ = "14.2.0"
    ndarray = Array
    CARD = {"name": b"Stand-in", "major": 8, "minor": 0}

    def __init__(
        self,
        memory: int = 1 << 36,
        *,
        per_thread: bool = False,
        allocating_captures: bool = False,
        host: HostDevice | None = None,
    ) -> None:
        self.host, self.order = host or HostDevice(), Order()
        self.pool = Pool(self.order, memory)
        self.allocating_captures = allocating_captures
        legacy, own = Stream(self, LEGACY, False), Stream(self, PER_THREAD, False)
        self.default = own if per_thread else legacy
        self.current = [self.default]
        self.modules: list[tuple[str, ...]] = []
        self.made = 0
        self.private: MemoryPool | None = None  # what using_allocator set
        runtime = SimpleNamespace(
            driverGetVersion=lambda: 12040,
            getDeviceCount=lambda: 1,
            getDevice=lambda: 0,
            runtimeGetVersion=lambda: 12040,
            getDeviceProperties=lambda _: self.CARD,
            memGetInfo=lambda: (self.pool.free(), self.pool.total),
        )
        self.cuda = SimpleNamespace(
            runtime=runtime,
            driver=SimpleNamespace(get_build_version=lambda: 12040),
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            Stream=self._new_stream,
            Event=functools.partial(Event, self),
            get_current_stream=lambda: self.current[-1],
            get_elapsed_time=get_elapsed_time,
            MemoryPool=MemoryPool,
            using_allocator=self._using_allocator,
        )

    @contextlib.contextmanager
    def _using_allocator(self, allocator: Any = None) -> Iterator[None]:
        before, self.private = self.private, allocator.__self__
        try:
            yield
        finally:
            self.private = before

    def _new_stream(
        self, null: bool = False, ptds: bool = False, non_blocking: bool = False
    ) -> Stream:
        assert not null and not ptds
        self.made += 1
        return Stream(self, 70 + 7 * self.made, non_blocking)

    # What everything on the card goes through

    def queue(
        self, what: str, reads: Iterable[Any], writes: Iterable[Any], work: Callable[[], None]
    ) -> None:
        """Work for the current stream."""
        self.current[-1].queue(what, reads, writes, work)

    def refuse_in_capture(self, what: str) -> None:
        """CaptureError while the current stream is captured."""
        if self.current[-1].recording is not None:
            raise CaptureError(what)

    def elementwise(
        self, ufunc: Any, inputs: tuple[Any, ...], out: Any = None, **kwargs: Any
    ) -> Any:
        """A ufunc on arrays of the card and numbers; anything else is refused, as by CuPy."""
        for value in (*inputs, *(() if out is None else (out,))):
            if not isinstance(value, (Array, *SCALARS)):
                raise TypeError(f"Unsupported type {type(value)}")
        plain = tuple(a.memory if isinstance(a, Array) else a for a in inputs)
        reads = [a.span for a in inputs if isinstance(a, Array)]
        with np.errstate(all="ignore"):
            result = np.asarray(ufunc(*plain, **kwargs))
        if out is None:
            out = self.empty(result.shape, result.dtype)
        elif not np.can_cast(result.dtype, out.dtype, "same_kind"):
            raise TypeError(f"Cannot cast {ufunc.__name__} output to {out.dtype}")
        memory = out.memory

        def work() -> None:
            with np.errstate(all="ignore"):
                np.copyto(memory, ufunc(*plain, **kwargs), "unsafe")

        self.queue(ufunc.__name__, reads, [out.span], work)
        return out

    def reduce(self, function: Any, a: Array, axis: Any, keepdims: bool, **kwargs: Any) -> Array:
        """A sum or the like; its result stays on the card."""
        memory = a.memory
        with np.errstate(all="ignore"):
            result = np.asarray(function(memory, axis=axis, keepdims=keepdims, **kwargs))
        out = self.empty(result.shape, result.dtype)
        target = out.memory

        def work() -> None:
            with np.errstate(all="ignore"):
                target[...] = function(memory, axis=axis, keepdims=keepdims, **kwargs)

        self.queue(function.__name__, [a.span], [out.span], work)
        return out

    # The module's functions

    def empty(self, shape: Any, dtype: Any = float) -> Array:
        stream = self.current[-1]
        if stream.recording is not None and not self.allocating_captures:
            raise CaptureError("an allocation")
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        buffer = self.pool.allocate(size, stream)
        if self.private is not None:
            self.private.buffers.append(buffer)
        memory = buffer.bytes.view(dtype).reshape(shape) if size else np.empty(shape, dtype)
        return Array(self, buffer, memory, None)  # without elements: strides of 0, as CuPy's

    def zeros(self, shape: Any, dtype: Any = float) -> Array:
        out = self.empty(shape, dtype)
        out.fill(0)
        return out

    def full_like(self, a: Array, fill_value: Any, dtype: Any = None, shape: Any = None) -> Array:
        out = self.empty(a.shape if shape is None else shape, a.dtype if dtype is None else dtype)
        out.fill(fill_value)
        return out

    def zeros_like(self, a: Array, dtype: Any = None) -> Array:
        return self.full_like(a, 0, dtype)

    def ones_like(self, a: Array, dtype: Any = None) -> Array:
        return self.full_like(a, 1, dtype)

    def ascontiguousarray(self, a: Array, dtype: Any = None) -> Array:
        self._own(a)
        a = a if a.ndim else a.reshape(1)
        same = dtype is None or a.dtype == np.dtype(dtype)
        return a if same and a.flags.c_contiguous else a.astype(a.dtype if same else dtype)

    def broadcast_to(self, array: Array, shape: Any) -> Array:
        self._own(array)
        return array._view(np.broadcast_to(array.memory, shape))

    def fill_diagonal(self, a: Array, val: Any) -> None:
        self._own(a)
        memory = a.memory
        self.queue("fill_diagonal", [], [a.span], lambda: np.fill_diagonal(memory, val))

    def where(self, condition: Any, x: Any, y: Any) -> Array:
        return self.elementwise(np.where, (condition, x, y))

    def __getattr__(self, name: str) -> Any:
        """A ufunc by its name, abs as the short one of absolute."""
        if name != "abs" and name not in UFUNCS:
            raise AttributeError(f"the stand-in has no {name}")
        return lambda *inputs: self.elementwise(getattr(np, name), inputs)

    def shape(self, a: Array) -> tuple[int, ...]:
        return a.shape

    def ndim(self, a: Array) -> int:
        return a.ndim

    def matmul(self, x1: Array, x2: Array) -> Array:
        self._own(x1, x2)
        self.refuse_in_capture("cuBLAS by CuPy")
        left, right = x1.memory, x2.memory
        out = self.empty((left @ right).shape, np.result_type(left, right))
        memory = out.memory
        self.queue(
            "matmul", [x1.span, x2.span], [out.span],
            lambda: np.copyto(memory, left @ right),
        )  # fmt: skip
        return out

    def _own(self, *arrays: Any) -> None:
        for a in arrays:
            if not isinstance(a, Array):
                raise TypeError(
                    "Argument has incorrect type (expected cupy._core.core._ndarray_base, "
                    f"got {type(a).__module__}.{type(a).__name__})"
                )

    def get_default_memory_pool(self) -> Any:
        return SimpleNamespace(free_bytes=lambda: self.pool.idle, used_bytes=lambda: self.pool.used)

    def RawModule(self, code: str, options: tuple[str, ...] = ()) -> Any:
        self.modules.append(options)
        return RawModule(self, code, options)


__all__ = ["CaptureError", "FakeCupy", "RaceError"]
