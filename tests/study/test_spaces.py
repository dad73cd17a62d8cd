"""The three latent spaces are sampled and measured alike."""

from dataclasses import replace

import numpy as np
import pytest

from minivae.metrics.rate_distortion import linear_rate_and_distortion, rate_and_distortion
from minivae.study.data import study_data
from minivae.study.spaces import KINDS, Settings, different_pairs, measure, train_space

QUICK = replace(Settings(), hidden=(16,), steps=60, samples=200, pairs=20, stretches=15)


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_a_number(kind):
    data = study_data()
    space = train_space(kind, data.train[:400], QUICK, seed=0)
    found = measure(space, data.train[:400], data.test, data.test_labels, QUICK)
    assert np.isfinite(list(found.values())).all()
    assert 0 <= found["completeness"] <= 1 and 0 <= found["coverage"] <= 1
    drawn = space.latent_samples(20000, 0)
    assert np.abs(drawn.mean(axis=0) - space.centre).max() < 0.1 * np.abs(space.root).max()
    assert np.iscomplexobj(space.decode(drawn[:2].astype(complex)))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kind"):
        train_space("GAN", np.ones((5, 3)), QUICK, 0)


def test_pairs_differ_in_label():
    labels = np.array([0, 0, 1, 2, 1])
    one, other = different_pairs(labels, 40, 3)
    assert len(one) == 40
    assert (labels[one] != labels[other]).all()


def test_rate_and_distortion_of_the_exact_linear_model():
    """The closed form against the VAE's own measure, at the optimum for a given c."""
    from minivae.backend import load_backend
    from minivae.models.config import ModelConfig
    from minivae.models.inference import cubature_draws

    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)) @ np.diag([2.0, 1.5, 0.6, 0.4, 0.2])
    x -= x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / 400)
    values, vectors = values[::-1], vectors[:, ::-1]
    c = 0.5
    kept = values[:3] > c
    gain = np.sqrt(np.maximum(values[:3] - c, 0))
    variance = np.where(kept, c / values[:3], 1.0)
    p = {
        "encoder.mu.W": vectors[:, :3] * gain / np.where(kept, values[:3], 1),
        "encoder.mu.b": np.zeros(3),
        "encoder.logvar.W": np.zeros((5, 3)),
        "encoder.logvar.b": np.log(variance),
        "decoder.out.W": (vectors[:, :3] * gain).T,
        "decoder.out.b": np.zeros(5),
    }
    config = ModelConfig(5, 3, (), likelihood="gaussian", c=c)
    found = rate_and_distortion(load_backend("numpy"), p, x, cubature_draws(3, 400), config)
    exact = linear_rate_and_distortion(values, c, 3)
    assert found.rate == pytest.approx(exact.rate, rel=1e-12)
    assert found.distortion == pytest.approx(exact.distortion, rel=1e-12)


def test_a_larger_c_trades_rate_for_distortion():
    values = np.array([4.0, 2.0, 1.0, 0.5, 0.1])
    points = [linear_rate_and_distortion(values, c, 3) for c in (0.05, 0.3, 1.5, 5.0)]
    rates = [r.rate for r in points]
    lost = [r.distortion for r in points]
    assert rates == sorted(rates, reverse=True) and lost == sorted(lost)
    assert rates[-1] == 0.0 and lost[-1] == pytest.approx(values.sum())
