"""MATHS.md, section 11: activations, likelihoods, optimisers and IWAE, recomputed another way.

mpmath's and SciPy's own functions, sums over all counts, quadrature, unrolled sums.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from minivae.ops import activation, likelihood, optimiser
from minivae.parts.objectives import (
    Terms,
    iwae_objective_backward,
    iwae_objective_forward,
    sampled_elbo_objective_backward,
    sampled_elbo_objective_forward,
)
from tests.study.recomputed import LATEX, LINE, UP, K, close, integral, normal, recomputes, slopes

RNG = np.random.default_rng(4)
A = np.array([-6.1, -1.3, -0.2, 0.4, 2.2, 5.0])
DY = RNG.normal(size=6)


def an_activation(name, written_out):
    """Forward against the function written out, backward against its differences."""
    forward, backward = (getattr(activation, f"{name}_{way}") for way in ("forward", "backward"))
    close(forward(A), written_out(A), 1e-14)
    close(backward(DY, A), slopes(lambda a: (DY * written_out(a)).sum(), A), 1e-9)


@recomputes(47, "402544c8")
def test_e47_leaky_relu():
    an_activation("leaky_relu", lambda a: np.where(a > 0, a, a / 100))


@recomputes(48, "11edf2bf")
def test_e48_elu():
    an_activation("elu", lambda a: np.where(a > 0, a, np.exp(a) - 1))


@recomputes(49, "116496ca")
def test_e49_silu():
    an_activation("silu", lambda a: a / (1 + np.exp(-a)))


@recomputes(50, "0d2847f8")
def test_e50_gelu_by_an_integral():
    an_activation("gelu", lambda a: a * stats.norm.cdf(a))
    below = integral(normal(LINE, 0.0, 1.0) * ((LINE < 0.4) + 0.5 * (LINE == 0.4)))
    close(activation.gelu_forward(A)[3], 0.4 * below, 1e-3)  # the step's cell


@recomputes(51, "36a0a7b2")
def test_e51_gelu_by_tanh():
    def written_out(a):
        return a / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))

    an_activation("gelu_tanh", written_out)
    assert np.abs(activation.gelu_tanh_forward(A) - A * stats.norm.cdf(A)).max() <= 1e-3


OUT, X, DNLL = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(3, 4)), RNG.normal(size=(2, 3))


def a_likelihood(name, log_p, x, scale=None):
    """nll against log_p(out, x, scale); gradients against its differences."""
    forward, backward = (
        getattr(likelihood, f"{name}_nll_{way}") for way in ("forward", "backward")
    )
    extra = () if scale is None else (scale,)
    close(forward(OUT, x, *extra), -log_p(OUT, x, *extra).sum(axis=-1), 1e-12)
    back = backward(DNLL, OUT, x, *extra)
    dout, *dscale = back if isinstance(back, tuple) else (back,)

    def total(out, *at):
        return -(DNLL * log_p(out, x, *at).sum(axis=-1)).sum()

    close(dout, slopes(lambda out: total(out, *extra), OUT), 1e-8)
    if dscale:
        close(dscale[0], slopes(lambda s: total(OUT, s), scale), 1e-8)


@recomputes(52, "a87ccd3e")
def test_e52_a_variance_for_every_feature():
    logc = RNG.normal(size=4)
    a_likelihood("gaussian_diagonal", lambda f, x, v: stats.norm(f, np.exp(v / 2)).logpdf(x),
                 X, logc)  # fmt: skip


@recomputes(53, "ce5bf881")
def test_e53_laplace():
    a_likelihood("laplace", lambda f, x, v: stats.laplace(f, np.exp(v)).logpdf(x), X,
                 np.array(-0.3))  # fmt: skip


@recomputes(66, "0c900e11")
def test_e66_student_t():
    a_likelihood("student_t", lambda f, x, v: stats.t(4, f, np.exp(v)).logpdf(x), X,
                 np.array(-0.3))  # fmt: skip


@recomputes(54, "443a7dd1")
def test_e54_the_continuous_bernoulli_adds_up_to_one():
    share = np.linspace(0, 1, 20001)

    def log_p(a, x):
        return x * a - np.log(np.expm1(a) / a)

    a_likelihood("continuous_bernoulli", log_p, RNG.uniform(size=(3, 4)))
    for a in (-9.0, -0.3, 1e-7, 0.49, 3.0):
        nll = likelihood.continuous_bernoulli_nll_forward(np.full((1, 20001, 1), a), share[:, None])
        density = np.exp(-nll[0])
        close(np.trapezoid(density, share), 1.0, 1e-7)
        mean = likelihood.continuous_bernoulli_mean(np.array(a))
        close(mean, np.trapezoid(density * share, share), 1e-7)


COUNTS = RNG.poisson(2.0, size=(3, 4)).astype(float)
MANY = np.arange(400.0)[:, None]


def counted(nll):
    """The sum, the mean and the variance over all counts of a likelihood's own probabilities."""
    p = np.exp(-nll[0])
    mean = p @ MANY[:, 0]
    return p.sum(), mean, p @ (MANY[:, 0] - mean) ** 2


