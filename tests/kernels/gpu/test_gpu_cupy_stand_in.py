"""`CupyDevice` executed on a stand-in for CuPy and cuBLAS (fake_cupy.py).

Shown: its lines run, every argument has the type the kernel declares, products reach cuBLAS with
the right sizes and transposes, capture meets CUDA's rules as documented. NOT shown: that the real
CuPy, cuBLAS and driver behave as the stand-in does (test_gpu_on_card.py asks them).
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu import cublas
from minivae_kernels.gpu.cupy_device import CupyDevice

from minivae import ops
from minivae.backend import Backend

sys.path.insert(0, str(Path(__file__).parent))
from fake_cupy import FakeCupy
from gpu_cases import as_type, cases, parts
from gpu_checks import call
from gpu_steps import LIKELY, MODELS, WEIGHED, problem, run, schedule


@pytest.mark.parametrize("op", sorted(cases("odd")))
def test_ops_equal_the_host_device(C: Backend, K: Backend, op: str) -> None:
    """The same kernels through the other device: the same bits, products apart."""
    args = as_type(cases("odd")[op], np.float32)
    mine = call(C, op, args)
    for a, b in zip(mine, parts(getattr(K, op)(*args)), strict=True):
        assert type(a) is np.ndarray
        np.testing.assert_allclose(a, b, rtol=1e-5 if op.startswith("dense_") else 0, atol=1e-5)


@pytest.mark.parametrize("model", [*MODELS, *LIKELY, *WEIGHED])
def test_captured_step_equals_the_host_device(C: Backend, K: Backend, model: str) -> None:
    given = problem({**MODELS, **LIKELY, **WEIGHED}[model], settings={"eps": 1e-3})
    (theta, moments), metrics = run(C.make_step(*given))
    (theirs, their_moments), their_metrics = run(K.make_step(*given))
    np.testing.assert_allclose(theta, theirs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moments, their_moments, rtol=1e-3, atol=1e-6)
    assert metrics["updates"] == 3
    np.testing.assert_allclose(metrics["loss"], their_metrics["loss"], rtol=1e-5)


def test_noise_on_the_stand_in(C: Backend) -> None:
    rows = np.array([3, 9, 4])
    assert (
        C.to_host(C.normals(5, 2, 1, rows, 7)).tobytes() == ops.normals(5, 2, 1, rows, 7).tobytes()
    )


def test_capture_is_made_once_and_away_from_the_default_stream(C: Backend, cupy: FakeCupy) -> None:
    step = C.make_step(*problem(MODELS["relu bernoulli"]))
    step(*schedule(2, 9))
    step(*schedule(2, 9))
    assert len(step.graphs) == 1 and cupy.current == [cupy.default]
    assert cupy.blas.stream == step.device.stream.ptr != cupy.default.ptr


@pytest.mark.parametrize(("tf32", "mode"), [(False, 0), (True, 3)])
def test_tf32_only_when_asked_for(cupy: FakeCupy, tf32: bool, mode: int) -> None:
    device = CupyDevice(tf32=tf32)
    a = device.to_device(np.ones((2, 2), np.float32))
    device.matmul(a, a, device.empty((2, 2), np.float32))
    assert cupy.blas.math == mode


def device_of(kernels: dict[str, Any]) -> CupyDevice:
    return kernels["to_device"].__self__


def test_a_backend_loaded_anew_works_on_the_same_device(cupy: FakeCupy) -> None:
    """However often an estimator is fitted: two handles of cuBLAS, two workspaces."""
    given, memory = problem(MODELS["linear"]), []
    for _ in range(3):
        kernels = gpu.load()
        run(kernels["make_step"](*given))
        gc.collect()
        memory.append(cupy.pool.used)
    assert memory[1] == memory[0] == memory[2] and len(cupy.blas.streams) == 2
    assert device_of(gpu.load()) is device_of(gpu.load()) is not device_of(gpu.load(tf32=True))
    theirs: list[CupyDevice] = []
    thread = threading.Thread(target=lambda: theirs.append(device_of(gpu.load())))
    thread.start()
    thread.join()
    assert theirs[0] is not device_of(gpu.load())


def test_a_device_stays_on_its_card(cupy: FakeCupy) -> None:
    kernels = gpu.load()
    a = kernels["to_device"](np.ones((2, 3), np.float32))
    step = kernels["make_step"](*problem(MODELS["linear"]))
    cupy.cuda.runtime.getDevice = lambda: 1
    for work in (lambda: kernels["relu_forward"](a), lambda: step(*schedule(1, 9))):
        with pytest.raises(RuntimeError, match="loaded for card 0, and card 1 is current: load"):
            work()
    other = gpu.load()
    assert device_of(other).card == 1
    other["relu_forward"](other["to_device"](np.ones((2, 3), np.float32)))


def test_arrays_on_the_wrong_side(C: Backend) -> None:
    x = np.ones((3, 4), np.float32)
    with pytest.raises(
        TypeError, match=r"relu_forward: x is an array on the host.*K\.to_device\(x\)"
    ):
        C.relu_forward(x)
    with pytest.raises(TypeError, match="data is not on the device"):
        C.gather(x, np.array([0]), 1.0)
    with pytest.raises(TypeError, match="complex128; this backend takes float32 and float64"):
        C.relu_forward(C.to_device(x.astype(complex)))
    with pytest.raises(ValueError, match="do not go together"):
        C.dense_forward(C.to_device(x), C.to_device(x), C.to_device(x[0]))
    with pytest.raises(IndexError, match="rows 0 to 2"):
        C.gather(C.to_device(x), np.array([3]), 1.0)


def test_out_of_memory_names_what_would_fit(C: Backend, cupy: FakeCupy) -> None:
    plan, *rest = problem(MODELS["relu bernoulli"])
    cupy.pool.total = 100 << 20
    with pytest.raises(
        MemoryError, match=r"batch 1000000 needs [0-9,]+ MiB .* a batch of [0-9]+ would"
    ):
        C.make_step(plan._replace(max_batch=10**6), *rest)
    cupy.pool.total = cupy.pool.used + 10
    with pytest.raises(MemoryError, match="smaller batch"):
        C.to_device(np.zeros(99))


SHAPES = [((3, 5), (5, 4)), ((1, 5), (5, 4)), ((3, 1), (1, 4)), ((3, 5), (5, 1)), ((1, 1), (1, 1))]


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_transposed_views(
    cupy: FakeCupy, shapes: Any, flips: tuple[bool, bool], dtype: Any
) -> None:
    rng, device = np.random.default_rng(1), CupyDevice()
    a, b = (
        device.to_device(rng.normal(size=s[::-1] if f else s).astype(dtype))
        for s, f in zip(shapes, flips, strict=True)
    )
    a, b = (x.T if f else x for x, f in zip((a, b), flips, strict=True))
    out = device.empty((shapes[0][0], shapes[1][1]), dtype)
    device.matmul(a, b, out)
    np.testing.assert_allclose(out.get(), a.get() @ b.get(), rtol=1e-5)
    device.matmul(a, b, out, accumulate=True)
    np.testing.assert_allclose(out.get(), 2 * (a.get() @ b.get()), rtol=1e-5)


STAND_IN = r"""
// cublasSgemm_v2 with the C signature of cublas_api.h, on host memory, column-major.
extern "C" int cublasCreate_v2(void** h) { *h = (void*)1234567890123L; return 0; }
extern "C" int cublasSetMathMode(void* h, int mode) { return (long)h != 1234567890123L || mode; }
extern "C" int cublasSetAtomicsMode(void* h, int mode) { return (long)h != 1234567890123L || mode; }
extern "C" int cublasSetStream_v2(void* h, void* s) { return (long)s != 0x7fff00000077L; }
extern "C" int cublasSetWorkspace_v2(void* h, void* w, unsigned long n) {
    return (long)w != 0x7ffe00000100L || n != 33554432;
}
extern "C" int cublasSgemm_v2(void* h, int ta, int tb, int m, int n, int k, const float* alpha,
                              const float* A, int lda, const float* B, int ldb, const float* beta,
                              float* C, int ldc) {
    if ((long)h != 1234567890123L) return 1;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < m; ++i) {
            float sum = 0;
            for (int p = 0; p < k; ++p)
                sum += A[ta ? p + i * lda : i + p * lda] * B[tb ? j + p * ldb : p + j * ldb];
            C[i + j * ldc] = *alpha * sum + (*beta ? *beta * C[i + j * ldc] : 0);
        }
    return 0;
}
"""


def test_ctypes_calls_fit_the_c_signatures(built: None, tmp_path: Path) -> None:
    """64-bit handles and pointers arrive whole; a C library with the same prototypes agrees."""
    import ctypes

    (tmp_path / "blas.cpp").write_text(STAND_IN)
    command = [shutil.which("g++"), "-shared", "-fPIC", "-o", "libblas.so", "blas.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True)
    blas = cublas.Cublas(
        ctypes.CDLL(str(tmp_path / "libblas.so")), 0x7FFE00000100, cublas.WORKSPACE
    )
    blas.use_stream(0x7FFF00000077)
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(3, 5)).astype(np.float32)
    out = np.full((7, 3), np.nan, np.float32)
    for accumulate in (False, True):
        pointers = a.ctypes.data, b.ctypes.data, out.ctypes.data
        blas.gemm(a, b.T, out, pointers, accumulate=accumulate)
        np.testing.assert_allclose(out, (1 + accumulate) * (a @ b.T), rtol=1e-5, atol=1e-6)
    with pytest.raises(cublas.CublasError, match="cublasSetStream_v2 failed with status 1"):
        blas.use_stream(5)


def test_matrices_cublas_cannot_take() -> None:
    x = np.zeros((6, 8), np.float32)[::2, ::2]
    with pytest.raises(ValueError, match="cannot go to cuBLAS"):
        cublas.operand(x.shape, x.strides, 4)


def test_no_cublas_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cublas, "candidates", lambda major: iter(["libnothing_of_this_name.so"]))
    with pytest.raises(OSError, match="pip install nvidia-cublas-cu12"):
        cublas.find(12)
