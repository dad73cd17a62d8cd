"""The objective's conversions, each checked against the loss that the model really computes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.explain import ObjectiveSettings, explain, text
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import elbo_forward, layout_of

K = load_backend("numpy")
B, D, J = 6, 9, 4


def terms(config: ModelConfig) -> tuple[float, float, float, np.ndarray, np.ndarray]:
    """loss, reconstruction, KL, decoder output and data of one random batch."""
    rng = np.random.default_rng(8)
    p = layout_of(config).views(initialise(config, 3, "float64"))
    x, eps = rng.random((B, D)), rng.normal(size=(1, B, J))
    loss, cache = elbo_forward(K, p, x, eps, config.beta, config)
    return float(loss), float(cache.nll.mean()), float(cache.kl.sum() / B), cache.out[0], x


def weight(explanation: dict, words: str) -> float:
    rows = [r["value"] for r in explanation["conversions"] if words in r["convention"]]
    assert len(rows) == 1, rows
    return rows[0]


@pytest.mark.parametrize(("c", "beta"), [(0.07, 1.0), (0.4, 2.5), (3.0, 0.3)])
def test_every_gaussian_convention_is_the_same_loss_up_to_scale_and_constant(
    c: float, beta: float
) -> None:
    config = ModelConfig(D, J, hidden=(5,), likelihood="gaussian", c=c, beta=beta)
    loss, nll, kl, mean, x = terms(config)
    e = explain(ObjectiveSettings(D, J, "gaussian", c=c, beta=beta))
    squared = float(((x - mean) ** 2).sum() / B)
    constant = 0.5 * D * math.log(2 * math.pi * c)
    assert loss == pytest.approx(nll + beta * kl)
    for words, error, scale in [
        ("sum of squared errors + w * KL", squared, 1.0),
        ("half the sum of squared errors", squared / 2, 0.5),
        ("mean squared error over pixels", squared / D, 1 / D),
    ]:
        if words.startswith("sum"):
            rows = [r for r in e["conversions"] if r["convention"] == words]
            w = rows[0]["value"]
        else:
            w = weight(e, words)
        theirs = error + w * kl
        assert (theirs / scale) / (2 * c) + constant == pytest.approx(loss)
    mean_both = squared / D + weight(e, "mean squared error + w * mean over latent") * kl / J
    assert mean_both * D / (2 * c) + constant == pytest.approx(loss)
    article = weight(e, "article's form") * squared + kl
    assert beta * article + constant == pytest.approx(loss)
    assert e["setting"]["C"] == pytest.approx(1 / (2 * c))
    assert e["setting"]["sigma"] ** 2 == pytest.approx(c)


def test_c_at_beta_1_has_the_same_optimum() -> None:
    e = explain(ObjectiveSettings(D, J, "gaussian", c=0.2, beta=3.0))
    equivalent = e["setting"]["c_at_beta_1"]
    config = ModelConfig(D, J, hidden=(5,), likelihood="gaussian", c=0.2, beta=3.0)
    same = ModelConfig(D, J, hidden=(5,), likelihood="gaussian", c=equivalent, beta=1.0)
    ours, theirs = terms(config), terms(same)
    constant = 0.5 * D * math.log(2 * math.pi * 0.2)
    shifted = 0.5 * D * math.log(2 * math.pi * equivalent)
    assert (ours[0] - constant) / 3.0 == pytest.approx(theirs[0] - shifted)


def test_bernoulli_pixel_mean_weights() -> None:
    config = ModelConfig(D, J, hidden=(5,), beta=0.7)
    loss, nll, kl, _, _ = terms(config)
    e = explain(ObjectiveSettings(D, J, beta=0.7))
    assert (nll / D + weight(e, "'kld weight'") * kl) * D == pytest.approx(loss)
    both = nll / D + weight(e, "+ w * mean over latent") * kl / J
    assert both * D == pytest.approx(loss)
    assert e["setting"]["c"] is None


def test_formula_constant_is_the_losses_own() -> None:
    e = explain(ObjectiveSettings(784, 20, "gaussian", c=0.05))
    assert "10 * |x - f(z)|^2 -453.879" in e["reconstruction"]


def test_words_for_grey_targets_warmup_free_bits_beta_and_learned_c() -> None:
    grey = " ".join(explain(ObjectiveSettings(D, J))["remarks"])
    assert "cross-entropy" in grey and "entropy, not 0" in grey
    binary = " ".join(explain(ObjectiveSettings(D, J, binarise="dynamic"))["remarks"])
    assert "true likelihood" in binary and "cross-entropy" not in binary
    much = explain(ObjectiveSettings(D, J, "gaussian", c="learned", learned_c=0.03, beta=2.0,
                             warmup=5, free_bits=0.25, draws=3))  # fmt: skip
    words = " ".join(much["remarks"])
    for part in ("now 0.03", "over the first 5 epochs", "0.25 nats", "never falls below 2 nats"):
        assert part in words
    assert "2 nats once the warm-up is over." in words
    sudden = explain(ObjectiveSettings(D, J, free_bits=0.25))
    assert "never falls below 1 nats." in " ".join(sudden["remarks"])
    assert "beta(t)" in much["loss"] and "max(0.25" in much["loss"] and "3 draws" in much["loss"]
    assert "0.03" in text(much)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data_dim": 0}, "data_dim is 0"),
        ({"likelihood": "fish"}, "must be one of"),
        ({"likelihood": "gaussian", "c": -1.0}, "must be positive"),
        ({"likelihood": "gaussian", "c": float("nan")}, "must be positive"),
        ({"likelihood": "gaussian", "c": "auto"}, "or learned"),
        ({"beta": -0.1}, "beta is -0.1"),
        ({"beta": float("nan")}, "beta is nan"),
    ],
)
def test_nonsense_is_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain(ObjectiveSettings(**({"data_dim": D} | wrong)))


def test_beta_zero_has_no_article_form() -> None:
    e = explain(ObjectiveSettings(D, J, "gaussian", c=0.2, beta=0.0))
    assert not any("article" in r["convention"] for r in e["conversions"])
    assert e["setting"]["c_at_beta_1"] is None


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_the_logarithm_of_a_mean_converts_to_nothing(likelihood: str, beta: float) -> None:
    """iwae: c and beta do not scale against each other, and another beta makes no bound."""
    c = 0.2 if likelihood == "gaussian" else 1.0
    e = explain(ObjectiveSettings(D, J, likelihood, c=c, beta=beta, draws=5, objective="iwae"))
    words = " ".join(e["remarks"])
    assert e["conversions"] == [] and e["setting"]["c_at_beta_1"] is None
    for false in ("one knob: only", "Same f, g and h", "still a bound", "no longer a bound"):
        assert false not in words
    assert ("no bound on -log p(x)" in words) == (beta != 1)
    assert ("two knobs" in words) == (likelihood == "gaussian" and beta != 1)
    assert "as others write it" not in text(e) and "log [mean over 5 draws of w]" in text(e)


def test_of_the_logarithm_of_a_mean_no_c_has_the_optimum_of_another_beta() -> None:
    """What the ELBO's `c_at_beta_1` promises, the importance-weighted bound breaks."""
    losses = []
    for c, beta in ((0.2, 3.0), (0.6, 1.0)):
        config = ModelConfig(D, J, hidden=(5,), likelihood="gaussian", c=c, beta=beta,
                             objective="iwae", draws=4)  # fmt: skip
        rng = np.random.default_rng(8)
        x, found = rng.random((B, D)), []
        for seed in range(3):
            p = layout_of(config).views(initialise(config, seed, "float64"))
            eps = np.random.default_rng(seed).normal(size=(4, B, J))
            found.append(float(elbo_forward(K, p, x, eps, beta, config)[0]))
        losses.append(np.diff(found) / beta)  # equal but for a constant, were it one knob
    assert np.abs(losses[0] - losses[1]).max() > 1e-3


def test_the_learned_c_of_a_bound_of_many_draws() -> None:
    e = explain(ObjectiveSettings(D, J, "gaussian", c="learned", draws=5, objective="iwae"))
    assert "each draw by its share of the weights" in " ".join(e["remarks"])


def test_the_elbo_by_sampling_converts() -> None:
    given = {"data_dim": D, "likelihood": "gaussian", "c": 0.2, "beta": 3.0}
    sampled = explain(ObjectiveSettings(**given, objective="sampled-elbo"))
    assert sampled["conversions"] == explain(ObjectiveSettings(**given))["conversions"] != []
