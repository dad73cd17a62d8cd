"""The scikit-learn estimators with backend="cupy", on the strict stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_cupy import FakeCupy

from minivae import VAE
from minivae.estimators.autoencoder import Autoencoder

SETTINGS: dict[str, dict[str, Any]] = {
    "gaussian": {},
    "early stopping": {"patience": 2, "activation": "tanh"},
    "dynamic": {"likelihood": "bernoulli", "binarise": "dynamic", "hidden": ()},
}


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(size=(60, 9))


@pytest.mark.parametrize("settings", SETTINGS)
def test_vae(cupy: FakeCupy, X: np.ndarray, settings: str, tmp_path: Path) -> None:
    common = {"epochs": 3, "hidden": (7,), "batch_size": 20, **SETTINGS[settings]}
    mine, theirs = (VAE(backend=name, **common).fit(X) for name in ("cupy", "numpy"))
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(mine.transform(X), theirs.transform(X), rtol=1e-2, atol=1e-3)
    for figures in ("log_likelihood", "elbo"):
        a, b = (getattr(model, figures)(X, samples=5) for model in (mine, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-2)
    loaded = VAE.load(mine.save(tmp_path / "model"))
    assert loaded.backend == "cupy" and loaded.score(X) == mine.score(X)
    assert type(mine.theta_) is np.ndarray


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_autoencoder(cupy: FakeCupy, X: np.ndarray, hidden: tuple[int, ...]) -> None:
    common = {"latent_dim": 2, "hidden": hidden, "activation": "tanh", "steps": 20}
    mine, theirs = (
        Autoencoder(backend=name, **common).fit(X.astype(np.float32)) for name in ("cupy", "numpy")
    )
    np.testing.assert_allclose(mine.losses_, theirs.losses_, rtol=1e-4)
    np.testing.assert_allclose(mine.transform(X), theirs.transform(X), rtol=1e-2, atol=1e-3)
    assert all(type(tensor) is np.ndarray for tensor in mine.params_.values())