@recomputes(55, "7a5c9c70")
def test_e55_poisson_over_all_counts():
    a_likelihood("poisson", lambda a, x: stats.poisson(np.exp(a)).logpmf(x), COUNTS)
    at = np.full((1, 400, 1), math.log(3.0))
    close(counted(likelihood.poisson_nll_forward(at, MANY)), [1.0, 3.0, 3.0], 1e-11)


@recomputes(56, "3553b9dc")
def test_e56_negative_binomial_over_all_counts():
    def log_p(logm, x, logr):
        m, r = np.exp(logm), np.exp(logr)
        return stats.nbinom(r, r / (r + m)).logpmf(x)

    a_likelihood("negative_binomial", log_p, COUNTS, np.array(0.4))
    at = np.full((1, 400, 1), math.log(3.0))
    found = counted(likelihood.negative_binomial_nll_forward(at, MANY, np.array(math.log(2.0))))
    close(found, [1.0, 3.0, 3.0 + 9.0 / 2.0], 1e-10)


@recomputes(57, "dba6c29f")
def test_e57_categorical_by_probabilities():
    groups = (3, 1)
    x = np.array([[1.0, 0, 0, 1], [0, 0, 1.0, 1], [0, 1.0, 0, 1]])

    def nll(a):
        p = np.exp(a[..., :3]) / np.exp(a[..., :3]).sum(axis=-1, keepdims=True)
        return -(DNLL * np.log((p * x[:, :3]).sum(axis=-1))).sum()

    close((DNLL * likelihood.categorical_nll_forward(OUT, x, groups)).sum(), nll(OUT), 1e-13)
    close(likelihood.categorical_nll_backward(DNLL, OUT, x, groups), slopes(nll, OUT), 1e-8)


GRADIENTS, START = RNG.normal(size=(6, 4)), RNG.normal(size=4)


@recomputes(58, "903b9952")
def test_e58_adagrad_unrolled():
    theta, total, expected = START.copy(), np.zeros(4), START.copy()
    for t, g in enumerate(GRADIENTS):
        optimiser.adagrad_update(theta, g, total, 0.1, 1e-3)
        expected -= 0.1 * g / (np.sqrt((GRADIENTS[: t + 1] ** 2).sum(axis=0)) + 1e-3)
    close(theta, expected, 1e-14)


def running(t, decay, values):
    return sum((1 - decay) * decay ** (t - s) * values[s] for s in range(t + 1))


@recomputes(59, "b5176ed9")
def test_e59_adamw_unrolled():
    theta, m, v, expected = START.copy(), np.zeros(4), np.zeros(4), START.copy()
    for t, g in enumerate(GRADIENTS):
        optimiser.adamw_update(theta, g, m, v, 0.1, 0.9, 0.99, 1e-3, 0.05, t + 1)
        mean = running(t, 0.9, GRADIENTS) / (1 - 0.9 ** (t + 1))
        square = running(t, 0.99, GRADIENTS**2) / (1 - 0.99 ** (t + 1))
        expected = expected * (1 - 0.1 * 0.05) - 0.1 * mean / (np.sqrt(square) + 1e-3)
    close(theta, expected, 1e-13)


@recomputes(60, "e4057627")
def test_e60_rmsprop_unrolled():
    theta, v, expected = START.copy(), np.zeros(4), START.copy()
    for t, g in enumerate(GRADIENTS):
        optimiser.rmsprop_update(theta, g, v, 0.1, 0.9, 1e-3)
        expected -= 0.1 * g / (np.sqrt(running(t, 0.9, GRADIENTS**2)) + 1e-3)
    close(theta, expected, 1e-14)


MU, LOGVAR, EPS = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 2)), RNG.normal(size=(4, 3, 2))


def terms(mu, logvar, nll):
    z = mu + np.sqrt(np.exp(logvar)) * EPS
    return Terms(nll, np.zeros_like(mu), mu, logvar, z, EPS)


