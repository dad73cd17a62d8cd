"""Each likelihood integrates to 1, has the mean and draws it says, and refuses other data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from minivae import VAE, ops
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.targets import check_targets
from minivae.models.config import ConfigError, ModelConfig
from minivae.parts import LIKELIHOODS, domains
from minivae.parts.likelihoods import Noise

OUT = np.array([-2.3, -0.4, 0.0, 1e-4, 0.7, 3.1])
EXTRA = {
    name: (np.full(part.scale.shape(1), -0.5),)
    for name, part in LIKELIHOODS.items()
    if part.scale is not None
}
REAL = np.linspace(-60, 60, 240_001)
UNIT = np.linspace(0, 1, 20_001)
COUNTS = np.arange(4000.0)


def density(name: str, out: float, x: np.ndarray) -> np.ndarray:
    """p(x | z) of one feature at every x."""
    at = np.full((1, len(x), 1), out)
    return np.exp(-LIKELIHOODS[name].forward(at, x[:, None], *EXTRA.get(name, ())))[0]


def moments(name: str, out: float) -> tuple[float, float]:
    """The integral of the density and the mean, by quadrature or by adding."""
    domain = LIKELIHOODS[name].domain
    points = REAL if domain is domains.REAL else UNIT if domain is domains.UNIT else COUNTS
    p = density(name, out, points)
    if points is COUNTS:
        return float(p.sum()), float((p * points).sum())
    return float(trapezoid(p, points)), float(trapezoid(p * points, points))


NAMES = [name for name, part in LIKELIHOODS.items() if not part.grouped and not part.binary]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("out", OUT)
def test_it_is_a_density_with_the_mean_it_says(name, out):
    total, mean = moments(name, out)
    said = LIKELIHOODS[name].mean(ops, np.full((1, 1), out), *EXTRA.get(name, ()))[0, 0]
    assert total == pytest.approx(1, abs=2e-6)
    assert said == pytest.approx(mean, rel=3e-6, abs=3e-6)


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_that_mean(name):
    rng, n = np.random.default_rng(5), 40_000
    out = np.full((n, 2), 0.7)
    extra = EXTRA.get(name, ())
    mean = LIKELIHOODS[name].mean(ops, out, *extra)
    noise = Noise(lambda: rng.random((n, 2)), lambda: rng.normal(size=(n, 2)))
    x = LIKELIHOODS[name].draw(mean, out, noise, *extra)
    error = x.std() / np.sqrt(x.size)
    assert x.dtype == np.float32
    assert abs(x.mean() - mean[0, 0]) <= 5 * error


def test_the_categorical_is_a_softmax_over_its_groups():
    part, groups = LIKELIHOODS["categorical"], (2, 3)
    rng = np.random.default_rng(1)
    out = rng.normal(size=(1, 4, 5))
    x = np.zeros((4, 5))
    x[:, 1] = x[:, 4] = 1
    p = part.mean(ops, out[0], groups)
    assert np.allclose(p[:, :2].sum(1), 1) and np.allclose(p[:, 2:].sum(1), 1)
    assert np.allclose(part.forward(out, x, groups)[0], -np.log(p[:, 1] * p[:, 4]))
    many = np.repeat(out[0][:1], 50_000, axis=0)
    noise = Noise(lambda: rng.random(many.shape), lambda: many)
    drawn = part.draw(part.mean(ops, many, groups), many, noise, groups)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert np.allclose(drawn.mean(0), p[0], atol=0.01)


def test_the_counts_agree_with_scipy():
    x = np.arange(12.0)
    r, mean = np.exp(EXTRA["negative-binomial"][0].item()), np.exp(0.7)
    expected = stats.nbinom.pmf(x, r, r / (r + mean))
    assert np.allclose(density("negative-binomial", 0.7, x), expected, rtol=1e-12)
    assert np.allclose(density("poisson", 0.7, x), stats.poisson.pmf(x, mean), rtol=1e-12)


@pytest.mark.parametrize(
    ("likelihood", "value", "says"),
    [
        ("poisson", -1.0, "counts"),
        ("poisson", 0.5, "counts"),
        ("negative-binomial", 2.25, "counts"),
        ("continuous-bernoulli", 1.5, r"\[0, 1\]"),
        ("bernoulli", np.nan, r"\[0, 1\]"),
    ],
)
def test_data_that_a_likelihood_cannot_have(likelihood, value, says):
    rows = np.ones((6, 3), np.float32)
    rows[4, 1] = value
    with pytest.raises(DataError, match=rf"row 4, column 1.*{says}"):
        check_targets(Dataset("mine", rows, rows[:0]), likelihood)


def test_groups_have_to_fit():
    rows = np.float32([[1, 0, 0, 1], [0, 1, 0.5, 0.2]])
    with pytest.raises(DataError, match=r"row 1, column 2.*sum to 1"):
        check_targets(Dataset("mine", rows, rows[:0]), "categorical", groups=(2, 2))
    with pytest.raises(ConfigError, match="add up to the 4 columns"):
        ModelConfig(4, likelihood="categorical", groups=(2, 3))
    with pytest.raises(ConfigError, match="knows no groups"):
        ModelConfig(4, groups=(2, 2))


@pytest.mark.parametrize("name", [n for n, part in LIKELIHOODS.items() if not part.grouped])
def test_an_estimator_trains_with_it(name):
    rng = np.random.default_rng(2)
    X = (rng.poisson(3.0, (60, 7)) if LIKELIHOODS[name].domain.words.startswith("counts")
         else rng.random((60, 7)))  # fmt: skip
    model = VAE(likelihood=name, hidden=(8,), epochs=3, lr=1e-2).fit(X)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert np.isfinite(model.sample(5)).all()
    assert np.isfinite(model.log_likelihood(X[:9], samples=20)).all()


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("scale", [None, 2.0])
def test_its_formula_counts_the_features_once(name, scale):
    """Laplace's had D logarithms in each of D terms."""
    assert LIKELIHOODS[name].formula(97, scale).count("97") <= 1


def test_laplaces_formula_is_its_loss():
    text = LIKELIHOODS["laplace"].formula(5, None)
    sum_of, term = text.removeprefix("-log p(x|z) = ").split(" of ")
    out, x = np.zeros((1, 1, 5)), np.linspace(-1, 2, 5)[None]
    by_text = sum(
        eval(term.replace("|x - f(z)|", "a").replace("log(2 b)", "log(2 * b)"),
             {"a": abs(v), "b": 0.3, "log": np.log})
        for v in x[0]
    )  # fmt: skip
    assert sum_of == "sum over 5 features"
    loss = LIKELIHOODS["laplace"].forward(out, x, np.log(0.3))[0, 0]
    assert loss == pytest.approx(by_text, rel=1e-12)
