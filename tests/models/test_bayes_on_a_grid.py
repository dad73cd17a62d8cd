"""Bayes' rule by brute force against the exact linear-Gaussian answer (S12)."""

import numpy as np
import pytest

from minivae.models import bayes
from minivae.models.linear_gaussian import LinearGaussian, log_marginal, posterior


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    return LinearGaussian(rng.normal(size=(5, 2)), rng.normal(size=5), 0.8)


def test_grid_and_quadrature_agree_with_the_closed_form(model):
    x = np.random.default_rng(2).normal(size=5)

    def decode(z):
        return model.mean + z @ model.weight.T

    exact = log_marginal(x[None], model)[0]
    grid = bayes.posterior_on_grid(decode, model.c, x, 2, reach=6, points=241)
    assert grid.log_p == pytest.approx(exact, abs=1e-9)
    assert bayes.log_evidence_by_quadrature(decode, model.c, x, 2) == pytest.approx(exact, abs=1e-9)
    mu, cov = posterior(x[None], model)
    cell = (12 / 240) ** 2
    mean = (grid.density[:, None] * grid.nodes).sum(axis=0) * cell
    centred = grid.nodes - mean
    assert np.abs(mean - mu[0]).max() < 1e-9
    assert np.abs((grid.density[:, None] * centred).T @ centred * cell - cov).max() < 1e-9


def test_a_narrow_posterior_is_found_and_then_resolved(model):
    """Its width is a tenth of the coarse step, and one grid of as many points does not see it."""
    narrow, x = model._replace(c=1e-4), np.random.default_rng(2).normal(size=5)
    x = narrow.mean + np.array([0.7, -1.3]) @ narrow.weight.T + 0.01 * x

    def decode(z):
        return narrow.mean + z @ narrow.weight.T

    exact = log_marginal(x[None], narrow)[0]
    plain = bayes.posterior_on_grid(decode, narrow.c, x, 2, reach=4.0)
    finer = bayes.posterior_on_finer_grid(decode, narrow.c, x, 2, reach=4.0)
    assert abs(plain.log_p - exact) > 0.1
    assert abs(finer.log_p - exact) <= 1e-6


def test_ancestral_samples_are_decoded_latents_plus_noise(model):
    rng = np.random.default_rng(3)
    z, noise = rng.normal(size=(4, 2)), rng.normal(size=(4, 5))
    x = bayes.ancestral_sample(lambda u: u @ model.weight.T, 0.25, z, noise)
    assert np.allclose(x, z @ model.weight.T + 0.5 * noise, atol=1e-15)


def test_more_than_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="variational inference"):
        bayes.posterior_on_grid(lambda z: z, 1.0, np.ones(3), 3)
    with pytest.raises(ValueError, match="out of reach"):
        bayes.log_evidence_by_quadrature(lambda z: z, 1.0, np.ones(3), 3)


def test_the_nearest_gaussian_of_a_linear_decoder_is_the_posterior_itself(model):
    """... and the nearest that may not lean is the known one, at the known cost (E17)."""
    model = model._replace(weight=model.weight @ np.array([[1.0, 0.8], [0.0, 0.6]]))  # it leans
    x = np.random.default_rng(2).normal(size=5)
    given = (lambda z: model.mean + z @ model.weight.T, model.c, x, log_marginal(x[None], model)[0])
    start = np.zeros(2), np.eye(2)
    best, upright = (bayes.nearest_gaussian(*given, start, diagonal) for diagonal in (False, True))
    mu, cov = posterior(x[None], model)
    assert np.abs(best.mean - mu[0]).max() <= 1e-4
    assert np.abs(best.root @ best.root.T - cov).max() <= 1e-4
    assert abs(best.kl) <= 1e-8
    precision = np.linalg.inv(cov)
    cost = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert cost > 0.1 and abs(upright.kl - cost) <= 1e-8
    assert np.abs(np.diag(upright.root) ** 2 - 1 / np.diag(precision)).max() <= 1e-4
