"""Standardised columns: every result in the user's units, and advice where it is needed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from minivae import VAE
from minivae.data.standard import Standard, moments, scale_advice
from minivae.estimators.autoencoder import Autoencoder
from minivae.estimators.linear_vae import LinearVAE
from minivae.estimators.pca import PCA
from minivae.estimators.probabilistic_pca import ProbabilisticPCA
from minivae.estimators.vae import UnscaledData

rng = np.random.default_rng(3)
FACTORS = rng.normal(size=(200, 2))
MIXED = FACTORS @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(200, 5))
UNITS = np.array([1e-3, 1.0, 50.0, 1e4, 1.0])
X = MIXED * UNITS + np.array([5.0, 0.0, -300.0, 1e6, 0.0])
SETTINGS = {"hidden": (16,), "epochs": 20, "batch_size": 32, "lr": 3e-3}


def test_moments_are_those_of_the_whole() -> None:
    mean, deviation = moments(X, chunk=7)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation, X.std(axis=0), rtol=1e-9)
    standard = Standard.of(np.c_[X, np.ones(200)])
    assert standard.deviation[-1] == 1.0
    y = standard.apply(np.c_[X, np.ones(200)])
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(y[:, :5].std(axis=0), 1)
    np.testing.assert_allclose(standard.invert(y)[:, :5], X, rtol=1e-12)
    back = Standard.from_dict(standard.to_dict())
    np.testing.assert_array_equal(back.deviation, standard.deviation)
    groups = Standard.of(X, groups=[(1, 3)])
    np.testing.assert_array_equal(groups.mean[1:3], 0)
    np.testing.assert_array_equal(groups.deviation[1:3], 1)


def test_a_vae_gives_everything_in_the_users_units(tmp_path: Path) -> None:
    vae = VAE(standardise=True, **SETTINGS).fit(X)
    by_hand = (X - X.mean(axis=0)) / X.std(axis=0)
    inner = VAE(**SETTINGS).fit(by_hand)
    np.testing.assert_allclose(vae.theta_, inner.theta_, atol=2e-3)
    volume = np.log(X.std(axis=0)).sum()
    log_p = vae.log_likelihood(X[:50], samples=20)
    np.testing.assert_allclose(log_p, inner.log_likelihood(by_hand[:50], 20) - volume, atol=0.1)
    assert vae.loss_curve_[-1] == pytest.approx(inner.loss_curve_[-1] + volume, abs=0.05)
    assert np.corrcoef(vae.reconstruct(X)[:, 3], X[:, 3])[0, 1] > 0.5
    drawn = vae.sample(2000)
    assert np.all(np.abs(np.log(drawn.std(axis=0) / X.std(axis=0))) < 0.5)
    saved = VAE.load(vae.save(tmp_path / "vae"))
    np.testing.assert_array_equal(saved.transform(X), vae.transform(X))
    np.testing.assert_array_equal(saved.sample(3), vae.sample(3))
    np.testing.assert_array_equal(saved.elbo(X), vae.elbo(X))


@pytest.mark.parametrize(
    "make",
    [
        lambda **s: PCA(2, **s),
        lambda **s: ProbabilisticPCA(2, **s),
        lambda **s: LinearVAE(2, steps=300, **s),
        lambda **s: Autoencoder(2, steps=300, **s),
    ],
)
def test_the_other_estimators_do_alike(make, tmp_path: Path) -> None:
    by_hand = (X - X.mean(axis=0)) / X.std(axis=0)
    outer, inner = make(standardise=True).fit(X), make().fit(by_hand)
    np.testing.assert_allclose(outer.transform(X), inner.transform(by_hand), atol=1e-6)
    expected = inner.reconstruct(by_hand) * X.std(axis=0) + X.mean(axis=0)
    np.testing.assert_allclose(outer.reconstruct(X), expected, rtol=1e-6)
    if hasattr(outer, "score_samples"):
        volume = np.log(X.std(axis=0)).sum()
        log_p = inner.score_samples(by_hand) - volume
        np.testing.assert_allclose(outer.score_samples(X), log_p, rtol=1e-6)
        assert np.all(np.abs(np.log(outer.sample(3000).std(axis=0) / X.std(axis=0))) < 0.2)
    again = type(outer).load(outer.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.reconstruct(X), outer.reconstruct(X))


@pytest.mark.parametrize(
    "make",
    [
        lambda **s: VAE(1, hidden=(8,), epochs=3, c=1.0, **s),
        lambda **s: PCA(1, **s),
        lambda **s: ProbabilisticPCA(1, **s),
        lambda **s: LinearVAE(1, steps=50, **s),
        lambda **s: Autoencoder(1, steps=50, **s),
    ],
    ids=["VAE", "PCA", "ProbabilisticPCA", "LinearVAE", "Autoencoder"],
)
def test_large_means_keep_their_digits_on_the_way_back(make, tmp_path: Path) -> None:
    seconds = 1_700_000_000 + np.arange(200.0)  # float32 holds 3 of these
    times = np.column_stack([seconds, rng.normal(size=200)])
    model = make(standardise=True).fit(times)
    codes = model.transform(times).astype(np.float32)
    for used in (model, type(model).load(model.save(tmp_path / "m"))):
        back = used.inverse_transform(codes)
        assert back.dtype == np.float64
        distinct = len(np.unique(used._decode(codes)[:, 0]))
        assert len(np.unique(back[:, 0])) >= 0.9 * distinct > 100
        if hasattr(used, "sample"):
            drawn = used.sample(200)
            assert drawn.dtype == np.float64 and len(np.unique(drawn[:, 0])) > 150
    plain = make().fit(MIXED.astype(np.float32))  # without units of its own the type is kept
    assert plain.reconstruct(MIXED.astype(np.float32)).dtype == np.float32


def test_unscaled_data_are_warned_of_by_name() -> None:
    cancer = load_breast_cancer()
    few = {**SETTINGS, "epochs": 1}
    with pytest.warns(UnscaledData, match=r"column 23 spans .*standardise=True"):
        VAE(**few).fit(cancer.data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vae = VAE(standardise=True, **{**few, "epochs": 30}).fit(cancer.data)
        VAE(**few).fit(MIXED)
    assert -60 < vae.score(cancer.data) < 60
    advice = scale_advice(cancer.data, 1.0, list(cancer.feature_names))
    assert advice is not None and "'worst area' spans 185.2 to 4254" in advice
    assert "'fractal dimension error'" in advice
    assert scale_advice(np.ones((5, 3)), 1.0) is None
    pictures = np.repeat([[0.0, 1.0, 0.5]], 1000, axis=0) * rng.random((1000, 1))
    pictures[3, 0] = 0.002  # a corner where one picture in a thousand is not black
    assert scale_advice(pictures, 1.0) is None
    pictures[:, 0] = 1e-4 * rng.random(1000)
    assert scale_advice(pictures, 1.0) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scale_advice(rng.normal(size=(9, 2)) * 1e300, 1.0) is not None
    years = np.column_stack([rng.normal(2020, 2, 50), rng.normal(size=50)])
    told = scale_advice(years, 1.0, ["year", "x"])
    assert told is not None and "'year' spans" in told and "so far from 0" in told
    assert "'x'" not in told
    with pytest.raises(ValueError, match="standardise=True gives numbers below 0"):
        VAE(standardise=True, likelihood="bernoulli").fit(rng.random((20, 3)))


def test_bytes_mean_the_same_as_on_the_command_line() -> None:
    pixels = rng.integers(0, 256, (60, 8), dtype=np.uint8)
    settings = {**SETTINGS, "epochs": 3, "likelihood": "bernoulli"}
    from_bytes, from_floats = VAE(**settings).fit(pixels), VAE(**settings).fit(pixels / 255)
    np.testing.assert_array_equal(from_bytes.theta_, from_floats.theta_)
    np.testing.assert_array_equal(from_bytes.transform(pixels), from_bytes.transform(pixels / 255))
    one = np.ones((1, 8), dtype=np.uint8)  # nearly black where pictures were bytes
    np.testing.assert_array_equal(from_bytes.transform(one), from_bytes.transform(one / 255))
    binary = VAE(**settings).fit((pixels > 99).astype(np.uint8))
    np.testing.assert_array_equal(binary.theta_, VAE(**settings).fit((pixels > 99) * 1.0).theta_)
