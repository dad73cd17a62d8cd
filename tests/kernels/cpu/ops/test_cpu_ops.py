"""Every op on this backend against the reference, at sizes that fit no tile, vector or panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minivae import ops

# (rows, inputs, outputs): 1, primes, a tile or a panel and one less or more, many rows.
SIZES = [(1, 1, 1), (2, 3, 5), (11, 16, 17), (12, 31, 33), (13, 32, 15), (23, 129, 47),
         (25, 127, 64), (37, 260, 31), (67, 5, 130), (70, 230, 131), (300, 33, 16),
         (531, 70, 49)]  # fmt: skip


def arrays(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def doubles(*args: Any) -> list[Any]:
    return [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else a
            for a in args]  # fmt: skip


def agree(K: Any, op: str, *args: Any) -> None:
    """Float32 kernel against the float64 reference: at most twice the float32 reference's error."""
    got, base, truth = getattr(K, op)(*args), getattr(ops, op)(*args), getattr(ops, op)(
        *doubles(*args)
    )  # fmt: skip
    if not isinstance(got, tuple):
        got, base, truth = (got,), (base,), (truth,)
    assert len(got) == len(truth)
    for g, b, t in zip(got, base, truth, strict=True):
        assert np.shape(g) == np.shape(t)
        assert np.asarray(g).dtype == np.float32
        if np.size(t) == 0:
            continue
        scale = np.max(np.abs(t)) + 1e-30
        allowed = 2 * np.max(np.abs(b - t)) / scale + 4e-7
        assert np.max(np.abs(g - t)) / scale <= allowed, op


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("size", SIZES)
def test_dense(K: Any, size: tuple[int, int, int]) -> None:
    rows, inputs, outputs = size
    x, W, b, dy = arrays(rows, (rows, inputs), (inputs, outputs), (outputs,), (rows, outputs))
    agree(K, "dense_forward", x, W, b)
    agree(K, "dense_relu_forward", x, W, b)
    agree(K, "dense_tanh_forward", x, W, b)
    agree(K, "dense_backward_params", dy, x)
    agree(K, "dense_backward_input", dy, W)


@pytest.mark.parametrize("rows", [1, 16, 17, 33, 48])
def test_either_way_to_an_input_gradient_gives_the_same_bits(K: Any, rows: int) -> None:
    """Many rows go by Wᵀ, few of them by their own transpose."""
    from minivae_kernels.cpu.ops.dense_backward import by_dy

    W, dy = arrays(rows, (230, 131), (300, 131))
    assert by_dy.py_func(rows, 131, 230)
    assert not by_dy.py_func(300, 131, 230)
    whole = K.dense_backward_input(dy, W)
    np.testing.assert_array_equal(K.dense_backward_input(dy[:rows], W), whole[:rows])


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("shape", [(1,), (7, 5), (2, 33, 3), (611, 613)])
def test_elementwise(K: Any, shape: tuple[int, ...]) -> None:
    x, dy = arrays(3, shape, shape)
    for name in ("relu", "tanh", "sigmoid", "softplus"):
        agree(K, f"{name}_forward", 4 * x)
        agree(K, f"{name}_backward", dy, 4 * x)
    agree(K, "bound_logvar_forward", 30 * x)
    agree(K, "bound_logvar_backward", dy, 30 * x)
    agree(K, "dense_relu_backward", dy, x)
    agree(K, "dense_tanh_backward", dy, np.tanh(x))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("L", "B", "J"), [(1, 1, 1), (3, 7, 5), (2, 33, 31), (1, 700, 97)])
