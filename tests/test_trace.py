"""The walk of one datum: every op written down, every gradient beside its complex step."""

from __future__ import annotations

import types

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.trace import inside, walk

CONFIGS = [
    ModelConfig(7, 3, (5, 4)),
    ModelConfig(7, 3, (5,), "tanh", "gaussian", "learned", draws=2, free_bits=0.02),
    ModelConfig(6, 2, (), likelihood="gaussian", c=0.3),
]


def walked(config, K=None):
    layout = layout_of(config)
    rng = np.random.default_rng(5)
    theta = initialise(config, 1, "float64") + 0.1 * rng.normal(size=layout.size)
    x = rng.uniform(size=(1, config.data_dim))
    eps = rng.normal(size=(config.draws, 1, config.latent_dim))
    return walk(K or load_backend("numpy"), layout.views(theta), x, eps, 0.7, config)


@pytest.mark.parametrize("config", CONFIGS, ids=["relu", "tanh-learned-c", "linear"])
def test_every_gradient_stands_beside_its_complex_step(config):
    result = walked(config)
    assert all(gradient.worst <= 5e-15 for gradient in result.gradients)
    named = {f"{g.layer}.{g.argument}" for g in result.gradients if g.layer}
    tensors = {e.name for e in layout_of(config).entries if e.name != "decoder.logc"}
    assert tensors <= named
    assert all(call.equations for call in result.forward)


def test_a_wrong_backward_is_seen():
    K = load_backend("numpy")
    wrong = types.SimpleNamespace(
        **{
            **vars(K),
            "kl_backward": lambda dkl, mu, logvar: (
                dkl * mu,
                dkl * 0.5 * np.exp(logvar),
            ),
        }
    )
    wrong.__dict__["kl_backward"].__doc__ = "(E16)"
    result = walked(CONFIGS[0], wrong)
    bad = [(g.op, g.argument) for g in result.gradients if not g.worst <= 5e-15]
    assert bad[0] == ("kl_backward", "logvar")  # all that follows stands on it


def test_only_one_datum_walks():
    with pytest.raises(ValueError, match="x has 2 rows"):
        walk(None, {}, np.zeros((2, 7)), np.zeros((1, 2, 3)), 1.0, CONFIGS[0])


@pytest.mark.parametrize("config", CONFIGS, ids=["relu", "tanh-learned-c", "linear"])
def test_what_is_printed_inside_an_op_makes_up_its_result(config):
    """By hand from the printed numbers alone: z from μ, σ and ε; the nll from its parts."""
    calls = {call.op: call for call in walked(config).forward}
    draw = calls["reparameterise_forward"]
    _, sigma, noise = (part.value for part in inside(draw))
    assert np.array_equal(draw.arguments["mu"] + noise, draw.results[0])
    assert np.allclose(sigma**2, np.exp(draw.arguments["logvar"]), rtol=1e-15, atol=0)
    nll = next(call for op, call in calls.items() if "nll" in op)
    parts = {part.words: part.value for part in inside(nll)}
    if "variance c" in parts:
        square, c = parts["squared error |x - f(z)|^2"], parts["variance c"]
        by_hand = square / (2 * c) + parts["constant D/2 log(2 pi c)"]
        assert np.array_equal(parts["squared error / (2 c)"], square / (2 * c))
    else:
        by_hand = parts["sum of softplus(a)"] - parts["sum of x * a"]
    assert np.abs(by_hand - nll.results[0]).max() <= 1e-13 * np.abs(nll.results[0]).max()


@pytest.mark.parametrize("config", CONFIGS[:2], ids=["relu", "tanh-learned-c"])
def test_two_paths_meet_and_their_sum_is_what_the_heads_get(config):
    """Of one datum, the gradient that reaches a head is the gradient of that head's bias."""
    result = walked(config)
    bias = {g.layer: g.hand for g in result.gradients if g.argument == "b"}
    mu, logvar = result.meetings()
    assert np.array_equal(mu.total[0], bias["encoder.mu"])
    assert np.array_equal(logvar.total[0], bias["encoder.logvar"])
    assert np.abs(mu.by_kl).max() > 0 and np.abs(mu.by_draw).max() > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "iwae", "draws": 4},
        {"activation": "gelu", "likelihood": "continuous-bernoulli"},
        {"likelihood": "laplace", "c": "learned", "activation": "elu"},
        {"likelihood": "categorical", "groups": (2, 5)},
    ],
)
def test_every_part_can_be_walked(settings):
    config = ModelConfig(7, 3, hidden=(5,), **settings)
    rng = np.random.default_rng(3)
    theta = initialise(config, 0, "float64") + 0.1 * rng.normal(size=layout_of(config).size)
    x = rng.random((1, 7))
    K = load_backend("numpy")
    found = walk(K, layout_of(config).views(theta), x, rng.normal(size=(config.draws, 1, 3)),
                  0.7, config)  # fmt: skip
    assert max(gradient.worst for gradient in found.gradients) <= 1e-13
