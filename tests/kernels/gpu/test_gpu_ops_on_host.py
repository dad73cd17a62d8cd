"""Every GPU kernel, built for the host and launched by its real launcher, against its reference op.

Shown here: arithmetic, indexing, barriers, shuffles, launch geometry. Not shown: the card's own
exp, log and tanh (the host's libm stands in), cuBLAS (NumPy stands in), anything about speed.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.host_device import HostDevice

from minivae import ops
from minivae.backend import Backend
from minivae.ops.table import FUNCTIONS
from minivae.proof.tolerances import tol

sys.path.insert(0, str(Path(__file__).parent))
from gpu_cases import PARTS_WITHOUT_KERNEL, SHAPES, as_type, cases, parts
from gpu_checks import check_op, check_ulps, worst

NAMES = sorted(cases("odd"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", NAMES)
def test_float32_within_twice_the_reference_error(K: Backend, op: str, shape: str) -> None:
    check_op(K, op, shape)


@pytest.mark.parametrize("op", NAMES)
def test_float64_by_the_same_kernels(K: Backend, op: str) -> None:
    args = as_type(cases("odd")[op], np.float64)
    for mine, truth in zip(
        parts(getattr(K, op)(*args)), parts(getattr(ops, op)(*args)), strict=True
    ):
        assert mine.dtype == np.float64
        np.testing.assert_allclose(mine, truth, rtol=1e-13, atol=1e-13 * np.abs(truth).max())


@pytest.mark.parametrize("op", NAMES)
def test_any_thread_order_gives_the_same_bits(built: None, op: str) -> None:
    """A race or a missing barrier would show as bits that depend on who runs first."""
    args = as_type(cases("odd")[op], np.float32)
    results = []
    for order in (0, 1, 12345, 999):
        function = gpu.table(HostDevice(order))[op]
        results.append(b"".join(p.tobytes() for p in parts(function(*args))))
    assert len(set(results)) == 1


def test_every_op_has_a_kernel_or_a_reason() -> None:
    """The host's own business, small dense algebra and parts that are given no kernel yet."""
    table = gpu.table(HostDevice())
    without = {FUNCTIONS[op].op.name for op in set(ops.OPS) - set(table)}
    assert without == {"permutation", "gaussian_kl"} | PARTS_WITHOUT_KERNEL
    for name in set(ops.OPS) & set(table):
        assert list(inspect.signature(table[name]).parameters) == list(
            inspect.signature(getattr(ops, name)).parameters
        )


def test_extremes_stay_finite_and_right(K: Backend) -> None:
    x = np.array([-1e4, -89.0, -0.0, 0.0, 89.0, 1e4], dtype=np.float32)
    for op in ("sigmoid_forward", "softplus_forward", "tanh_forward", "relu_forward"):
        got, exact = getattr(K, op)(x), getattr(ops, op)(x.astype(np.float64))
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-38)
    logits, pixel = x.reshape(1, 1, 6), np.array([[1, 0, 1, 0, 1, 0]], dtype=np.float32)
    nll, dlogits = K.bernoulli_nll_grad(np.full((1, 1), 0.5, np.float32), logits, pixel)
    exact = ops.bernoulli_nll_forward(logits.astype(float), pixel.astype(float))
    np.testing.assert_allclose(nll, exact, rtol=1e-6)
    assert np.isfinite(dlogits).all()


def test_nan_stays_nan(K: Backend) -> None:
    x = np.array([np.nan, 1.0], dtype=np.float32)
    for op in (
        "relu_forward",
        "tanh_forward",
        "sigmoid_forward",
        "softplus_forward",
        "bound_logvar_forward",
    ):
        got = getattr(K, op)(x)
        assert np.isnan(got[0]) and not np.isnan(got[1]), op


def test_inputs_with_gaps_and_off_the_grid(K: Backend, rng: np.random.Generator) -> None:
    big = rng.normal(size=(9, 21)).astype(np.float32)
    for x in (big[::2, 1::2], big.T, big.reshape(-1)[1:], np.broadcast_to(big[0], (4, 21))):
        before = x.copy()
        np.testing.assert_array_equal(K.relu_forward(x), ops.relu_forward(x))
        np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(K.relu_backward(big, big), ops.relu_backward(big, big))


def test_optimisers_against_the_reference(K: Backend, rng: np.random.Generator) -> None:
    for size in (1, 4, 1001):
        theta, grad = rng.normal(size=(2, size)).astype(np.float32)
        rounds = []
        for backend, dtype in ((ops, np.float64), (ops, np.float32), (K, np.float32)):
            th, m, v = theta.astype(dtype), np.zeros(size, dtype), np.zeros(size, dtype)
            vel, total, mean = (np.zeros(size, dtype) for _ in range(3))
            m2, v2 = np.zeros(size, dtype), np.zeros(size, dtype)
            for t in (1, 2, 3):
                g = grad.astype(dtype) * dtype(t)
                backend.adam_update(th, g, m, v, 3e-3, 0.9, 0.999, 1e-8, t)
                backend.sgd_update(th, g, vel, 1e-2, 0.9)
                backend.adagrad_update(th, g, total, 3e-2, 1e-10)
                backend.adamw_update(th, g, m2, v2, 3e-3, 0.9, 0.999, 1e-8, 0.3, t)
                backend.rmsprop_update(th, g, mean, 3e-3, 0.99, 1e-8)
            rounds.append((th, m, v, vel, total, mean, m2, v2))
        for truth, single, mine in zip(*rounds, strict=True):
            assert worst(mine, truth) <= tol("budget_factor") * worst(single, truth) + 1e-9
            check_ulps("the optimisers", mine, single, truth)


@pytest.mark.parametrize("quads", [511, 512, 513, 1023, 1024, 1025, 1536, 1600, 2561])
def test_long_arrays_are_walked_to_their_end(
    K: Backend, monkeypatch: pytest.MonkeyPatch, quads: int
) -> None:
    """More numbers than the grid has threads: every one once, two blocks of 256 threads walk on."""
    monkeypatch.setattr("minivae_kernels.gpu.launcher.MOST_BLOCKS", 2)
    x = np.random.default_rng(quads).normal(size=4 * quads + 3).astype(np.float32)
    y = np.flip(x).copy()
    for a in (x, x[1:]):  # on the 16-byte grid and beside it
        given = K.to_device(x)[len(x) - len(a) :]
        assert np.array_equal(K.relu_forward(given), ops.relu_forward(a))
        assert np.array_equal(
            K.relu_backward(y[: len(a)], given), ops.relu_backward(y[: len(a)], a)
        )
    theta, velocity = K.to_device(x), K.to_device(np.zeros_like(x))
    K.sgd_update(theta, K.to_device(y), velocity, 0.5, 0.0)
    np.testing.assert_array_equal(theta, x - np.float32(0.5) * y)
