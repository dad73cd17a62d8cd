"""The device that is an NVIDIA card: CuPy for modules and graphs, cuBLAS for products.

Run on one card so far (README.md says which). Elsewhere its calls are tested against a strict
stand-in for CuPy (tests/kernels/gpu/fake_cupy.py) that also checks the order of all work on all
streams.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minivae_kernels.gpu import cublas, faults, nvrtc, sources
from minivae_kernels.gpu.cupy_memory import CardMemory
from minivae_kernels.gpu.launcher import Arguments, Grid

# One for each (CuPy, card, thread, TF32): a backend is loaded for every fit of an estimator, and
# neither cuBLAS's handles nor their workspaces would be given back.
_DEVICES: dict[tuple[Any, int, int, bool], CupyDevice] = {}


def examined() -> Any:
    """The module cupy, with a card that can be used current. Raises Unavailable."""
    cupy = faults.import_cupy()
    try:
        built_for = int(cupy.cuda.driver.get_build_version())
    except Exception:
        built_for = 0  # CuPy cannot say
    faults.examine(cupy.cuda.runtime, built_for)
    return cupy


def shared_device(*, tf32: bool = False) -> CupyDevice:
    """This thread's device on the current card, made at the first call. Raises Unavailable."""
    cupy = examined()
    key = cupy, int(cupy.cuda.runtime.getDevice()), threading.get_ident(), tf32
    if key not in _DEVICES:
        _DEVICES[key] = CupyDevice(tf32=tf32)
    return _DEVICES[key]


class CupyDevice(CardMemory):
    """The seam that the launchers are written against, played by a card.

    It belongs to the card that was current when it was made, and to the thread that made it.
    tf32: let cuBLAS round the products' inputs to 10 bits of mantissa (faster, less exact).
    Raises Unavailable where no card can be used.
    """

    name = "cupy"
    flushes = True  # CuPy compiles with -ftz=true, and nothing can take that back

    def __init__(self, *, tf32: bool = False) -> None:
        cupy = examined()
        super().__init__(cupy)
        self.tf32 = tf32
        self.modules: dict[tuple[str, str], Any] = {}
        self.functions: dict[tuple[str, str], Any] = {}
        self.blas: cublas.Cublas | None = None
        self.workspaces: list[Any] = []
        self.blas_stream: Any = None  # where the workspace is in use
        self.side: Any = None  # the second branch of a recording, with its own cuBLAS
        self.library = faults.required(
            lambda: cublas.find(cupy.cuda.runtime.runtimeGetVersion() // 1000), "cuBLAS"
        )
        faults.required(
            lambda: self._function("noise", "float"), "compiling the kernels with NVRTC"
        )

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

    @contextlib.contextmanager
    def _said(self, what: str) -> Iterator[None]:
        """The driver's or cuBLAS's own "out of memory" as OutOfDeviceMemory, with the fix."""
        try:
            yield
        except Exception as problem:
            if not faults.is_full(problem):
                raise
            line = f"the card's memory was full when {what}"
            raise faults.full(line, self.free_memory()) from problem

    def launch(
        self, kernel: str, grid: Grid, threads: int, args: Arguments, real: Any = np.float32
    ) -> None:
        """Queue a kernel on the current stream."""
        parameters = sources.kernels(sources.where()[kernel])[kernel]
        packed = sources.pack(kernel, parameters, args, real)
        null = np.uint64(0)
        with self._said(f"{kernel} was launched"):
            function = self._function(kernel, "double" if np.dtype(real) == np.float64 else "float")
            function((*grid, 1), (threads, 1, 1), tuple(null if p is None else p for p in packed))

    def matmul(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """out = a b, or out += a b; a and b may be transposed views."""
        if out.size == 0:
            return
        if a.size == 0:  # an empty sum; CuPy's strides are all 0 then, which cuBLAS would refuse
            if not accumulate:
                out[...] = 0
            return
        with self._said("a product was queued"):
            blas = self._blas()
            pointers = self.pointer(a), self.pointer(b), self.pointer(out)
            blas.gemm(a, b, out, pointers, accumulate=accumulate)

    def _new_blas(self) -> cublas.Cublas:
        workspace = self.empty(cublas.WORKSPACE, np.uint8)
        blas = cublas.Cublas(
            self.library, self.pointer(workspace), cublas.WORKSPACE, tf32=self.tf32
        )
        self.workspaces.append(workspace)  # only now: what has failed to start keeps nothing
        return blas

    def _blas(self) -> cublas.Cublas:
        """cuBLAS on the current stream, its one workspace waited for where that is another one."""
        current = self.xp.cuda.get_current_stream()
        if self.kept is not None and current == self.side:
            return self.side_blas
        if self.blas is None:
            self.blas = self._new_blas()
        elif current != self.blas_stream:
            current.wait_event(self.blas_stream.record())
        self.blas_stream = current
        self.blas.use_stream(current.ptr)
        return self.blas

    def _open_side(self) -> None:
        """The second branch's stream and cuBLAS, which multiplies once so that it is all loaded."""
        side = self.xp.cuda.Stream(non_blocking=True)
        one = self.zeros((32, 32), np.float32)
        out = self.empty(one.shape, one.dtype)
        blas = self._new_blas()  # last: its workspace stays
        self.synchronise()
        blas.use_stream(side.ptr)
        with side:
            pointers = self.pointer(one), self.pointer(one), self.pointer(out)
            blas.gemm(one, one, out, pointers, accumulate=False)
        side.synchronize()
        self.side, self.side_blas = side, blas  # only now: memory may have ended before

    @contextlib.contextmanager
    def aside(self) -> Iterator[Any]:
        """What is queued here may run beside what is queued after; -> for `wait`.

        It comes after everything queued before. Only a recording branches; elsewhere all work
        stays in order, on the current stream.
        """
        if self.kept is None:
            yield None
            return
        cuda = self.xp.cuda
        start, done = (cuda.Event(disable_timing=True) for _ in range(2))
        self.kept += [start, done]
        self.side.wait_event(cuda.get_current_stream().record(start))
        with self.side:
            yield done
            self.side.record(done)

    def wait(self, done: Any) -> None:
        """Let what is queued next come after what was queued aside; the last one is a must."""
        if done is not None:
            self.xp.cuda.get_current_stream().wait_event(done)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` queues as a CUDA graph, without running it; -> replay.

        Call inside `working()`, after `work` has run once: modules are then loaded and cuBLAS has
        its workspace, so nothing need be allocated during the capture. Whatever `work` allocates
        nevertheless is kept as long as the replay: the graph holds addresses, not arrays.
        """
        stream = self.xp.cuda.get_current_stream()
        if self.side is None:
            with self._said("the second cuBLAS was started"):
                self._open_side()
        self.kept = kept = list[Any]()
        with self._said("the step was recorded"):
            stream.begin_capture()
            try:
                work()
            except BaseException:
                with contextlib.suppress(Exception):  # what broke the capture matters more
                    stream.end_capture()
                raise
            finally:
                self.kept = None
            graph = stream.end_capture()

        def replay(held: list[Any] = kept) -> None:
            if self.blas is not None:
                self._blas()  # the graph multiplies in its workspace: after whoever used it last
            graph.launch(stream)

        return replay

    def synchronise(self) -> None:
        """Wait for the current stream."""
        self.xp.cuda.get_current_stream().synchronize()
