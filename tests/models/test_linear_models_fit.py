"""The trained linear models against their exact answers (S3, S12, S13, S14)."""

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.data import load
from minivae.estimators.autoencoder import Autoencoder
from minivae.estimators.linear_vae import LinearVAE
from minivae.estimators.pca import PCA
from minivae.estimators.probabilistic_pca import ProbabilisticPCA
from minivae.metrics.reconstruction import reconstruction_error
from minivae.metrics.subspace import largest_angle, orthonormality_error
from minivae.models import inference, linear_gaussian
from minivae.models.autoencoder import AutoencoderConfig
from minivae.models.config import ModelConfig
from minivae.models.moments import moment_rows

K = load_backend("numpy")


@pytest.fixture(scope="module")
def digits():
    return load("digits", split=False).train.astype(np.float64) / 16.0


def pixels(name, data_dir):
    data = load(name, data_dir, split=name != "frey")
    return data.train.astype(np.float32) * np.float32(1 / 255)


def check_against_pca(x, latent_dim, **settings):
    pca = PCA(latent_dim).fit(x)
    best = pca.eigenvalues_[latent_dim:].sum()
    bases = []
    for seed in (0, 1):
        model = Autoencoder(latent_dim, hidden=(), activation=None, random_state=seed, **settings)
        model.fit(x)
        basis = model.params_["decoder.out.W"].T
        assert largest_angle(basis, pca.components_.T) <= 1e-3
        error = reconstruction_error(x, model.reconstruct(x))
        assert best * (1 - 1e-6) <= error <= best * 1.001
        assert orthonormality_error(basis) > 0.1
        bases.append(basis)
    assert np.abs(bases[0] - bases[1]).max() > 0.1
    assert largest_angle(*bases) <= 2e-3


def test_a_linear_autoencoder_finds_the_subspace_but_not_the_basis(digits):
    check_against_pca(digits, 10)


@pytest.mark.slow
@pytest.mark.data
def test_a_linear_autoencoder_finds_the_subspace_of_mnist(data_dir):
    check_against_pca(pixels("mnist", data_dir), 10, steps=800)


def test_moment_rows_have_the_loss_and_gradient_of_all_the_data():
    from minivae.models.autoencoder import (
        autoencoder_backward,
        autoencoder_forward,
        autoencoder_layout,
    )

    rng = np.random.default_rng(1)
    x = rng.normal(size=(211, 7)) @ rng.normal(size=(7, 7)) + 3.0
    config = AutoencoderConfig(7, 3)
    layout = autoencoder_layout(config)
    p = layout.views(rng.normal(size=layout.size))
    for name in ("encoder.code.b", "decoder.out.b"):
        p[name][...] = 0
    found = []
    for rows in (x - x.mean(axis=0), moment_rows(x, x.mean(axis=0))):
        loss, cache = autoencoder_forward(K, p, rows, config)
        g = autoencoder_backward(K, np.full((), 1.7), cache, p, config)
        found.append((float(loss), layout.flatten(g, np.empty(layout.size))))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-13)
    assert np.abs(found[0][1] - found[1][1]).max() < 1e-12 * np.abs(found[0][1]).max()


def test_evidence_is_elbo_plus_kl(digits):
    model = linear_gaussian.ppca_solution(digits, 5)
    rng = np.random.default_rng(0)
    x, mu = digits[:40], rng.normal(size=(40, 5))
    root = rng.normal(size=(5, 5))
    split = linear_gaussian.evidence_split(x, mu, root @ root.T + 0.1 * np.eye(5), model)
    size = np.abs(split.elbo).max()
    assert np.abs(split.log_p - split.elbo - split.kl).max() <= 1e-10 * max(size, 1)
    assert np.all(split.kl > 0)
    exact = linear_gaussian.posterior(x, model)
    tight = linear_gaussian.evidence_split(x, *exact, model)
    assert np.abs(tight.log_p - tight.elbo).max() <= 1e-10


