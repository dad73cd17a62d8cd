"""A stand-in for CuPy and cuBLAS, so that `CupyDevice` itself can be executed without a card.

It answers as CuPy's documentation says, runs kernels by the host build, and is strict where a card
is: no work is done during a capture, nothing may be allocated in one, cuBLAS must have a stream and
a workspace. It shows that CupyDevice's lines run and fit together. It does NOT show that the real
CuPy, driver, NVRTC or cuBLAS behave like this.
"""

from __future__ import annotations

import ctypes
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
from minivae_kernels.gpu import sources
from minivae_kernels.gpu.host_device import HostDevice


class CaptureError(RuntimeError):
    """Something that CUDA forbids while a stream is captured."""


class Array(np.ndarray):
    """An array "on the card"."""

    @property
    def data(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(ptr=self.ctypes.data)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """As CuPy: no mixing with host arrays, and results stay on the card."""
        operands = (*inputs, *kwargs.get("out", ()))
        if any(type(a) is np.ndarray for a in operands):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        plain = [np.asarray(a) if isinstance(a, Array) else a for a in inputs]
        if "out" in kwargs:
            kwargs["out"] = tuple(np.asarray(a) for a in kwargs["out"])
        result = getattr(ufunc, method)(*plain, **kwargs)
        if "out" in kwargs:
            return inputs[0] if method == "at" else operands[-1]
        return np.asarray(result).view(Array)

    def set(self, host: Any) -> None:
        if type(host) is not np.ndarray or host.dtype != self.dtype or host.shape != self.shape:
            raise TypeError("set() takes a host array of the same type and shape")
        self[...] = host

    def get(self) -> np.ndarray:
        return np.array(self, subok=False)


class Stream:
    """The default stream, or one that can be captured."""

    def __init__(self, cupy: FakeCupy, ptr: int, non_blocking: bool) -> None:
        self.cupy, self.ptr, self.non_blocking = cupy, ptr, non_blocking
        self.recording: list[Any] | None = None

    def __enter__(self) -> Stream:
        self.cupy.streams.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.cupy.streams.pop()

    def synchronize(self) -> None:
        if self.recording is not None:
            raise CaptureError("synchronise")

    def begin_capture(self) -> None:
        if not self.non_blocking:
            raise CaptureError("the default stream")
        self.recording = []

    def end_capture(self) -> Any:
        recorded, self.recording = self.recording, None
        return SimpleNamespace(launch=lambda stream: [work() for work in recorded])

    def queue(self, work: Any) -> None:
        work() if self.recording is None else self.recording.append(work)


class FakeCupy:
    """What CupyDevice uses of the module cupy."""

    ndarray = Array
    # What a call names is checked against the host device's launcher.
    CARD = {"name": b"Stand-in", "major": 8, "minor": 0}

    def __init__(self, free: int = 1 << 40) -> None:
        self.host, self.free = HostDevice(), free
        self.default = Stream(self, 0, False)
        self.streams = [self.default]
        self.modules: list[tuple[str, ...]] = []
        runtime = SimpleNamespace(
            driverGetVersion=lambda: 12040,
            getDeviceCount=lambda: 1,
            getDevice=lambda: 0,
            runtimeGetVersion=lambda: 12040,
            getDeviceProperties=lambda _: self.CARD,
            memGetInfo=lambda: (self.free, 1 << 40),
        )
        self.cuda = SimpleNamespace(
            runtime=runtime,
            driver=SimpleNamespace(get_build_version=lambda: 12040),
            Stream=lambda non_blocking: Stream(self, 77, non_blocking),
            get_current_stream=lambda: self.streams[-1],
            memory=SimpleNamespace(OutOfMemoryError=MemoryError),
        )

    def empty(self, shape: Any, dtype: Any) -> Array:
        if self.streams[-1].recording is not None:
            raise CaptureError("an allocation")
        array = self.host.empty(shape, dtype)
        if array.nbytes > self.free:
            raise MemoryError
        return array.view(Array)

    def zeros(self, shape: Any, dtype: Any) -> Array:
        out = self.empty(shape, dtype)
        out[...] = 0
        return out

    def get_default_memory_pool(self) -> Any:
        return SimpleNamespace(free_bytes=lambda: 0)

    def ascontiguousarray(self, a: Array, dtype: Any = None) -> Array:
        return np.ascontiguousarray(a, dtype=dtype).view(Array)

    def broadcast_to(self, a: Array, shape: Any) -> Array:
        return np.broadcast_to(a, shape, subok=True)

    def RawModule(self, code: str, options: tuple[str, ...]) -> Any:
        real = next(re.sub("-DREAL=", "", o) for o in options if o.startswith("-DREAL="))
        self.modules.append(options)
        return SimpleNamespace(get_function=lambda name: self._function(name, real, code))

    def _function(self, name: str, real: str, code: str) -> Any:
        assert re.search(rf"\b{name}\b", code)
        parameters = sources.kernels(sources.where()[name])[name]
        dtype = np.dtype(np.float64 if real == "double" else np.float32)

        def call(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:
            assert len(grid) == len(block) == 3 and grid[2] == block[1] == block[2] == 1
            for parameter, value in zip(parameters, args, strict=True):
                if parameter.pointer and not isinstance(value, Array):
                    assert isinstance(value, np.uint64) and value == 0, f"{name}: {parameter.name}"
                elif not parameter.pointer:  # the driver copies bytes: sizes must be right
                    assert value.dtype == parameter.dtype(dtype), f"{name}: {parameter.name}"
            plain = tuple(
                None if p.pointer and not isinstance(a, Array) else a
                for p, a in zip(parameters, args, strict=True)
            )
            self.streams[-1].queue(
                lambda: self.host.launch(name, (grid[0], grid[1]), block[0], plain, dtype)
            )

        return call


class FakeCublas:
    """cuBLAS by its C signatures, on host memory, column by column."""

    def __init__(self, cupy: FakeCupy) -> None:
        self.cupy, self.stream, self.workspace = cupy, None, 0
        self.math: int | None = None

    def cublasCreate_v2(self, handle: Any) -> int:
        return 0

    def cublasSetMathMode(self, handle: Any, mode: ctypes.c_int) -> int:
        self.math = mode.value
        return 0

    def cublasSetAtomicsMode(self, handle: Any, mode: ctypes.c_int) -> int:
        return mode.value

    def cublasSetStream_v2(self, handle: Any, stream: ctypes.c_void_p) -> int:
        self.stream, self.workspace = stream.value or 0, 0  # a new stream forgets the workspace
        return 0

    def cublasSetWorkspace_v2(self, handle: Any, pointer: Any, size: Any) -> int:
        self.workspace = size.value
        return 0 if pointer.value % 256 == 0 or pointer.value % 64 == 0 else 7

    def _gemm(
        self,
        number: Any,
        ta: Any,
        tb: Any,
        m: Any,
        n: Any,
        k: Any,
        alpha: Any,
        a: Any,
        lda: Any,
        b: Any,
        ldb: Any,
        beta: Any,
        c: Any,
        ldc: Any,
    ) -> int:
        assert self.workspace > 0 and self.stream == self.cupy.streams[-1].ptr

        def columns(pointer: Any, leading: int, width: int) -> np.ndarray:
            block = (number * (leading * width)).from_address(pointer.value)
            return np.ctypeslib.as_array(block).reshape(width, leading).T  # column-major

        ka, kb = (m, k) if ta.value == 0 else (k, m), (k, n) if tb.value == 0 else (n, k)
        if lda.value < ka[0].value or ldb.value < kb[0].value or ldc.value < m.value:
            return 7  # CUBLAS_STATUS_INVALID_VALUE
        left = columns(a, lda.value, ka[1].value)[: ka[0].value]
        right = columns(b, ldb.value, kb[1].value)[: kb[0].value]
        out = columns(c, ldc.value, n.value)[: m.value]
        left, right = left.T if ta.value else left, right.T if tb.value else right
        factor = beta._obj.value

        def work() -> None:
            with np.errstate(all="ignore"):
                product = alpha._obj.value * (left @ right)
            out[...] = product + factor * out if factor else product

        self.cupy.streams[-1].queue(work)
        return 0

    def cublasSgemm_v2(self, handle: Any, *args: Any) -> int:
        return self._gemm(ctypes.c_float, *args)

    def cublasDgemm_v2(self, handle: Any, *args: Any) -> int:
        return self._gemm(ctypes.c_double, *args)
