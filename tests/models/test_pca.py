"""PCA against scikit-learn's and against its own definition (S2)."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA as SklearnPCA

from minivae.estimators.pca import PCA
from minivae.models.pca import pca_decode, pca_encode, principal_axes


@pytest.mark.parametrize(("n", "d", "j"), [(1797, 64, 10), (37, 19, 5), (13, 29, 7)])
def test_agrees_with_scikit_learn(n, d, j):
    if (n, d) == (1797, 64):
        x = load_digits().data / 16.0
    else:
        x = np.random.default_rng(n).normal(size=(n, d)) @ np.diag(np.linspace(1, 3, d))
    ours, theirs = PCA(latent_dim=j).fit(x), SklearnPCA(j, svd_solver="full").fit(x)
    signs = np.sign((ours.components_ * theirs.components_).sum(axis=1))
    assert np.abs(ours.components_ - signs[:, None] * theirs.components_).max() <= 1e-10
    assert np.abs(ours.explained_variance_ - theirs.explained_variance_).max() <= 1e-10
    ratio = ours.explained_variance_ratio_ - theirs.explained_variance_ratio_
    assert np.abs(ratio).max() <= 1e-10
    assert np.abs(ours.transform(x) - signs * theirs.transform(x)).max() <= 1e-10
    restored = theirs.inverse_transform(theirs.transform(x))
    assert np.abs(ours.reconstruct(x) - restored).max() <= 1e-10


def test_error_is_the_discarded_variance():
    x = load_digits().data / 16.0
    model = PCA(latent_dim=9).fit(x)
    assert model.reconstruction_error(x) == pytest.approx(model.eigenvalues_[9:].sum(), rel=1e-12)


def test_both_solvers_find_the_same_axes():
    x = np.random.default_rng(3).normal(size=(41, 11)) @ np.diag(np.arange(1.0, 12.0))
    tall = principal_axes(np.repeat(x, 2, axis=0), 4)  # 82 > 44: through the covariance
    wide = principal_axes(x, 4)  # 41 <= 44: through the singular values
    assert np.abs(tall.axes - wide.axes).max() < 1e-12
    assert np.abs(tall.eigenvalues - wide.eigenvalues).max() < 1e-11


def test_encode_then_decode_is_a_projection():
    x = np.random.default_rng(5).normal(size=(31, 7))
    mean, axes, _ = principal_axes(x, 3)
    once = pca_decode(pca_encode(x, mean, axes), mean, axes)
    twice = pca_decode(pca_encode(once, mean, axes), mean, axes)
    assert np.abs(once - twice).max() < 1e-13
    assert np.abs((x - once) @ axes).max() < 1e-13


@pytest.mark.parametrize("bad", [0, 8, -1, 2.5, True, "two"])
def test_refuses_an_impossible_latent_dim(bad):
    with pytest.raises(ValueError, match=r"latent_dim=.* between 1 and 7"):
        PCA(latent_dim=bad).fit(np.random.default_rng(1).normal(size=(23, 7)))


def test_fewer_samples_than_latent_dimensions():
    with pytest.raises(ValueError, match="n_samples=3"):
        PCA(latent_dim=4).fit(np.random.default_rng(1).normal(size=(3, 7)))


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="1 sample"):
        PCA(latent_dim=1).fit(np.ones((1, 7)))


def test_constant_features_are_left_alone():
    x = np.random.default_rng(2).normal(size=(29, 6))
    x[:, 2] = 4.0
    model = PCA(latent_dim=3).fit(x)
    assert np.abs(model.components_[:, 2]).max() < 1e-12
    assert np.abs(model.reconstruct(x)[:, 2] - 4.0).max() < 1e-12
    flat = PCA(latent_dim=2).fit(np.full((5, 4), 0.25))
    assert flat.reconstruction_error(np.full((3, 4), 0.25)) == 0.0
    assert np.isfinite(flat.explained_variance_ratio_).all()


def test_rank_deficient_data_are_restored_exactly():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 9))
    assert PCA(latent_dim=4).fit(x).reconstruction_error(x) < 1e-24
