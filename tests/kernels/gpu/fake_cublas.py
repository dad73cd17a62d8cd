"""cuBLAS by its C signatures, on the stand-in's memory, column by column."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from fake_order import Span
from minivae_kernels.gpu.cublas import TF32_MATH
from rounding_device import kept


def rounded(matrix: np.ndarray) -> np.ndarray:
    """As TF32 has it; read when the product runs, as the card does."""
    return kept(matrix, 10, nearest=True)


class FakeCublas:
    """A library object as ctypes gives it. A handle must have a stream and a workspace."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.streams: dict[int, int] = {}  # handle -> its stream
        self.workspaces: dict[int, Any] = {}
        self.math: int | None = None
        self.modes: dict[int, int] = {}  # handle -> its products' precision

    @property
    def stream(self) -> int:
        """The first handle's stream."""
        return self.streams[1]

    def cublasCreate_v2(self, handle: Any) -> int:
        handle._obj.value = len(self.streams) + 1
        self.streams[handle._obj.value] = 0
        return 0

    def cublasSetMathMode(self, handle: Any, mode: ctypes.c_int) -> int:
        self.math = self.modes[handle.value] = mode.value
        return 0

    def cublasSetAtomicsMode(self, handle: Any, mode: ctypes.c_int) -> int:
        return mode.value

    def cublasSetStream_v2(self, handle: Any, stream: ctypes.c_void_p) -> int:
        self.streams[handle.value] = stream.value or 0
        self.workspaces[handle.value] = None  # a new stream forgets the workspace
        return 0

    def cublasSetWorkspace_v2(self, handle: Any, pointer: Any, size: Any) -> int:
        buffer = self.cupy.pool.find(pointer.value)
        if buffer is None or pointer.value % 256 or buffer.size < size.value:
            return 7  # CUBLAS_STATUS_INVALID_VALUE
        self.workspaces[handle.value] = buffer
        return 0

    def cublasSgemm_v2(self, handle: Any, *args: Any) -> int:
        return self._gemm(handle, ctypes.c_float, *args)

    def cublasDgemm_v2(self, handle: Any, *args: Any) -> int:
        return self._gemm(handle, ctypes.c_double, *args)

    def _gemm(
        self,
        handle: Any,
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
        current = self.cupy.current[-1]
        workspace = self.workspaces[handle.value]
        assert workspace is not None and self.streams[handle.value] == current.ptr
        m, n, k = m.value, n.value, k.value
        ka, kb = (m, k) if ta.value == 0 else (k, m), (k, n) if tb.value == 0 else (n, k)
        if lda.value < max(1, ka[0]) or ldb.value < max(1, kb[0]) or ldc.value < max(1, m):
            return 7
        item = ctypes.sizeof(number)
        found = []
        for pointer, leading, (rows, columns) in ((a, lda, ka), (b, ldb, kb), (c, ldc, (m, n))):
            buffer = self.cupy.pool.find(pointer.value)
            if rows * columns == 0:
                found.append((None, np.zeros((rows, columns), number)))
                continue
            assert buffer is not None, "cuBLAS was given a pointer to no array of the card"
            start = pointer.value - buffer.address
            stop = start + ((columns - 1) * leading.value + rows) * item
            assert stop <= buffer.size, "a product reaches beyond its array"
            memory = buffer.bytes[start:stop].view(number)
            matrix = np.lib.stride_tricks.as_strided(
                memory, (rows, columns), (item, leading.value * item)
            )
            found.append((Span(buffer, start, stop), matrix))
        (left_of, left), (right_of, right), (out_of, out) = found
        left, right = left.T if ta.value else left, right.T if tb.value else right
        short = number is ctypes.c_float and self.modes.get(handle.value) == TF32_MATH
        given = rounded if short else np.asarray
        scale, factor = alpha._obj.value, beta._obj.value

        def work() -> None:
            with np.errstate(all="ignore"):
                product = scale * (given(left) @ given(right))
                out[...] = product + factor * out if factor else product

        reads = [span for span in (left_of, right_of) if span is not None]
        writes = [span for span in (out_of, Span(workspace, 0, workspace.size)) if span is not None]
        current.queue("gemm", reads, writes, work)
        return 0
