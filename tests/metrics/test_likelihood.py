"""The importance-sampled log p(x) against exact values, and the memory-bounded stream behind it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.metrics.likelihood import LogMeanExp, chunk_sizes, evaluate, mean_and_error
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import decode, layout_of

K = load_backend("numpy")
N, D, J = 23, 7, 3


def views(config: ModelConfig, seed: int = 5) -> dict[str, np.ndarray]:
    return layout_of(config).views(initialise(config, seed, "float64"))


def exact_linear_model(c: float = 0.3) -> tuple[ModelConfig, dict, np.ndarray]:
    """A linear decoder with orthogonal columns and the encoder that is its exact posterior."""
    config = ModelConfig(D, J, hidden=(), likelihood="gaussian", c=c)
    p, rng = views(config), np.random.default_rng(3)
    basis, _ = np.linalg.qr(rng.normal(size=(D, J)))
    W = (basis * [0.5, 1.1, 2.0]).T  # (J, D)
    b = rng.normal(size=D)
    p["decoder.out.W"][...], p["decoder.out.b"][...] = W, b
    variance = 1 / (1 + np.diag(W @ W.T) / c)  # (J,)
    gain = W.T / c * variance  # (D, J)
    p["encoder.mu.W"][...], p["encoder.mu.b"][...] = gain, -b @ gain
    p["encoder.logvar.W"][...], p["encoder.logvar.b"][...] = 0.0, np.log(variance)
    return config, p, rng.normal(size=(N, D)) * 1.5


def exact_log_p(p: dict, x: np.ndarray, c: float) -> np.ndarray:
    W, b = p["decoder.out.W"], p["decoder.out.b"]
    covariance = W.T @ W + c * np.eye(D)
    r = x - b
    _, logdet = np.linalg.slogdet(covariance)
    quadratic = np.einsum("nd,dn->n", r, np.linalg.solve(covariance, r.T))
    return -0.5 * (quadratic + logdet + D * math.log(2 * math.pi))


def test_with_the_exact_posterior_every_weight_is_the_exact_likelihood() -> None:
    config, p, x = exact_linear_model()
    result = evaluate(K, p, x, config, samples=4)
    exact = exact_log_p(p, x, 0.3)
    np.testing.assert_allclose(result.log_p, exact, rtol=1e-6)
    np.testing.assert_allclose(result.sampled_elbo, exact, rtol=1e-6)
    np.testing.assert_allclose(result.effective_draws, 4, rtol=1e-6)
    assert result.log_p_variance.max() < 1e-9


def test_with_a_wrong_posterior_the_bound_tightens_to_the_exact_value() -> None:
    config, p, x = exact_linear_model()
    p["encoder.logvar.b"][...] += 0.5
    p["encoder.mu.b"][...] += 0.3
    exact = exact_log_p(p, x, 0.3).mean()
    means = [evaluate(K, p, x, config, samples=s).log_p.mean() for s in (1, 8, 64, 1024)]
    assert means[0] < means[1] < means[2]
    assert abs(means[3] - exact) < 0.03
    assert means[0] < exact - 0.1


def test_the_error_estimate_is_of_the_errors_size() -> None:
    config, p, x = exact_linear_model()
    p["encoder.logvar.b"][...] += 0.4
    result = evaluate(K, p, x, config, samples=512)
    z = (result.log_p - exact_log_p(p, x, 0.3)) / np.sqrt(result.log_p_variance)
    assert 0.4 < np.sqrt(np.mean(z**2)) < 2.0


def test_elbo_is_minus_reconstruction_minus_kl_and_log_p_is_above_it() -> None:
    config = ModelConfig(D, J, hidden=(5,), likelihood="bernoulli")
    p, x = views(config), np.random.default_rng(0).random((N, D))
    result = evaluate(K, p, x, config, samples=20)
    np.testing.assert_allclose(result.elbo, -result.reconstruction - result.kl.sum(axis=1))
    assert (result.log_p >= result.sampled_elbo).all()
    assert result.log_p.mean() > result.elbo.mean()


def test_one_dimensional_nonlinear_decoder_against_quadrature() -> None:
    config = ModelConfig(D, 1, hidden=(6,), activation="tanh", likelihood="bernoulli")
    p = views(config)
    p["decoder.out.W"][...] *= 3
    p["encoder.mu.W"][...] *= 0.2  # a broad posterior near the prior: every weight is bounded
    p["encoder.logvar.W"][...] = 0.0
    p["encoder.logvar.b"][...] = 0.2
    x = (np.random.default_rng(1).random((5, D)) < 0.5).astype(float)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    logits = decode(K, p, nodes[:, None], config)  # (80, D)
    log_px_z = x @ logits.T - np.logaddexp(0, logits).sum(axis=1)  # (5, 80)
    exact = np.log(np.exp(log_px_z) @ weights / math.sqrt(2 * math.pi))
    result = evaluate(K, p, x, config, samples=3000)
    error = np.sqrt(result.log_p_variance)
    assert (np.abs(result.log_p - exact) < 4.5 * error).all()
    assert error.max() < 0.05


@pytest.mark.parametrize("max_floats", [1, 40, 700, 10**6])
def test_chunks_change_nothing(max_floats: int) -> None:
    config = ModelConfig(D, J, hidden=(5,), likelihood="gaussian", c="learned")
    p, x = views(config), np.random.default_rng(2).normal(size=(N, D))
    whole = evaluate(K, p, x, config, samples=9, seed=4)
    parts = evaluate(K, p, x, config, samples=9, seed=4, max_floats=max_floats)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_chunk_sizes_keep_the_bound() -> None:
    for width, budget in [(784, 2**22), (10, 50), (1000, 7)]:
        rows, draws = chunk_sizes(10_000, 500, width, budget)
        assert rows >= 1 and draws >= 1
        assert rows * draws * width <= budget or (rows, draws) == (1, 1)


def test_binarised_targets_are_the_same_draw_every_time() -> None:
    config = ModelConfig(D, J, hidden=(), likelihood="bernoulli")
    p = views(config)
    x = np.full((N, D), 0.5)
    first = evaluate(K, p, x, config, binarise=True, seed=1)
    again = evaluate(K, p, x, config, binarise=True, seed=1, max_floats=8)
    other = evaluate(K, p, x, config, binarise=True, seed=2)
    np.testing.assert_allclose(first.reconstruction, again.reconstruction, rtol=1e-12)
    assert not np.allclose(first.mu, other.mu)
    grey = evaluate(K, p, x, config, seed=1)
    assert np.ptp(grey.mu[:, 0]) < 1e-12 < np.ptp(first.mu[:, 0])


def test_bytes_are_scaled() -> None:
    config = ModelConfig(D, J, hidden=(), likelihood="bernoulli")
    p, rng = views(config), np.random.default_rng(7)
    data = rng.integers(0, 256, (N, D), dtype=np.uint8)
    scaled = data.astype(np.float32) * np.float32(1 / 255)
    from_bytes = evaluate(K, p, data, config, scale=1 / 255)
    np.testing.assert_allclose(from_bytes.elbo, evaluate(K, p, scaled, config).elbo, rtol=1e-6)


def test_nonsense_is_refused() -> None:
    config = ModelConfig(D, J, hidden=())
    p = views(config)
    with pytest.raises(ValueError, match="samples is 0"):
        evaluate(K, p, np.ones((2, D)), config, samples=0)
    with pytest.raises(ValueError, match="N >= 1"):
        evaluate(K, p, np.ones((0, D)), config)


@pytest.mark.parametrize("shift", [-1e5, 0.0, 600.0])
def test_log_mean_exp_streams_without_overflow(shift: float) -> None:
    a = np.random.default_rng(0).normal(size=(11, 4)) * 5 + shift
    stream = LogMeanExp(4)
    for part in (a[:2], a[2:3], a[3:]):
        stream.add(part)
    centred = a - shift
    np.testing.assert_allclose(
        stream.log_mean(), shift + np.log(np.exp(centred).mean(axis=0)), rtol=1e-12
    )
    w = np.exp(centred)
    np.testing.assert_allclose(stream.effective_count(), w.sum(0) ** 2 / (w**2).sum(0), rtol=1e-9)
    np.testing.assert_allclose(stream.mean(), a.mean(axis=0), rtol=1e-12)


def test_log_mean_exp_takes_weights_of_zero() -> None:
    stream = LogMeanExp(2)
    stream.add(np.array([[-np.inf, -np.inf]]))
    assert (stream.log_mean() == -np.inf).all()
    stream.add(np.array([[0.0, -np.inf]]))
    assert stream.log_mean()[0] == pytest.approx(math.log(0.5))
    assert stream.log_mean()[1] == -np.inf


def test_mean_and_error() -> None:
    assert mean_and_error(np.array([1.0, 3.0])) == (2.0, pytest.approx(1.0))
    assert mean_and_error(np.array([4.0])) == (4.0, 0.0)


def test_one_draw_says_nothing_of_its_error_and_two_are_unbiased() -> None:
    from minivae.metrics.likelihood import LogMeanExp

    rng = np.random.default_rng(1)
    log_w = 0.05 * rng.normal(size=(2, 4000))
    one, two = LogMeanExp(4000), LogMeanExp(4000)
    one.add(log_w[:1])
    two.add(log_w)
    assert np.isnan(one.variance()).all()
    # of log-weights with variance s² the mean of two has the variance s² / 2
    assert two.variance().mean() == pytest.approx(0.05**2 / 2, rel=0.1)
