"""The device that is an NVIDIA card: CuPy for memory, modules and graphs, cuBLAS for products.

STATUS: this file has never run on a card. Its calls are tested against stand-ins that answer as
CuPy's documentation says (tests/kernels/gpu); everything above it (launchers, ops, step) runs in
the tests on the host device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae_kernels.gpu import cublas, faults, nvrtc, sources


class CupyDevice:
    """The seam that the launchers are written against, played by a card.

    tf32: let cuBLAS round the products' inputs to 10 bits of mantissa (faster, less exact).
    Raises Unavailable where no card can be used.
    """

    name = "cupy"

    def __init__(self, *, tf32: bool = False) -> None:
        cupy = faults.import_cupy()
        faults.examine(cupy.cuda.runtime, self._built_for(cupy))
        self.xp, self.tf32 = cupy, tf32
        self.modules: dict[tuple[str, str], Any] = {}
        self.functions: dict[tuple[str, str], Any] = {}
        self.stream: Any = None
        self.blas: cublas.Cublas | None = None
        self.library = faults.required(
            lambda: cublas.find(cupy.cuda.runtime.runtimeGetVersion() // 1000), "cuBLAS"
        )
        faults.required(
            lambda: self._function("noise", "float"), "compiling the kernels with NVRTC"
        )

    @staticmethod
    def _built_for(cupy: Any) -> int:
        """The CUDA version CuPy was built for, as 12090 (0 where CuPy cannot say)."""
        try:
            return int(cupy.cuda.driver.get_build_version())
        except Exception:
            return 0

    # Memory

    def empty(self, shape: Any, dtype: Any) -> Any:
        """An uninitialised array on the card. Raises OutOfDeviceMemory."""
        return self._allocate(self.xp.empty, shape, dtype)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        """An array of zeros on the card. Raises OutOfDeviceMemory."""
        return self._allocate(self.xp.zeros, shape, dtype)

    def _allocate(self, make: Callable[..., Any], shape: Any, dtype: Any) -> Any:
        try:
            return make(shape, dtype=dtype)
        except self.xp.cuda.memory.OutOfMemoryError as full:
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            raise faults.OutOfDeviceMemory(
                f"an array of {faults.megabytes(size)} does not fit on the card, "
                f"{faults.megabytes(self.free_memory())} are free: use a smaller batch"
            ) from full

    def free_memory(self) -> int:
        """Bytes that can still be had: free on the card, and idle in CuPy's pool."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return int(free) + int(self.xp.get_default_memory_pool().free_bytes())

    def to_device(self, array: Any) -> Any:
        """A copy on the card (an array that is there already is returned as it is)."""
        if self.is_array(array):
            return array
        array = np.asarray(array)
        target = self.empty(array.shape, array.dtype)
        target.set(np.ascontiguousarray(array).reshape(array.shape))
        return target

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        """A copy in the host's memory, once the card is done with it."""
        if not self.is_array(array):
            return np.asarray(array)
        with self.working():
            return array.get()

    def is_array(self, value: Any) -> bool:
        """Whether the value is an array on the card."""
        return isinstance(value, self.xp.ndarray)

    def pointer(self, array: Any) -> int:
        """Where the array begins in the card's memory."""
        return int(array.data.ptr)

    def upload(self, target: Any, host: Any) -> None:
        """Copy host numbers into the first elements of a flat array, in the stream's order."""
        target[: host.size].set(np.ascontiguousarray(host.reshape(-1), dtype=target.dtype))

    # Work

    def working(self) -> Any:
        """A context in which everything goes to a stream of the step's own.

        The default stream cannot be captured. This one does not wait for it by itself, so what
        the default stream still has to do is waited for here.
        """
        if self.stream is None:
            self.stream = self.xp.cuda.Stream(non_blocking=True)
        if self.xp.cuda.get_current_stream() != self.stream:
            self.xp.cuda.get_current_stream().synchronize()
        return self.stream

    def _function(self, kernel: str, real: str) -> Any:
        key = (kernel, real)
        if key not in self.functions:
            file = sources.where()[kernel]
            if (file, real) not in self.modules:
                options = (*nvrtc.OPTIONS, f"-DREAL={real}")
                self.modules[file, real] = self.xp.RawModule(
                    code=sources.text(file), options=options
                )
            self.functions[key] = self.modules[file, real].get_function(kernel)
        return self.functions[key]

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        args: tuple[Any, ...],
        real: Any = np.float32,
    ) -> None:
        """Queue a kernel on the current stream."""
        parameters = sources.kernels(sources.where()[kernel])[kernel]
        packed = sources.pack(kernel, parameters, args, real)
        null = np.uint64(0)
        function = self._function(kernel, "double" if np.dtype(real) == np.float64 else "float")
        function((*grid, 1), (threads, 1, 1), tuple(null if p is None else p for p in packed))

    def matmul(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """out = a b, or out += a b; a and b may be transposed views."""
        if out.size == 0:
            return
        if self.blas is None:
            self.workspace = self.empty(cublas.WORKSPACE, np.uint8)
            self.blas = cublas.Cublas(
                self.library, self.pointer(self.workspace), cublas.WORKSPACE, tf32=self.tf32
            )
        self.blas.use_stream(self.xp.cuda.get_current_stream().ptr)
        pointers = self.pointer(a), self.pointer(b), self.pointer(out)
        self.blas.gemm(a, b, out, pointers, accumulate=accumulate)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` queues as a CUDA graph, without running it; -> replay.

        Call inside `working()`, after `work` has run once: modules are then loaded and cuBLAS has
        its workspace, so nothing allocates during the capture.
        """
        stream = self.xp.cuda.get_current_stream()
        stream.begin_capture()
        try:
            work()
        finally:
            graph = stream.end_capture()

        def replay() -> None:
            graph.launch(stream)

        return replay

    def synchronise(self) -> None:
        """Wait for the current stream."""
        self.xp.cuda.get_current_stream().synchronize()
