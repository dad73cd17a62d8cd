"""A fit that fails leaves the model that was fitted before, or none where there was none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import minivae
from minivae import PCA, VAE, Autoencoder, LinearVAE, ProbabilisticPCA

pytestmark = pytest.mark.filterwarnings("ignore::minivae.estimators.vae.UnscaledData")
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(40, 5))
OTHER = np.c_[100 * X + 7, X[:, 0] ** 2]  # other units, and a column more
BYTES = rng.integers(0, 256, X.shape, dtype=np.uint8)
VAE_SETTINGS = {"hidden": (6,), "epochs": 2, "batch_size": 16}


def stop(*_: Any) -> None:
    raise KeyboardInterrupt


# a model, parameters changed before its second fit, that fit's data and arguments, what it raises
CASES: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any], type[BaseException]]] = {
    "pca, weights": (PCA(), {}, OTHER, {"sample_weight": np.full(40, 0.01)}, ValueError),
    "pca, codes": (PCA(), {"latent_dim": 9}, OTHER, {}, ValueError),
    "ppca, a plane": (ProbabilisticPCA(), {}, OTHER[:, [0, 0, 1, 1]], {}, ValueError),
    "linear vae, lr": (LinearVAE(steps=9), {"lr": 1e300}, OTHER, {}, RuntimeError),
    "linear vae, constant": (LinearVAE(steps=9), {}, np.ones((9, 5)), {}, ValueError),
    "autoencoder, lr": (Autoencoder(steps=9), {"lr": 1e300}, OTHER, {}, RuntimeError),
    "autoencoder, stopped": (Autoencoder(steps=9, hidden=(4,)), {}, OTHER, {"watch": stop},
                             KeyboardInterrupt),
    "vae, lr": (VAE(**VAE_SETTINGS), {"lr": 1e30}, OTHER, {}, RuntimeError),
    "vae, stopped": (VAE(**VAE_SETTINGS), {}, BYTES, {"callback": stop}, KeyboardInterrupt),
    "vae, a range": (VAE(**VAE_SETTINGS), {"likelihood": "bernoulli"}, OTHER, {}, ValueError),
    "vae, warm": (VAE(**VAE_SETTINGS), {"warm_start": True}, X, {"callback": stop},
                  KeyboardInterrupt),
    "vae, held out": (VAE(**VAE_SETTINGS), {}, OTHER, {"validation_data": X}, ValueError),
}  # fmt: skip


def numbers_of(model: Any) -> list[Any]:
    drawn = [model.sample(4)] if hasattr(model, "sample") else []
    return [model.transform(X), model.reconstruct(X), model.score(X), *drawn]


def same(model: Any, before: list[Any]) -> None:
    for found, expected in zip(numbers_of(model), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("standardise", [True, False])
def test_the_model_is_as_it_was(name: str, standardise: bool, tmp_path: Path) -> None:
    model, changed, data, arguments, raised = CASES[name]
    standardise = standardise and "likelihood" not in changed
    model = clone(model).set_params(standardise=standardise).fit(X)
    before, kept = numbers_of(model), model.get_params()
    with pytest.raises(raised):
        model.set_params(**changed).fit(data, **arguments)
    same(model.set_params(**kept), before)
    assert model.n_features_in_ == 5
    loaded = type(model).load(model.save(tmp_path / "model"))
    same(loaded, before)
    same(clone(model).fit(X), before)
    fresh = clone(model).set_params(**changed)
    with pytest.raises(raised):
        fresh.fit(data, **arguments)
    with pytest.raises(NotFittedError):
        fresh.transform(data)


def test_names_of_columns_stay_too() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    for kind in (PCA, ProbabilisticPCA):
        model = kind().fit(frame)
        with pytest.raises(ValueError, match="latent_dim"):
            model.set_params(latent_dim=9).fit(OTHER)
        assert list(model.feature_names_in_) == list("abcde")
        assert model.transform(frame).shape == (40, 2)


def test_a_partial_fit_that_fails_is_taken_back() -> None:
    model = VAE(**VAE_SETTINGS, standardise=True).partial_fit(X)
    before = numbers_of(model)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, callback=stop)
    same(model, before)
    once = VAE(**VAE_SETTINGS, standardise=True).partial_fit(X).partial_fit(X)
    np.testing.assert_array_equal(model.partial_fit(X).theta_, once.theta_)


def test_every_fit_is_such_a_one() -> None:
    kinds = [getattr(minivae, name) for name in minivae.__all__]
    found = [
        (kind, name)
        for kind in kinds
        for name in ("fit", "partial_fit")
        if isinstance(kind, type) and name in vars(kind)
    ]
    assert {kind for kind, _ in found} >= {type(model) for model, *_ in CASES.values()}
    for kind, name in found:
        assert hasattr(vars(kind)[name], "__wrapped__"), (kind, name)


def test_warnings_of_a_fit_point_at_its_caller() -> None:
    with pytest.warns(minivae.estimators.vae.UnscaledData) as told:
        VAE(**VAE_SETTINGS).fit(OTHER)
    assert [warning.filename for warning in told] == [__file__]
