"""PCA, probabilistic PCA, the autoencoder and the linear VAE as scikit-learn estimators."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from minivae.estimators.autoencoder import Autoencoder
from minivae.estimators.linear_vae import LinearVAE
from minivae.estimators.pca import PCA
from minivae.estimators.probabilistic_pca import ProbabilisticPCA

MODELS = [
    PCA(1),
    ProbabilisticPCA(),
    Autoencoder(1, steps=20),
    Autoencoder(1, hidden=(7,), activation="tanh", steps=20),
    LinearVAE(steps=20),
]


def name_of(model):
    return f"{type(model).__name__}-{getattr(model, 'hidden', ())}"


@pytest.mark.estimators
@pytest.mark.parametrize(
    "model", [*MODELS, PCA(1, standardise=True)], ids=[*map(name_of, MODELS), "standardised"]
)
def test_check_estimator(model):
    """scikit-learn's own battery; no failure is expected, and none is excused."""
    results = check_estimator(model, on_skip=None)
    failed = [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")]
    assert failed == []


@pytest.mark.estimators
@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_pipeline_grid_search_and_clone(model):
    x = load_digits().data[:120] / 16.0
    name = f"{type(model).__name__.lower()}__latent_dim"
    search = GridSearchCV(make_pipeline(StandardScaler(), clone(model)), {name: [1, 3]}, cv=2)
    search.fit(x)
    assert search.best_estimator_.transform(x).shape == (120, search.best_estimator_[-1].latent_dim)
    names = search.best_estimator_[-1].get_feature_names_out()
    assert len(names) == search.best_estimator_[-1].latent_dim


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_too_many_latent_dimensions(model):
    x = np.random.default_rng(0).normal(size=(21, 5))
    with pytest.raises(ValueError, match=r"latent_dim=6 must be .*n_features=5"):
        clone(model).set_params(latent_dim=6).fit(x)


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_constant_features_leave_finite_numbers(model):
    x = np.random.default_rng(0).normal(size=(31, 6))
    x[:, 1], x[:, 4] = 0.0, 7.0
    fitted = clone(model).set_params(latent_dim=2).fit(x)
    assert np.isfinite(fitted.reconstruct(x)).all()


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(
    "model",
    [PCA(2), ProbabilisticPCA(2), LinearVAE(2, steps=20), Autoencoder(2, steps=20)],
    ids=name_of,
)
def test_a_weight_counts_as_so_many_rows(model, standardise):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 5))
    weights = rng.integers(0, 4, size=30)
    model = clone(model).set_params(standardise=standardise)
    weighted = clone(model).fit(x, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(x, weights, axis=0))
    assert np.abs(weighted.transform(x) - repeated.transform(x)).max() <= 1e-10
    assert abs(weighted.score(x) - repeated.score(x)) <= 1e-10
    assert np.abs(weighted.transform(x) - clone(model).fit(x).transform(x)).max() > 1e-3
    for bad in (-np.ones(30), np.zeros(30), np.ones(29), np.full(30, np.nan)):
        with pytest.raises(ValueError, match="sample_weight"):
            clone(model).fit(x, sample_weight=bad)


@pytest.mark.parametrize("total", [1, 0.3, 1 + 1e-9])
def test_weights_that_count_one_row_leave_pca_no_variance(total):
    x = np.random.default_rng(0).normal(size=(30, 5))
    weights = np.random.default_rng(1).random(30)
    weights *= total / weights.sum()
    with pytest.raises(ValueError, match=r"sample_weight sums to .*: scale them, .*\.sum\(\)\.$"):
        PCA().fit(x, sample_weight=weights)
    scaled = PCA().fit(x, sample_weight=weights * len(x) / weights.sum())
    assert (scaled.explained_variance_ > 0).all() and (scaled.explained_variance_ < 10).all()
    for model in (ProbabilisticPCA(), LinearVAE(steps=20), Autoencoder(steps=20)):  # divide by N
        expected = clone(model).fit(x, sample_weight=weights * 7).transform(x)
        found = clone(model).fit(x, sample_weight=weights).transform(x)
        assert np.abs(found - expected).max() <= 1e-9


def test_degenerate_data_are_named():
    rng = np.random.default_rng(3)
    flat = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6))
    with pytest.raises(ValueError, match="choose a smaller latent_dim"):
        ProbabilisticPCA(2).fit(flat)
    with pytest.raises(ValueError, match="constant"):
        LinearVAE(2, steps=3).fit(np.ones((9, 5)))
    with pytest.raises(ValueError, match="minimum of 2"):
        LinearVAE(2, steps=3).fit(np.ones((1, 5)))
    one = Autoencoder(1, steps=5).fit(np.ones((1, 5)))
    assert one.reconstruction_error(np.ones((1, 5))) < 1e-20


def test_deep_without_an_activation_is_refused():
    with pytest.raises(ValueError, match="activation=None is for hidden"):
        Autoencoder(1, hidden=(4,), activation=None).fit(np.eye(5))


def test_the_same_seed_gives_the_same_bits():
    x = load_digits().data[:90] / 16.0
    settings = {"latent_dim": 3, "hidden": (11,), "steps": 30, "batch_size": 17}
    first, second = (Autoencoder(**settings).fit(x) for _ in range(2))
    other = Autoencoder(**settings, random_state=1).fit(x)
    assert np.array_equal(first.transform(x), second.transform(x))
    assert not np.array_equal(first.transform(x), other.transform(x))


@pytest.mark.parametrize("model", MODELS[1:], ids=name_of)
def test_a_seed_may_be_a_state_or_none(model, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 5))

    def fitted(seed):
        return clone(model).set_params(random_state=seed).fit(x)

    def state():
        return np.random.RandomState(3)

    expected = fitted(state())
    assert np.array_equal(fitted(state()).transform(x), expected.transform(x))
    assert np.array_equal(fitted(np.int64(1)).transform(x), fitted(1).transform(x))
    if not isinstance(model, ProbabilisticPCA):  # it draws nothing to be fitted
        again = fitted(int(state().randint(2**31 - 1)))
        assert np.array_equal(again.transform(x), expected.transform(x))
        assert not np.array_equal(fitted(None).transform(x), fitted(None).transform(x))
    for one in (fitted(None), expected):
        back = type(model).load(one.save(tmp_path / "model"))
        assert np.array_equal(back.transform(x), one.transform(x))
    for bad in ("one", -1, 0.5):
        with pytest.raises(ValueError, match="random_state"):
            draws = fitted(bad)
            draws.sample(1)


def test_one_hidden_layer_may_be_a_number(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 5))
    expected = Autoencoder(hidden=(7,), steps=9).fit(x)
    for hidden in (7, np.int64(7), [7], np.array([7]), np.array(7)):
        model = clone(Autoencoder(hidden=hidden, steps=9)).fit(x)
        assert np.array_equal(model.transform(x), expected.transform(x))
        back = Autoencoder.load(model.save(tmp_path / "model"))
        assert np.array_equal(back.transform(x), expected.transform(x))
        assert np.array_equal(back.fit(x).transform(x), expected.transform(x))
    for bad in (0, True, 7.5, "7", [7, 0], None):
        with pytest.raises(ValueError, match=r"^hidden = "):
            Autoencoder(hidden=bad, steps=9).fit(x)


def test_sampling_probabilistic_pca_gives_its_own_covariance():
    x = load_digits().data / 16.0
    model = ProbabilisticPCA(3).fit(x)
    weight, _, c = model.model_
    drawn = model.sample(40000)
    assert np.abs(np.cov(drawn.T) - weight @ weight.T - c * np.eye(64)).max() < 0.02
