"""The objectives over weighed draws: what they are at the ends, and their order in the draws."""

from __future__ import annotations

import numpy as np
import pytest

from minivae import ops
from minivae.models.config import ConfigError, ModelConfig
from minivae.parts import OBJECTIVES, Terms

IWAE, SAMPLED = OBJECTIVES["iwae"], OBJECTIVES["sampled-elbo"]
B, J = 5, 3


def terms(L: int, seed: int = 0) -> Terms:
    rng = np.random.default_rng(seed)
    mu, logvar = rng.normal(size=(B, J)), 0.5 * rng.normal(size=(B, J))
    eps = rng.normal(size=(L, B, J))
    z = ops.reparameterise_forward(mu, logvar, eps)
    return Terms(40 + 5 * rng.normal(size=(L, B)), ops.kl_forward(mu, logvar), mu, logvar, z, eps)


def log_density(value, mean, logvar):
    return (-0.5 * (np.log(2 * np.pi) + logvar + (value - mean) ** 2 / np.exp(logvar))).sum(-1)


def test_it_is_the_log_of_the_mean_weight():
    t = terms(7)
    prior = log_density(t.z, 0.0, np.zeros(()))
    weights = np.exp(-t.nll + prior - log_density(t.z, t.mu, t.logvar))
    expected = -np.log(weights.mean(axis=0)).mean()
    assert IWAE.forward(ops, t, 1.0, 0.0) == pytest.approx(expected, rel=1e-12)


def test_equal_draws_change_nothing_and_more_draws_never_loosen_it_on_average():
    t = terms(1)
    twice = Terms(*(np.concatenate([a, a]) if np.ndim(a) == 3 or a is t.nll else a for a in t))
    assert IWAE.forward(ops, twice, 1.0, 0.0) == pytest.approx(IWAE.forward(ops, t, 1.0, 0.0))
    losses = {L: np.mean([IWAE.forward(ops, terms(L, s), 1.0, 0.0) for s in range(200)])
              for L in (2, 8, 32)}  # fmt: skip
    assert losses[2] > losses[8] > losses[32]


def test_the_sampled_elbo_is_the_elbo_on_average_and_never_below_the_weighted_bound():
    """Over 2,000 draws within four standard errors; by Jensen its loss is the larger one."""
    t = terms(2000, 3)._replace(nll=np.full((2000, B), 40.0))
    closed = OBJECTIVES["elbo"].forward(ops, t, 0.7, 0.0)
    each = [SAMPLED.forward(ops, t._replace(nll=t.nll[:1], z=z[None], eps=e[None]), 0.7, 0.0)
            for z, e in zip(t.z, t.eps, strict=True)]  # fmt: skip
    error = np.std(each) / np.sqrt(len(each))
    assert abs(SAMPLED.forward(ops, t, 0.7, 0.0) - closed) <= 4 * error
    assert SAMPLED.forward(ops, t, 0.7, 0.0) >= IWAE.forward(ops, t, 0.7, 0.0)
    one = terms(1, 5)
    assert SAMPLED.forward(ops, one, 1.0, 0.0) == pytest.approx(IWAE.forward(ops, one, 1.0, 0.0))


def test_huge_weights_do_not_overflow():
    t = terms(4)._replace(nll=np.full((4, B), 9000.0))
    assert np.isfinite(IWAE.forward(ops, t, 1.0, 0.0))
    for gradient in IWAE.backward(ops, np.ones(()), t, 1.0, 0.0):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("settings", "says"), [({"draws": 1}, "at least 2"), ({"draws": 3, "free_bits": 0.1}, "floor")]
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(ConfigError, match=says):
        ModelConfig(4, objective="iwae", **settings)
