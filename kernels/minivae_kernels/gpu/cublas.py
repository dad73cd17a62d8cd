"""Matrix products by the cuBLAS that CuPy ships with, called through ctypes.

Why not `cupy.matmul`: CuPy (seen in 13 and 14) refuses every cuBLAS call while a stream is being
captured, whether or not cuBLAS could be captured, and the whole step is one captured graph. cuBLAS
itself allows it, given a workspace of the caller's: without one it may allocate in the middle of
the capture.

Same bits every run: one stream, one workspace, atomics off (all three are cuBLAS's conditions).

Without a card the argument order is tested against a stand-in library with cuBLAS's C signatures.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

WORKSPACE = 32 << 20  # bytes: what cuBLAS asks for on its largest cards, and ample elsewhere
DEFAULT_MATH, TF32_MATH, ATOMICS_OFF = 0, 3, 0
NO_TRANSPOSE, TRANSPOSE = 0, 1


class CublasError(RuntimeError):
    """cuBLAS returned a status other than success."""


class Operand(NamedTuple):
    """A row-major matrix as cuBLAS, which counts by columns, wants to hear of it."""

    transposed: int
    leading: int


def operand(shape: tuple[int, int], strides: tuple[int, int], item: int) -> Operand:
    """How to describe a matrix with these strides (bytes), plain or a transposed view.

    Raises ValueError if neither its rows nor its columns are contiguous.
    """
    rows, columns = shape
    if (strides[1] == item or columns == 1) and (strides[0] >= columns * item or rows == 1):
        return Operand(NO_TRANSPOSE, strides[0] // item if rows > 1 else max(columns, 1))
    if (strides[0] == item or rows == 1) and (strides[1] >= rows * item or columns == 1):
        return Operand(TRANSPOSE, strides[1] // item if columns > 1 else max(rows, 1))
    raise ValueError(f"a matrix of shape {shape} with strides {strides} cannot go to cuBLAS")


def candidates(major: int) -> Iterator[str]:
    """Where the library of this CUDA version may lie: loaded already, in a wheel, in a toolkit."""
    name = f"libcublas.so.{major}"
    yield name  # on the library path, or loaded by CuPy before
    for package in (f"nvidia.cu{major}", "nvidia.cublas"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for place in (spec.submodule_search_locations or []) if spec else []:
            yield str(Path(place) / "lib" / name)
    for root in (os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if root:
            yield str(Path(root) / "lib64" / name)


def find(major: int) -> Any:
    """The loaded library. Raises OSError naming the fix where there is none."""
    for path in candidates(major):
        light = path.replace("libcublas.so", "libcublasLt.so")
        try:
            if path != light and Path(light).exists():
                ctypes.CDLL(light, mode=ctypes.RTLD_GLOBAL)  # libcublas needs it by name
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise OSError(
        f"cuBLAS for CUDA {major} was not found: pip install "
        f"{'nvidia-cublas' if major >= 13 else f'nvidia-cublas-cu{major}'} "
        "(or set CUDA_PATH to a CUDA toolkit)"
    )


class Cublas:
    """A handle with a workspace of its own, and `gemm` on row-major arrays."""

    def __init__(self, library: Any, workspace: int, size: int, *, tf32: bool = False) -> None:
        self.library, self.workspace, self.size = library, workspace, size
        self.handle = ctypes.c_void_p()
        self.stream: int | None = None
        self._call("cublasCreate_v2", ctypes.byref(self.handle))
        self._call(
            "cublasSetMathMode", self.handle, ctypes.c_int(TF32_MATH if tf32 else DEFAULT_MATH)
        )
        self._call("cublasSetAtomicsMode", self.handle, ctypes.c_int(ATOMICS_OFF))

    def _call(self, name: str, *args: Any) -> None:
        status = getattr(self.library, name)(*args)
        if status:
            raise CublasError(f"{name} failed with status {status}")

    def use_stream(self, stream: int) -> None:
        """Work on this stream; a change of stream makes cuBLAS forget its workspace."""
        if stream == self.stream:
            return
        self._call("cublasSetStream_v2", self.handle, ctypes.c_void_p(stream))
        self._call(
            "cublasSetWorkspace_v2",
            self.handle,
            ctypes.c_void_p(self.workspace),
            ctypes.c_size_t(self.size),
        )
        self.stream = stream

    def gemm(
        self, a: Any, b: Any, out: Any, pointers: tuple[int, int, int], *, accumulate: bool
    ) -> None:
        """out = a b (+ out): a (m, k), b (k, n) plain or transposed views, out (m, n) contiguous.

        Row-major out is column-major outᵀ = bᵀ aᵀ, so b goes first and the sizes swap.
        """
        m, k = a.shape
        n = b.shape[1]
        item = out.dtype.itemsize
        first, second = operand(b.shape, b.strides, item), operand(a.shape, a.strides, item)
        single = out.dtype == np.float32
        number = ctypes.c_float if single else ctypes.c_double
        to_a, to_b, to_out = map(ctypes.c_void_p, pointers)
        c = ctypes.c_int
        self._call(
            "cublasSgemm_v2" if single else "cublasDgemm_v2",
            self.handle,
            c(first.transposed),
            c(second.transposed),
            c(n),
            c(m),
            c(k),
            ctypes.byref(number(1.0)),
            to_b,
            c(first.leading),
            to_a,
            c(second.leading),
            ctypes.byref(number(1.0 if accumulate else 0.0)),
            to_out,
            c(n),
        )