def iwae_by_densities(mu, logvar, nll, beta):
    """-mean log mean w, each weight a ratio of SciPy's densities."""
    z = mu + np.sqrt(np.exp(logvar)) * EPS
    ratio = stats.norm.pdf(z) / stats.norm(mu, np.sqrt(np.exp(logvar))).pdf(z)
    w = np.exp(-nll) * ratio.prod(axis=-1) ** beta
    return -np.log(w.mean(axis=0)).mean()


@recomputes(61, "41f5a4de")
def test_e61_the_weights_are_ratios_of_densities_and_more_draws_never_lower_the_bound():
    nll = RNG.uniform(1, 3, size=(4, 3))
    for beta in (1.0, 0.4):
        found = iwae_objective_forward(K, terms(MU, LOGVAR, nll), beta, 0.0)
        close(found, iwae_by_densities(MU, LOGVAR, nll, beta), 1e-13)
    # E log of a mean of L weights, exactly, where a weight takes three values with these chances
    values, chance = np.array([0.1, 1.0, 4.0]), np.array([0.5, 0.3, 0.2])
    bounds = []
    for draws in (1, 2, 3, 4):
        at = np.stack(np.meshgrid(*[range(3)] * draws, indexing="ij"), -1).reshape(-1, draws)
        bounds.append((chance[at].prod(axis=1) * np.log(values[at].mean(axis=1))).sum())
    assert np.all(np.diff(bounds) > 0) and bounds[-1] < math.log(chance @ values)


@recomputes(62, "632daac1")
def test_e62_by_differences():
    nll = RNG.uniform(1, 3, size=(4, 3))
    given = (MU, LOGVAR, nll)
    for beta in (1.0, 0.4):
        d = iwae_objective_backward(K, UP, terms(MU, LOGVAR, nll), beta, 0.0)
        for at, found in enumerate((d.dmu, d.dlogvar, d.dnll)):

            def loss(value, at=at, beta=beta):
                return UP * iwae_by_densities(*given[:at], value, *given[at + 1 :], beta)

            close(found, slopes(loss, given[at]), 1e-8)
    # the dots: a reconstruction that depends on z sends its own gradient back through z

    def nll_of(mu):
        return (np.cos(mu + np.sqrt(np.exp(LOGVAR)) * EPS)).sum(axis=-1)

    d = iwae_objective_backward(K, UP, terms(MU, LOGVAR, nll_of(MU)), 1.0, 0.0)
    through_z = -d.dnll[..., None] * np.sin(MU + np.sqrt(np.exp(LOGVAR)) * EPS)
    whole = slopes(lambda mu: UP * iwae_by_densities(mu, LOGVAR, nll_of(mu), 1.0), MU)
    close(d.dmu + through_z.sum(axis=0), whole, 1e-8)


@recomputes(65, "36e9090f")
def test_e65_is_the_mean_of_logarithms_of_density_ratios():
    nll = RNG.uniform(1, 3, size=(4, 3))

    def by_densities(mu, logvar, nll, beta):
        z = mu + np.sqrt(np.exp(logvar)) * EPS
        q = stats.norm(mu, np.sqrt(np.exp(logvar)))
        return np.mean(nll + beta * (q.logpdf(z) - stats.norm.logpdf(z)).sum(axis=-1))

    given = (MU, LOGVAR, nll)
    for beta in (1.0, 0.4):
        found = sampled_elbo_objective_forward(K, terms(*given), beta, 0.0)
        close(found, by_densities(*given, beta), 1e-13)
        d = sampled_elbo_objective_backward(K, UP, terms(*given), beta, 0.0)
        for at, gradient in enumerate((d.dmu, d.dlogvar, d.dnll)):

            def loss(value, at=at, beta=beta):
                return UP * by_densities(*given[:at], value, *given[at + 1 :], beta)

            close(gradient, slopes(loss, given[at]), 1e-8)


def test_every_equation_of_the_page_is_recomputed():
    files = Path(__file__).parent.glob("test_maths_of_*.py")
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    tied = [int(n) for n in re.findall(r"^@recomputes\((\d+),", text, flags=re.MULTILINE)]
    assert sorted(tied) == sorted(LATEX)


def test_a_formula_that_changes_on_the_page_asks_to_be_recomputed(monkeypatch):
    tied = recomputes(27, "00000000")(lambda: None)
    with pytest.raises(AssertionError, match=r"\(E27\) has changed"):
        tied()
