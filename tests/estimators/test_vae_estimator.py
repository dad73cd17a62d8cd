"""The VAE as an estimator: scikit-learn's own checks, then what they cannot know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from minivae.estimators.vae import VAE
from minivae.runs.errors import CheckpointError

rng = np.random.default_rng(0)
N, D = 61, 7
CODES = rng.normal(size=(N, 2))
X = CODES @ rng.normal(size=(2, D)) + 0.1 * rng.normal(size=(N, D))
PIXELS = 1 / (1 + np.exp(-X))
SMALL = {"hidden": (9,), "epochs": 4, "batch_size": 16}

# scikit-learn's checks fit numbers around 100 as they stand
pytestmark = pytest.mark.filterwarnings("ignore::minivae.estimators.vae.UnscaledData")


@pytest.mark.estimators
@parametrize_with_checks(
    [
        VAE(hidden=(8,), epochs=3, batch_size=32),
        VAE(latent_dim=1, hidden=(), epochs=2, optimiser="sgd", lr=1e-4, c=1.0),
    ]
)
def test_scikit_learns_checks(estimator: VAE, check) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def fitted() -> VAE:
    return VAE(**SMALL).fit(X)


def test_learning_happens() -> None:
    model = VAE(hidden=(32,), epochs=150, batch_size=16, lr=5e-3).fit(X)
    assert model.loss_curve_[-1] < model.loss_curve_[0] - 2
    assert model.reconstruction_error(X) < 0.5 * ((X - X.mean(0)) ** 2).sum(1).mean()
    assert model.score(X) == pytest.approx(model.elbo(X).mean())
    assert model.c_ is not None and model.c_ < 1
    assert (model.log_likelihood(X, samples=50).mean()) > model.elbo(X, samples=50).mean()


def test_parameters_of_numpys_types_are_taken_and_saved(tmp_path: Path) -> None:
    given = {"latent_dim": np.int64(2), "hidden": np.array([9]), "epochs": np.int32(4),
             "batch_size": np.int64(16), "lr": np.float64(1e-3), "beta": np.float32(1),
             "random_state": np.int64(0)}  # fmt: skip
    model = VAE(**given).fit(X)
    np.testing.assert_array_equal(model.theta_, VAE(**SMALL).fit(X).theta_)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(VAE.load(tmp_path / "model").theta_, model.theta_)


def test_what_a_sample_can_be_asked_for(fitted: VAE) -> None:
    state = np.random.RandomState(5)
    assert fitted.sample(np.int64(3), random_state=state).shape == (3, D)
    assert not np.array_equal(fitted.sample(3, random_state=state), fitted.sample(3, None))
    for n, seed, words in [(2.5, 0, "n_samples"), (0, 0, "n_samples"), (2, -1, "random_state")]:
        with pytest.raises(ValueError, match=words):
            fitted.sample(n, random_state=seed)


def test_shapes_and_the_articles_words(fitted: VAE) -> None:
    z = fitted.transform(X)
    assert z.shape == (N, 2) and z.dtype == np.float64
    assert fitted.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_array_equal(fitted.encode(X), z)
    np.testing.assert_array_equal(fitted.decode(z), fitted.inverse_transform(z))
    np.testing.assert_allclose(fitted.reconstruct(X), fitted.decode(z))
    assert fitted.sample(5).shape == (5, D)
    mu, std = fitted.posterior(X)
    np.testing.assert_array_equal(mu, z)
    assert (std > 0).all()
    assert fitted.elbo(X).shape == fitted.log_likelihood(X, samples=3).shape == (N,)
    error = ((X - fitted.reconstruct(X)) ** 2).sum(axis=1).mean()
    assert fitted.reconstruction_error(X) == pytest.approx(error)


def test_samples_are_a_function_of_the_seed(fitted: VAE) -> None:
    np.testing.assert_allclose(fitted.sample(3), fitted.sample(8)[:3], rtol=1e-6)
    assert not np.allclose(fitted.sample(3), fitted.sample(3, random_state=1))


def test_the_same_seed_gives_the_same_bits() -> None:
    a, b = VAE(**SMALL).fit(X), VAE(**SMALL).fit(X)
    np.testing.assert_array_equal(a.theta_, b.theta_)
    assert not np.array_equal(a.theta_, VAE(**SMALL, random_state=1).fit(X).theta_)
    VAE(**SMALL, random_state=None).fit(X)
    VAE(**SMALL, random_state=np.random.RandomState(3)).fit(X)


def test_patience_keeps_the_best_epoch() -> None:
    model = VAE(hidden=(9,), epochs=40, batch_size=8, lr=0.05, patience=2, validation=0.3).fit(X)
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_curve_)
    assert model.n_iter_ < 40
    assert int(np.argmin(model.validation_curve_)) == model.n_iter_ - 3
    shorter = clone(model).set_params(epochs=model.n_iter_ - 2).fit(X)
    np.testing.assert_array_equal(model.theta_, shorter.theta_)


def test_save_and_load(tmp_path: Path, fitted: VAE) -> None:
    path = fitted.save(tmp_path / "model")
    assert path == tmp_path / "model.safetensors" and (tmp_path / "model.json").exists()
    back = VAE.load(tmp_path / "model")
    assert back.get_params() == fitted.get_params()
    np.testing.assert_array_equal(back.theta_, fitted.theta_)
    np.testing.assert_array_equal(back.transform(X), fitted.transform(X))
    np.testing.assert_array_equal(back.elbo(X), fitted.elbo(X))
    assert back.loss_curve_ == fitted.loss_curve_
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="damaged"):
        VAE.load(path)
    with pytest.raises(CheckpointError, match="missing"):
        VAE.load(tmp_path / "nothing")


def test_in_a_pipeline_with_names(fitted: VAE) -> None:
    pipe = make_pipeline(StandardScaler(), clone(fitted)).fit(X)
    assert list(pipe.get_feature_names_out()) == ["vae0", "vae1"]
    assert pipe.transform(X).shape == (N, 2)


def test_bernoulli_pixels() -> None:
    model = VAE(**SMALL, likelihood="bernoulli", binarise="dynamic").fit(PIXELS)
    assert model.c_ is None
    decoded = model.reconstruct(PIXELS)
    assert (decoded > 0).all() and (decoded < 1).all()
    with pytest.raises(ValueError, match=r"needs data in \[0, 1\]"):
        VAE(**SMALL, likelihood="bernoulli").fit(X)
    with pytest.raises(ValueError, match=r"needs data in \[0, 1\]"):
        model.elbo(X)


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        ({}, np.zeros((4, 3, 3)), r"flatten the 4 pictures of 3 x 3 first, X.reshape\(4, -1\)"),
        ({}, np.zeros((0, 3)), "0 sample"),
        ({}, np.full((4, 3), np.nan), "NaN"),
        ({}, np.full((4, 3), np.inf), "infinity"),
        ({}, np.full((4, 3), 1e300), "float32"),
        ({"latent_dim": 0}, X, "latent_dim"),
        ({"hidden": (3, 0)}, X, "hidden"),
        ({"epochs": -1}, X, "epochs"),
        ({"lr": float("nan")}, X, "lr"),
        ({"activation": "rleu"}, X, "did you mean 'relu'"),
        ({"likelihood": "normal"}, X, "likelihood"),
        ({"backend": "nunpy"}, X, "did you mean 'numpy'"),
        ({"binarise": "dynamic"}, X, "bernoulli"),
        ({"c": -2.0}, X, "c"),
    ],
)
def test_bad_input_is_one_clear_line(settings: dict, data: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        VAE(**{**SMALL, **settings}).fit(data)
    assert "\n" not in str(caught.value).strip()


def test_wrong_sizes_after_fitting(fitted: VAE) -> None:
    with pytest.raises(ValueError, match="X has 3 features, but VAE is expecting 7 features"):
        fitted.transform(X[:, :3])
    with pytest.raises(ValueError, match="Z has 3 columns, but VAE has 2 latent dimensions"):
        fitted.inverse_transform(X[:, :3])
    with pytest.raises(ValueError, match="n_samples = 0"):
        fitted.sample(0)
    with pytest.raises(ValueError, match="flatten"):
        fitted.transform(np.zeros((2, 7, 1)))


def test_verbose_prints_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    VAE(**SMALL, verbose=True).fit(X)
    assert capsys.readouterr().out.count("epoch ") >= 4