@pytest.mark.parametrize("contrast", [1, 30])
def test_free_posteriors_reach_the_exact_optimum(digits, contrast):
    """Posterior mean, and one over the diagonal of the posterior's precision (S13).

    With much contrast the posteriors are far narrower than the prior that the search starts at.
    """
    x = contrast * digits[:23]
    exact = linear_gaussian.ppca_solution(digits, 3)
    exact = exact._replace(weight=contrast * exact.weight, mean=contrast * exact.mean)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    model = exact._replace(weight=exact.weight @ turn)  # posteriors that lean: not diagonal
    config = ModelConfig(64, 3, (), likelihood="gaussian", c=model.c)
    p = {"decoder.out.W": model.weight.T, "decoder.out.b": model.mean}
    draws = inference.cubature_draws(3, len(x))
    found = inference.fit_posteriors(K, p, x, draws, config, steps=1500, lr=0.05)
    mu, variance = linear_gaussian.best_diagonal(x, model)
    covariance = linear_gaussian.posterior(x, model)[1]
    assert np.abs(found.mu - mu).max() <= 1e-6
    assert np.abs(np.exp(found.logvar) - variance).max() <= 1e-6
    assert np.abs(variance / np.diag(covariance) - 1).max() > 1e-2
    split = linear_gaussian.evidence_split(x, mu, np.diag(variance), model)
    assert np.abs(found.elbo - split.elbo).max() <= 1e-8 * np.abs(split.elbo).max()
    assert np.all(found.elbo < split.log_p)


def test_the_linear_vae_reaches_probabilistic_pca(digits):
    exact = ProbabilisticPCA(6).fit(digits)
    model = LinearVAE(6).fit(digits)
    assert model.score(digits) == pytest.approx(exact.score(digits), abs=0.05)
    assert model.score(digits) <= exact.score(digits)
    assert model.c_ == pytest.approx(exact.c_, rel=0.002)
    assert model.elbo(digits) == pytest.approx(model.score(digits), abs=0.1)
    assert model.elbo(digits) <= model.score(digits)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "latent_dim", "c", "log_p", "steps"),
    [
        ("mnist", 10, 0.03486734, 182.1547, 1000),
        ("mnist", 20, 0.02459713, 299.7584, None),
        ("fashion-mnist", 10, 0.02468580, 314.8061, None),
        ("frey", 10, 0.00364915, 754.5507, 3000),
    ],
)
def test_exact_targets(data_dir, name, latent_dim, c, log_p, steps):
    """Probabilistic PCA's, everywhere; the linear VAE, half a minute each, comes to two of them."""
    x = pixels(name, data_dir)
    exact = ProbabilisticPCA(latent_dim).fit(x)
    assert exact.c_ == pytest.approx(c, abs=1e-7)
    assert exact.score(x) == pytest.approx(log_p, abs=1e-3)
    if steps is not None:
        model = LinearVAE(latent_dim, steps=steps).fit(x)
        assert abs(model.score(x) - log_p) <= 0.5
        assert abs(model.c_ - c) <= 0.01 * c


def test_an_encoder_at_the_optimum_has_no_amortisation_gap(digits):
    """The linear VAE's encoder serves every datum perfectly; a damaged one pays (E42)."""
    from minivae.models.vae import layout_of

    model = LinearVAE(3).fit(digits)
    config = ModelConfig(64, 3, (), likelihood="gaussian", c="learned")
    layout = layout_of(config)
    p = layout.views(np.zeros(layout.size))
    for name, tensor in model.params_.items():
        p[name][...] = tensor
    x = digits[:31] - model.mean_
    draws = inference.cubature_draws(3, len(x))
    gap = inference.amortisation_gap(K, p, x, draws, draws, config, steps=400, lr=0.01)
    assert 0 <= gap.gap <= 1e-3
    p["encoder.mu.b"][1] += 0.3
    worse = inference.amortisation_gap(K, p, x, draws, draws, config, steps=800, lr=0.02)
    assert worse.gap > 0.1
    assert worse.free == pytest.approx(gap.free, abs=1e-3)
