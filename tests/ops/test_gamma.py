"""Counts of any size: log Γ and its rise against mpmath, and the counts' losses in float32."""

from __future__ import annotations

import numpy as np
import pytest

from minivae import ops
from minivae.ops import gamma

R = np.array([1e-3, 0.02, 0.7, 1.0, 3.3, 40.0, 1e3, 7e3, 1e4, 1e5, 1e6, 1e7])[:, None]
X = np.array([0.0, 1.0, 2.0, 5.0, 8.0, 9.0, 30.0, 500.0, 7120.0, 2e4, 1e6])
MEANS = np.array([0.3, 7.0, 900.0])


def by_mpmath(function, *args):
    """function of mpmath and its numbers at every place of the arrays, as float64."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        at = np.vectorize(lambda *a: float(function(mpmath, *(mpmath.mpf(float(v)) for v in a))))
        return np.asarray(at(*args), np.float64)


def rises(r, x):
    rise = by_mpmath(lambda m, r, x: m.loggamma(r + x) - m.loggamma(r), r, x)
    return rise, by_mpmath(lambda m, r, x: m.digamma(r + x) - m.digamma(r), r, x)


def test_log_gamma_and_its_rise_have_double_precision():
    y = np.concatenate([np.geomspace(1e-3, 1e12, 300), np.arange(1.0, 60.0)])
    exact = by_mpmath(lambda m, y: m.loggamma(y), y)
    np.testing.assert_allclose(gamma.log_gamma(y), exact, rtol=1e-13, atol=1e-13)
    rise, slope = rises(R, X)
    np.testing.assert_allclose(gamma.log_gamma_rise(R, X), rise, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(gamma.log_gamma_rise_slope(R, X), slope, rtol=1e-13, atol=0)


def test_log_gamma_and_its_rise_in_float32():
    y = np.concatenate([np.geomspace(1e-3, 1e30, 300), np.arange(1.0, 60.0)]).astype(np.float32)
    exact = by_mpmath(lambda m, y: m.loggamma(y), y)
    np.testing.assert_allclose(gamma.log_gamma(y), exact, rtol=1e-6, atol=1e-5)
    r, x = R.astype(np.float32), X.astype(np.float32)
    rise, slope = rises(r, x)
    mine = gamma.log_gamma_rise(r, x)
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine, rise, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(gamma.log_gamma_rise_slope(r, x), slope, rtol=1e-6, atol=0)


@pytest.mark.parametrize("count", [0.0, 7120.0, 1e4, 1e6, 2.0**24])
def test_poisson_of_large_counts_in_float32(count):
    x = np.full((1, 3), count, np.float32)
    lograte = np.log(np.float32([[[1.0, count + 1, 1.1 * count + 2]]]))
    exact = by_mpmath(lambda m, a, x: m.exp(a) - x * a + m.loggamma(x + 1), lograte, x)
    size = np.abs(exact).sum() + count * np.abs(lograte).max()  # what is added and subtracted
    found = ops.poisson_nll_forward(lograte, x)
    assert np.abs(found - exact.sum()) <= 1e-6 * size + 1e-5


@pytest.mark.parametrize("r", R[:, 0])
def test_negative_binomial_in_float32(r):
    """Loss and gradients against mpmath at the same float32 numbers."""
    logr = np.float32(np.log(r))
    logmean, x = (a.ravel().astype(np.float32) for a in np.meshgrid(np.log(MEANS), X))

    def nll(m, a, x, s):
        r, t = m.exp(s), a - s
        return (m.loggamma(r) + m.loggamma(x + 1) - m.loggamma(x + r)
                + (x + r) * m.log1p(m.exp(t)) - x * t)  # fmt: skip

    def slope(m, a, x, s):
        r, t = m.exp(s), a - s
        e = (x + r) / (1 + m.exp(-t)) - x
        return r * (m.digamma(r) - m.digamma(x + r) + m.log1p(m.exp(t))) - e

    loss, pull = by_mpmath(nll, logmean, x, logr), by_mpmath(slope, logmean, x, logr)
    out, counts = logmean[None, :, None], x[:, None]
    scale = x * (np.log(x + r + 1) + np.abs(logmean)) + np.exp(logmean) + 1  # the terms' size
    assert np.all(np.abs(ops.negative_binomial_nll_forward(out, counts, logr)[0] - loss)
                  <= 1e-6 * scale)  # fmt: skip
    for at, exact in enumerate(pull):
        found = ops.negative_binomial_nll_backward(
            np.ones((1, 1), np.float32), out[:, at : at + 1], counts[at : at + 1], logr
        )[1]
        assert np.abs(found - exact) <= 1e-6 * (x[at] + np.exp(logmean[at]) + 1)


def test_the_dispersion_of_a_nearly_poisson_count_has_a_gradient():
    """At r = 7,000 the two digammas once left -0.0016 of what is -0.00007."""
    logr, out = np.float32(np.log(7000.0)), np.full((1, 1, 1), np.log(3.0), np.float32)
    up, x = np.ones((1, 1), np.float32), np.full((1, 1), 5.0, np.float32)
    exact = ops.negative_binomial_nll_backward(
        *(np.asarray(a, np.float64) for a in (up, out, x, logr))
    )[1]
    found = ops.negative_binomial_nll_backward(up, out, x, logr)[1]
    assert np.abs(found - exact) <= 5e-6
