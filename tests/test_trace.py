"""The walk of one datum: every op written down, every gradient beside its complex step."""

from __future__ import annotations

import types

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.trace import walk

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
