"""Rows that count unequally: a weight of 2 is the row twice, of 0 none, of 1 for all as before."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks as checks

from minivae.backend import load_backend
from minivae.data.dataset import Dataset
from minivae.data.standard import Standard
from minivae.estimators.autoencoder import Autoencoder
from minivae.estimators.vae import VAE
from minivae.models.config import ConfigError, ModelConfig
from minivae.models.vae import elbo_backward, elbo_forward, layout_of
from minivae.parts import OBJECTIVES
from minivae.parts.objectives import Objective
from minivae.runs.config import TrainConfig
from minivae.training.heldout import Split, measure
from minivae.training.loop import train

rng = np.random.default_rng(4)
N, D, J = 24, 5, 2
X = rng.normal(size=(N, 2)) @ rng.normal(size=(2, D)) + 0.3 * rng.normal(size=(N, D))
TIMES = rng.integers(0, 4, size=N)
SMALL = {"hidden": (6,), "epochs": 3, "batch_size": 8}
TRAINED = [VAE(**SMALL), Autoencoder(1, hidden=(4,), steps=9, batch_size=8)]


def fitted_numbers(model) -> np.ndarray:
    theta = getattr(model, "theta_", None)
    return np.concatenate([p.ravel() for p in model.params_.values()]) if theta is None else theta


@pytest.mark.parametrize("settings", [{}, {"free_bits": 0.4}, {"objective": "iwae"}])
def test_a_weight_of_two_is_the_datum_twice(settings) -> None:
    config = ModelConfig(D, J, hidden=(6,), likelihood="gaussian", c="learned", draws=3, **settings)
    K, layout = load_backend("numpy"), layout_of(config)
    p = layout.views(rng.normal(size=layout.size) * 0.5)
    eps = rng.normal(size=(3, N, J))
    weight = TIMES / TIMES.mean()
    ends = []
    for x, e, w in (
        (X, eps, weight),
        (np.repeat(X, TIMES, axis=0), np.repeat(eps, TIMES, axis=1), None),
    ):
        loss, cache = elbo_forward(K, p, x, e, 0.7, config, w)
        g = elbo_backward(K, np.ones(()), cache, p, config)
        ends.append(np.append(layout.flatten(g, np.empty(layout.size)), loss))
    assert np.abs(ends[0] - ends[1]).max() <= 1e-12
    plain, _ = elbo_forward(K, p, X, eps, 0.7, config)
    assert abs(plain - ends[0][-1]) > 1e-3  # the weights do matter here


@pytest.mark.parametrize("model", TRAINED, ids=lambda m: type(m).__name__)
def test_equal_weights_change_no_bit_and_zero_leaves_a_row_out(model) -> None:
    plain = fitted_numbers(clone(model).fit(X))
    for same in (np.ones(N), np.full(N, 3), [0.25] * N):
        assert np.array_equal(fitted_numbers(clone(model).fit(X, sample_weight=same)), plain)
    there = rng.random(N) < 0.7
    assert np.array_equal(
        fitted_numbers(clone(model).fit(X, sample_weight=there.astype(int))),
        fitted_numbers(clone(model).fit(X[there])),
    )
    doubled = fitted_numbers(clone(model).fit(X, sample_weight=TIMES))
    assert np.array_equal(doubled, fitted_numbers(clone(model).fit(X, sample_weight=7.5 * TIMES)))
    assert np.abs(doubled - plain).max() > 1e-4


def test_weights_of_one_go_through_the_weighted_step_without_a_trace() -> None:
    rows = X.astype(np.float32)
    model = ModelConfig(D, J, hidden=(6,), likelihood="gaussian", c=1.0)
    ends = [
        train(
            model,
            TrainConfig(epochs=2, batch_size=8, patience=5, validation=0.2),
            Dataset(name="X", train=rows, test=rows[:0], weight=weight),
            load_backend("numpy"),
        )
        for weight in (None, np.ones(N))
    ]
    assert np.array_equal(ends[0].theta, ends[1].theta)
    assert ends[0].history[-1]["train"] == ends[1].history[-1]["train"]
    assert ends[0].history[-1]["held_out"] == ends[1].history[-1]["held_out"]


def test_on_average_a_weighted_update_is_that_of_repeated_rows() -> None:
    once = VAE(hidden=(6,), epochs=1, batch_size=999, optimiser="sgd", momentum=0.0, lr=1e-2,
               draws=1500, c=1.0, random_state=1)  # fmt: skip
    weighted = clone(once).fit(X, sample_weight=TIMES).theta_
    repeated = clone(once).fit(np.repeat(X, TIMES, axis=0)).theta_
    plain = clone(once).fit(X).theta_
    assert np.linalg.norm(weighted - repeated) <= 0.1 * np.linalg.norm(weighted - plain)


def test_standardised_and_held_out_rows_are_weighted_too() -> None:
    own, copies = Standard.of(X, weight=TIMES * 0.5), Standard.of(np.repeat(X, TIMES, axis=0))
    np.testing.assert_allclose(own.mean, copies.mean, rtol=1e-12)
    np.testing.assert_allclose(own.deviation, copies.deviation, rtol=1e-12)
    model = VAE(**SMALL, standardise=True).fit(X, sample_weight=TIMES)
    np.testing.assert_allclose(model.standard_.mean, copies.mean, rtol=1e-12)

    K, rows = load_backend("numpy"), X.astype(np.float32)
    for objective in ("elbo", "iwae"):
        draws = 3 if objective == "iwae" else 1
        config = ModelConfig(D, J, hidden=(6,), likelihood="gaussian", c=1.0, draws=draws,
                             objective=objective)  # fmt: skip
        theta = rng.normal(size=layout_of(config).size).astype(np.float32) * np.float32(0.3)

        def loss(which, weight=None, config=config, theta=theta):
            split = Split(np.arange(N), "valid", rows, np.asarray(which), weight)
            return measure(K, config, theta, split, TrainConfig(), 1.0)["loss"]

        expected = sum(w * loss([n]) for n, w in enumerate(TIMES)) / TIMES.sum()
        assert abs(loss(range(N), TIMES.astype(float)) - expected) <= 1e-4 * abs(expected)


def test_a_backend_without_such_a_step_says_so_and_agrees(capsys) -> None:
    pytest.importorskip("numba")
    reference = VAE(**SMALL).fit(X, sample_weight=TIMES)
    model = VAE(**SMALL, backend="numba", verbose=True).fit(X, sample_weight=TIMES)
    said = [line for line in capsys.readouterr().out.splitlines() if "weight" in line]
    assert said == [
        "note: numba: no fused kernel for rows of unequal weight, so each update runs op by op on "
        "its kernels (slower)"
    ]
    assert np.abs(model.theta_ - reference.theta_).max() <= 1e-5


@pytest.mark.parametrize("model", TRAINED, ids=lambda m: type(m).__name__)
def test_weights_that_cannot_be_are_one_line(model) -> None:
    for bad in (-np.ones(N), np.zeros(N), np.ones(N - 1), np.full(N, np.nan), np.ones((N, 2))):
        with pytest.raises(ValueError, match=r"^sample_weight .*\.$"):
            clone(model).fit(X, sample_weight=bad)
    with pytest.raises(TypeError, match="takes no weights: its settings are parameters"):
        clone(model).fit(X, weights=TIMES)


def test_an_objective_that_knows_no_weights_is_refused() -> None:
    elbo = OBJECTIVES["elbo"]
    OBJECTIVES.add(Objective("plain", elbo.forward, elbo.backward))
    try:
        with pytest.raises(ConfigError, match=r"objective = 'plain': .*takes no sample_weight"):
            VAE(**SMALL, objective="plain").fit(X, sample_weight=TIMES)
    finally:
        OBJECTIVES.remove("plain")


def test_a_fit_that_goes_on_takes_other_weights() -> None:
    model = VAE(**SMALL, warm_start=True).fit(X, sample_weight=TIMES)
    assert model.fit(X, sample_weight=TIMES[::-1]).epochs_done_ == 6
    assert model.partial_fit(X, sample_weight=TIMES).epochs_done_ == 7
    kept = VAE(**SMALL).fit(X, sample_weight=TIMES).history_["train_loss"]
    assert kept != VAE(**SMALL).fit(X).history_["train_loss"]


@pytest.mark.estimators
@pytest.mark.parametrize("model", TRAINED, ids=lambda m: type(m).__name__)
def test_scikit_learns_checks_of_weights(model) -> None:
    """All but that of repeated rows, which asks training by draws and batches for equal numbers."""
    pytest.importorskip("pandas")
    named = ("pandas_series", "not_an_array", "list", "shape", "not_overwritten")
    asked = [getattr(checks, f"check_sample_weights_{name}") for name in named]
    newer = getattr(checks, "check_all_zero_sample_weights_error", None)  # not in older versions
    for check in [*asked, *([newer] if newer else [])]:
        check(type(model).__name__, clone(model))


@pytest.mark.parametrize("model", TRAINED, ids=lambda m: type(m).__name__)
def test_a_pipeline_hands_weights_on(model) -> None:
    name = type(model).__name__.lower()
    scaled = StandardScaler().fit_transform(X)
    expected = fitted_numbers(clone(model).fit(scaled, sample_weight=TIMES))
    line = make_pipeline(StandardScaler(), clone(model))
    line.fit(X, **{f"{name}__sample_weight": TIMES})
    assert np.array_equal(fitted_numbers(line[-1]), expected)
    with sklearn.config_context(enable_metadata_routing=True):
        asks = clone(model).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        line = make_pipeline(scaler, asks).fit(X, sample_weight=TIMES)
        assert np.array_equal(fitted_numbers(line[-1]), expected)
