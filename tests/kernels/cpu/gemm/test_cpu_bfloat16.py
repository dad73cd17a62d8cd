"""Rounding and packing for vdpbf16ps, the ops that use it, and where it is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from minivae_kernels.cpu.compile import simd
from minivae_kernels.cpu.compile.decorators import OPTIONS
from minivae_kernels.cpu.gemm import bfloat16
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.cpu.gemm.layout import aligned

from minivae.backend import Backend, BackendUnavailable, load_backend
from minivae.proof.kernels import check_kernels
from minivae.proof.product_rounding import PRODUCTS, rounded, rounding_reference
from tests.kernels.cpu.children import PATHS
from tests.kernels.cpu.rounded import load_bf16


@pytest.fixture(scope="module")
def H() -> Any:
    return load_bf16()


def test_rounding_is_to_the_nearest_and_ties_to_even() -> None:
    u = 2.0**-8  # half a last place at 1: the largest relative error there is
    x = np.array([1 + u, 1 + 3 * u, 1 + 1.01 * u, 1 + 0.99 * u, -1 - u], np.float32)
    assert rounded(x).tolist() == [1, 1 + 4 * u, 1 + 2 * u, 1, -1]


def test_both_shadows_hold_the_rounded_numbers(H: Any) -> None:
    @numba.njit(**OPTIONS)
    def pack(x, rows, pairs):
        bfloat16.round_two(address(x, 0), address(x, 32), address(rows, 0), address(pairs, 0))

    x, rows, pairs = aligned(64), aligned(32), aligned(32)
    bits = np.random.default_rng(0).integers(0, 2**32, 64, dtype=np.uint32)
    x[:] = bits.view(np.float32)
    x[~np.isfinite(x) | (np.abs(x) < 1e-37)] = 1.00390625  # a tie
    x[[3, 40]] = np.inf, -0.0
    pack(x, rows, pairs)
    want = (rounded(x).view(np.uint32) >> 16).reshape(2, 32)
    np.testing.assert_array_equal(rows.view(np.uint16), want.reshape(-1))
    np.testing.assert_array_equal(pairs.view(np.uint16), want.T.reshape(-1))


def wrong(K: Backend) -> set[str]:
    return {row.op for row in check_kernels(K, list(PRODUCTS)) if not row.ok}


def test_the_budget_fits_bfloat16_and_no_less(H: Any) -> None:
    """Eight bits of significand pass; five, or float32's own budget for them, do not."""
    assert not wrong(H)
    assert not wrong(rounding_reference())
    assert wrong(rounding_reference(bits=3)) == set(PRODUCTS)
    assert wrong(Backend("numba", {op: getattr(H, op) for op in PRODUCTS})) == set(PRODUCTS)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("B", "I", "O"), [(1, 1, 1), (5, 7, 3), (70, 65, 49), (300, 31, 17)])
def test_the_ops_multiply_rounded_numbers(H: Any, B: int, I: int, O: int) -> None:
    rng = np.random.default_rng(B)
    x, W, b, dy = (rng.standard_normal(s).astype(np.float32) for s in ((B, I), (I, O), O, (B, O)))
    x16, W16, dy16 = (rounded(a).astype(np.float64) for a in (x, W, dy))
    dW, db = H.dense_backward_params(dy, x)
    pairs = [
        (H.dense_forward(x, W, b), x16 @ W16 + b),
        (H.dense_relu_forward(x, W, b), np.maximum(x16 @ W16 + b, 0)),
        (H.dense_backward_input(dy, W), dy16 @ W16.T),
        (dW, x16.T @ dy16),
        (db, dy.astype(np.float64).sum(axis=0)),
    ]
    for got, want in pairs:
        assert got.dtype == np.float32 and got.shape == want.shape
        assert np.max(np.abs(got - want)) <= 3e-6 * max(np.max(np.abs(want)), 1.0)


@pytest.mark.parametrize(
    ("features", "name", "there"),
    [("+avx512f,+avx512bf16", None, True), ("+avx512f", None, False),
     ("-avx512f", "znver4", False),
     ("", "znver4", True), ("", "skylake-avx512", False), ("", "generic", False),
     (None, "znver4", False)],
)  # fmt: skip
def test_it_follows_the_processor_that_numba_compiles_for(
    features: str | None, name: str | None, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simd.config, "CPU_FEATURES", features)
    monkeypatch.setattr(simd.config, "CPU_NAME", name)
    monkeypatch.setattr(simd, "get_host_cpu_features", lambda: "+avx512f,-avx512bf16")
    assert bfloat16.available() == (there and bfloat16.WIDTH == bfloat16.WORDS)
    monkeypatch.setattr(bfloat16, "WIDTH", 8)
    assert not bfloat16.available()
    with pytest.raises(BackendUnavailable, match="this processor has no AVX512-BF16"):
        load_backend("numba", bf16=True)


def test_where_numba_is_to_leave_such_instructions_out_one_line_says_so() -> None:
    """To compile them all the same would end the process."""
    env = {**os.environ, "PYTHONPATH": PATHS, "NUMBA_ENABLE_AVX": "0"}
    command = [sys.executable, "-m", "minivae", "verify", "--bf16"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no AVX512-BF16" in done.stderr and "or Numba is told not to use it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_other_backend_has_it() -> None:
    for name in ("numpy", "cupy"):
        with pytest.raises(ValueError, match=f"{name!r} has no bfloat16"):
            load_backend(name, bf16=True)