def test_latent(K: Any, L: int, B: int, J: int) -> None:
    mu, logvar, dkl, eps, dz = arrays(5, (B, J), (B, J), (B, J), (L, B, J), (L, B, J))
    agree(K, "reparameterise_forward", mu, logvar, eps)
    agree(K, "reparameterise_backward", dz, logvar, eps)
    agree(K, "kl_forward", mu, logvar)
    agree(K, "kl_backward", dkl, mu, logvar)
    agree(K, "latent_forward", mu, logvar, eps)
    agree(K, "latent_backward", dz, dkl, mu, logvar, eps)
    agree(K, "kl_forward", mu, 1e-4 * logvar)  # where exp(logvar) - 1 would lose its digits
    agree(K, "free_bits_forward", np.abs(mu[0]), 0.3)
    agree(K, "free_bits_backward", dkl[0], np.abs(mu[0]), 0.3)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("L", "B", "D"), [(1, 1, 1), (3, 7, 45), (2, 5, 784), (1, 210, 2113)])
def test_likelihoods(K: Any, L: int, B: int, D: int) -> None:
    out, dnll = arrays(7, (L, B, D), (L, B))
    x = np.random.default_rng(8).random((B, D), dtype=np.float32)
    agree(K, "bernoulli_nll_forward", 5 * out, x)
    agree(K, "bernoulli_nll_backward", dnll, 5 * out, x)
    agree(K, "bernoulli_nll_grad", dnll, 5 * out, x)
    logc = np.float32(-1.3)
    agree(K, "gaussian_nll_forward", out, x, logc)
    agree(K, "gaussian_nll_backward", dnll, out, x, logc)


def test_extremes(K: Any) -> None:
    logits = np.array([[[1e4, -1e4, 0.0, 88.0, -104.0]]], dtype=np.float32)
    x = np.array([[1.0, 0.0, 0.25, 0.0, 1.0]], dtype=np.float32)
    dnll = np.array([[0.7]], dtype=np.float32)
    agree(K, "bernoulli_nll_grad", dnll, logits, x)
    mu, logvar = np.full((1, 2), 3, np.float32), np.array([[-30, 30]], dtype=np.float32)
    agree(K, "kl_forward", mu, logvar)
    special = np.array([np.nan, np.inf, -np.inf, -0.0], dtype=np.float32)
    for name in ("relu", "tanh", "sigmoid", "softplus"):
        np.testing.assert_array_equal(
            getattr(K, f"{name}_forward")(special), getattr(ops, f"{name}_forward")(special)
        )


def test_divergence(K: Any) -> None:
    a, b, mu0, mu1 = arrays(9, (4, 4), (4, 4), (4,), (4,))
    cov0, cov1 = (m @ m.T + np.eye(4, dtype=np.float32) for m in (a, b))
    agree(K, "gaussian_kl_forward", mu0, cov0, mu1, cov1)
    agree(K, "gaussian_kl_backward", np.float32(0.7), mu0, cov0, mu1, cov1)
    with pytest.raises(ValueError, match="positive definite"):
        K.gaussian_kl_forward(mu0, -cov0, mu1, cov1)


@pytest.mark.parametrize("n", [1, 31, 1001, 300_007])
def test_optimisers_round_as_the_reference(K: Any, n: int) -> None:
    theta, grad, m, v = arrays(11, (n,), (n,), (n,), (n,))
    mine, theirs = ([a.copy() for a in (theta, grad, m, np.abs(v))] for _ in range(2))
    for t in (1, 2, 9):
        K.adam_update(*mine, 1e-3, 0.9, 0.999, 1e-8, t)
        ops.adam_update(*theirs, 1e-3, 0.9, 0.999, 1e-8, t)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    mine, theirs = ([a.copy() for a in (theta, grad, m)] for _ in range(2))
    for _ in range(3):
        K.sgd_update(*mine, 0.05, 0.9)
        ops.sgd_update(*theirs, 0.05, 0.9)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_threads_change_no_bit() -> None:
    from minivae.backend import load_backend

    x, W, b, dy = arrays(13, (301, 261), (261, 147), (147,), (301, 147))
    try:
        results = []
        for threads in (1, 2, 3, 5):
            K = load_backend("numba", threads=threads)
            y = K.dense_tanh_forward(x, W, b)
            results.append((y, *K.dense_backward_params(dy, x), K.dense_backward_input(dy, W)))
    finally:
        load_backend("numba", threads=2)
    for other in results[1:]:
        for a, c in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, c)
