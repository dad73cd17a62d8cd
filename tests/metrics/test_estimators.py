"""Both gradient estimators: unbiased by quadrature, and how noisy each is (S17, S18)."""

import numpy as np
import pytest

from minivae.metrics import estimators as e
from minivae.models.bayes import quadrature_draws


@pytest.fixture(scope="module")
def linear_gaussian():
    """-log p(x|z) of a linear-Gaussian decoder: a quadratic whose expectation is known."""
    rng = np.random.default_rng(8)
    weight, x, c = rng.normal(size=(7, 3)), rng.normal(size=7), 0.37
    mu, logvar = rng.normal(size=3), rng.normal(size=3) * 0.5

    def value(z):
        return ((x - z @ weight.T) ** 2).sum(axis=1) / (2 * c)

    def slope(z):
        return (z @ weight.T - x) @ weight / c

    exact = e.Gradients(
        (mu @ weight.T - x) @ weight / c, np.exp(logvar) * (weight**2).sum(axis=0) / (2 * c)
    )
    return value, slope, mu, logvar, exact


def test_unbiased_without_monte_carlo(linear_gaussian):
    value, slope, mu, logvar, exact = linear_gaussian
    nodes, weights = quadrature_draws(3, order=4)
    path = e.exact_mean(e.pathwise_gradients(slope, mu, logvar, nodes), weights)
    score = e.exact_mean(e.score_function_gradients(value, mu, logvar, nodes), weights)
    for name in ("dmu", "dlogvar"):
        size = np.abs(getattr(exact, name)).max()
        for found in (path, score):
            assert np.abs(getattr(found, name) - getattr(exact, name)).max() <= 1e-13 * size


def test_the_standard_deviation_is_half_the_log_variance(linear_gaussian):
    """exp(logvar) in the place of exp(logvar / 2) must be seen: a correct gradient, another q."""
    _, slope, mu, logvar, exact = linear_gaussian
    nodes, weights = quadrature_draws(3, order=4)
    wrong = e.exact_mean(e.pathwise_gradients(slope, mu, 2 * logvar, nodes), weights)
    assert np.abs(wrong.dlogvar - exact.dlogvar).max() > 1e-2


def test_the_score_function_is_far_noisier(linear_gaussian):
    value, slope, mu, logvar, _ = linear_gaussian
    eps = np.random.default_rng(1).standard_normal((20000, 3))
    path = e.variance_of_mean(e.pathwise_gradients(slope, mu, logvar, eps), 1)
    score = e.variance_of_mean(e.score_function_gradients(value, mu, logvar, eps), 1)
    assert score > 5 * path


def test_a_baseline_leaves_the_mean_and_lowers_the_variance(linear_gaussian):
    value, _, mu, logvar, exact = linear_gaussian
    nodes, weights = quadrature_draws(3, order=4)
    baseline = float(weights @ value(mu + np.exp(0.5 * logvar) * nodes))
    shifted = e.score_function_gradients(value, mu, logvar, nodes, baseline)
    mean = e.exact_mean(shifted, weights)
    assert np.abs(mean.dmu - exact.dmu).max() <= 1e-13 * np.abs(exact.dmu).max()
    eps = np.random.default_rng(1).standard_normal((20000, 3))
    plain = e.score_function_gradients(value, mu, logvar, eps)
    better = e.score_function_gradients(value, mu, logvar, eps, baseline)
    assert e.variance_of_mean(better, 1) < 0.8 * e.variance_of_mean(plain, 1)


def test_variance_falls_with_the_number_of_draws(linear_gaussian):
    _, slope, mu, logvar, _ = linear_gaussian
    eps = np.random.default_rng(2).standard_normal((64000, 3))
    gradients = e.pathwise_gradients(slope, mu, logvar, eps)
    single, sixteen = (e.variance_of_mean(gradients, draws) for draws in (1, 16))
    assert single / sixteen == pytest.approx(16, rel=0.1)
    with pytest.raises(ValueError, match="two means"):
        e.variance_of_mean(gradients, 64000)
