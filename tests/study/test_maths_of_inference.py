"""MATHS.md, sections 5 and 6: each formula, by a way that shares nothing with the code.

Quadrature, central differences, SciPy's distributions, search by brute force.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import optimize, stats

from minivae import explain
from minivae.models import inference, linear_gaussian
from minivae.models.config import ModelConfig
from minivae.models.linear_vae import linear_vae_backward, linear_vae_forward
from minivae.ops import activation, gaussian, latent, likelihood
from tests.study.recomputed import (
    EVIDENCE,
    LINE,
    SEEN,
    UP,
    C,
    K,
    X,
    bend,
    close,
    integral,
    joint,
    normal,
    recomputes,
    slopes,
)

RNG = np.random.default_rng(3)
MODEL = linear_gaussian.LinearGaussian(RNG.normal(size=(4, 2)), X.mean(axis=0), 0.6)


def two_dimensional(mean, cov):
    a, b = np.meshgrid(LINE[::20], LINE[::20], indexing="ij")
    return stats.multivariate_normal(mean, cov).logpdf(np.stack([a, b], axis=-1))


@recomputes(14, "8dd12285")
def test_e14_by_integration_over_the_plane():
    mu0, mu1 = np.array([0.4, -0.8]), np.array([-0.3, 0.5])
    cov0, cov1 = np.array([[0.9, 0.3], [0.3, 0.6]]), np.array([[1.4, -0.5], [-0.5, 0.8]])
    log_0, log_1 = two_dimensional(mu0, cov0), two_dimensional(mu1, cov1)
    cell = (LINE[20] - LINE[0]) ** 2
    found = gaussian.gaussian_kl_forward(mu0, cov0, mu1, cov1)
    close(found, (np.exp(log_0) * (log_0 - log_1)).sum() * cell, 1e-10)
    d = mu1 - mu0
    printed = np.trace(np.linalg.inv(cov1) @ cov0) + d @ np.linalg.inv(cov1) @ d - 2
    printed += np.log(np.linalg.det(cov1) / np.linalg.det(cov0))
    close(found, printed / 2, 1e-13)


MU, LOGVAR = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 2))


def kl_by_quadrature(mu, logvar):
    q = normal(LINE, mu, np.exp(logvar))
    ratio = 0.5 * (LINE**2 - (LINE - mu) ** 2 / np.exp(logvar) - logvar)
    return integral(q * ratio)


@recomputes(15, "1105bdc7")
def test_e15_by_quadrature():
    by_quadrature = [[kl_by_quadrature(m, v) for m, v in zip(*row)] for row in zip(MU, LOGVAR)]
    close(latent.kl_forward(MU, LOGVAR), by_quadrature, 1e-11)


@recomputes(16, "cc4bb3cc")
def test_e16_by_differences_of_the_integral():
    dkl = RNG.normal(size=MU.shape)
    dmu, dlogvar = latent.kl_backward(dkl, MU, LOGVAR)
    for at in np.ndindex(MU.shape):
        m, v = MU[at], LOGVAR[at]
        close(dmu[at], dkl[at] * slopes(lambda m, v=v: kl_by_quadrature(m, v), m), 1e-8)
        close(dlogvar[at], dkl[at] * slopes(lambda v, m=m: kl_by_quadrature(m, v), v), 1e-8)


def terms_of(mean, sigma):
    """E_q log p(x|z), KL to the prior and KL to the posterior, each integrated, datum SEEN."""
    q = normal(LINE, mean, sigma**2)
    log_q = np.log(np.maximum(q, 1e-300))
    log_prior, log_joint = -0.5 * (LINE**2 + np.log(2 * np.pi)), np.log(joint(LINE) + 1e-300)
    expected = integral(q * (log_joint - log_prior))
    to_prior = integral(q * (log_q - log_prior))
    return expected, to_prior, integral(q * (log_q - (log_joint - np.log(EVIDENCE))))


@recomputes(17, "2bc06942")
def test_e17_both_searches_end_at_one_place():
    tried = [(m, s) for m in np.linspace(-0.5, 1.5, 41) for s in np.linspace(0.1, 1.0, 19)]
    terms = np.array([terms_of(*each) for each in tried])
    assert terms[:, 2].argmin() == (terms[:, 0] - terms[:, 1]).argmax()
    w, m, c = MODEL
    config = ModelConfig(4, 2, (), likelihood="gaussian", c=c)
    p = {"decoder.out.W": w.T, "decoder.out.b": m}
    eps = inference.cubature_draws(2, 3)
    q = {"mu": MU, "logvar": LOGVAR}
    loss, cache = inference.inference_forward(K, p, q, X[:3], eps, config)
    covs = [np.diag(np.exp(v)) for v in LOGVAR]
    elbo = [linear_elbo(x, mu, cov) for x, mu, cov in zip(X, MU, covs)]
    close(loss, -np.mean(elbo), 1e-12)
    back = inference.inference_backward(K, UP, cache, p, config)
    for name in q:
        moved = slopes(lambda v, n=name: inference.inference_forward(
            K, p, {**q, n: v}, X[:3], eps, config)[0], q[name])  # fmt: skip
        close(back[name], UP * moved, 1e-7)


def linear_elbo(x, mu, cov):
    """log p(x) minus the KL to the true posterior, both by SciPy: the other way round (E18)."""
    w, m, c = MODEL
    total = stats.multivariate_normal(m, w @ w.T + c * np.eye(4))
    inverse = np.linalg.inv(w @ w.T + c * np.eye(4))
    post, left = w.T @ inverse @ (x - m), np.eye(2) - w.T @ inverse @ w
    d = post - mu
    kl = np.trace(np.linalg.solve(left, cov)) + d @ np.linalg.solve(left, d) - 2
    kl += np.linalg.slogdet(left)[1] - np.linalg.slogdet(cov)[1]
    return total.logpdf(x) - kl / 2


@recomputes(18, "13c65fa5")
def test_e18_with_every_term_integrated():
    for mean, sigma in ((0.4, 0.5), (-0.7, 0.3), (0.0, 1.0)):
        expected, to_prior, to_posterior = terms_of(mean, sigma)
        close(expected - to_prior + to_posterior, np.log(EVIDENCE), 1e-10)
        assert to_posterior >= 0
    cov = np.array([[0.5, 0.1], [0.1, 0.3]])
    split = linear_gaussian.evidence_split(X[:3], MU, cov, MODEL)
    close(split.elbo, [linear_elbo(x, mu, cov) for x, mu in zip(X, MU)], 1e-11)


@recomputes(19, "f8fc83d8")
def test_e19_the_joint_optimum_and_the_other_problem():
    s, c = 2.3, 0.4

    def expected(w, mu, var):  # of x = 1 scaled: averages over data of variance s
        return -0.5 * np.log(2 * np.pi * c) - (s * (1 - w * mu) ** 2 + w**2 * var) / (2 * c)

    def elbo(flat):  # the encoder's mean is mu x
        w, mu, var = flat[0], flat[1], np.exp(flat[2])
        return expected(w, mu, var) - 0.5 * (s * mu**2 + var - 1 - flat[2])

    both = optimize.minimize(lambda f: -elbo(f), [0.7, 0.1, 0.2], options={"gtol": 1e-8})
    close(both.x[0] ** 2, s - c, 1e-5)

    def under_the_best_q(w):  # the article's f*: q is the posterior of this w
        return -expected(w, w / (w**2 + c), c / (w**2 + c))

    alone = optimize.minimize_scalar(under_the_best_q, bounds=(0.01, 9), method="bounded",
                                     options={"xatol": 1e-9})  # fmt: skip
    close(alone.x**2, 2 * s - c, 1e-5)


def test_e19_the_exact_expectation_of_the_linear_vae():
    w, m, c = MODEL
    p = {"encoder.mu.W": RNG.normal(size=(4, 2)), "encoder.mu.b": RNG.normal(size=2),
         "encoder.logvar.b": LOGVAR[0], "decoder.out.W": w.T, "decoder.out.b": m,
         "decoder.logc": np.log(c)}  # fmt: skip
    loss, cache = linear_vae_forward(K, p, X)
    mu, cov = X @ p["encoder.mu.W"] + p["encoder.mu.b"], np.diag(np.exp(LOGVAR[0]))
    close(loss, -np.mean([linear_elbo(x, each, cov) for x, each in zip(X, mu)]), 1e-12)
    back = linear_vae_backward(K, UP, cache, p)
    for name, value in p.items():
        moved = slopes(lambda v, n=name: linear_vae_forward(K, {**p, n: v}, X)[0], value)
        close(back[name], UP * moved, 1e-6)


@recomputes(63, "6d45cdb0")
def test_e63_the_articles_loss_is_the_bound_but_for_a_constant():
    for mean, sigma in ((0.4, 0.5), (-0.7, 0.3)):
        expected, to_prior, _ = terms_of(mean, sigma)
        weight = 1 / (2 * C)
        square = ((SEEN - bend(LINE[:, None])) ** 2).sum(axis=1)
        intuitive = weight * integral(normal(LINE, mean, sigma**2) * square) + to_prior
        close(intuitive, to_prior - expected - 1.0 * np.log(2 * np.pi * C), 1e-10)
    rows = explain.conversions(explain.ObjectiveSettings(2, 1, "gaussian", C))
    assert [row["value"] for row in rows if row["symbol"] == "C"] == [weight]


OUT, DNLL = RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5))


@recomputes(20, "e611976c")
def test_e20_by_scipys_normal():
    found = likelihood.gaussian_nll_forward(OUT, X[:5], np.log(C))
    close(found, -stats.norm(OUT, np.sqrt(C)).logpdf(X[:5]).sum(axis=-1), 1e-12)
    halves = ((OUT - X[:5]) ** 2).sum(axis=-1) / (2 * C) + 2 * np.log(2 * np.pi * C)
    close(found, halves, 1e-12)


@recomputes(21, "e1589f2c")
def test_e21_by_differences():
    def nll(out, logc):
        return -(DNLL * stats.norm(out, np.exp(logc / 2)).logpdf(X[:5]).sum(axis=-1)).sum()

    dout, dlogc = likelihood.gaussian_nll_backward(DNLL, OUT, X[:5], np.log(C))
    close(dout, slopes(lambda out: nll(out, np.log(C)), OUT), 1e-7)
    close(dlogc, slopes(lambda logc: nll(OUT, logc), np.log(C)), 1e-7)


@recomputes(22, "e3faa1aa")
def test_e22_to_fifty_digits():
    mpmath = pytest.importorskip("mpmath")
    a = np.array([-745.0, -40.0, -1.3, 0.0, 0.8, 37.0, 800.0])
    with mpmath.workdps(400):
        s = [1 / (1 + mpmath.exp(-mpmath.mpf(float(v)))) for v in a]
        soft = [mpmath.log(1 + mpmath.exp(mpmath.mpf(float(v)))) for v in a]
        slope = [mpmath.diff(lambda t: 1 / (1 + mpmath.exp(-t)), mpmath.mpf(float(v))) for v in a]
    for found, exact in ((activation.sigmoid_forward(a), s),
                         (activation.softplus_forward(a), soft),
                         (activation.softplus_backward(np.ones(7), a), s),
                         (activation.sigmoid_backward(np.ones(7), a), slope)):  # fmt: skip
        for one, other in zip(found, exact):
            assert abs(one - float(other)) <= 4e-16 * max(float(other), 1e-300)


BITS = np.array(list(itertools.product([0.0, 1.0], repeat=4)))


@recomputes(23, "85876eed")
def test_e23_all_pictures_of_four_pixels():
    logits = np.tile(OUT[0, 0], (16, 1))
    nll = likelihood.bernoulli_nll_forward(logits[None], BITS)[0]
    close(np.exp(-nll).sum(), 1.0, 1e-13)
    share = 1 / (1 + np.exp(-logits))
    close(nll, -stats.bernoulli(share).logpmf(BITS).sum(axis=1), 1e-12)


@recomputes(24, "79fef760")
def test_e24_by_differences():
    def nll(logits):
        share = 1 / (1 + np.exp(-logits))
        return -(DNLL * (BITS[3:8] * np.log(share)
                         + (1 - BITS[3:8]) * np.log(1 - share)).sum(axis=-1)).sum()  # fmt: skip

    close(likelihood.bernoulli_nll_backward(DNLL, OUT, BITS[3:8]), slopes(nll, OUT), 1e-8)
