"""A model's configuration: what it refuses, and its way to JSON and back."""

from __future__ import annotations

import pytest

from minivae.models.config import ConfigError, ModelConfig
from minivae.models.vae import layout_of


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latent_dim": 0}, "latent_dim = 0: must be a whole number of at least 1"),
        ({"latent_dim": 2.0}, "latent_dim = 2.0"),
        ({"hidden": (5, -3)}, "hidden = -3"),
        ({"hidden": 5}, "hidden = 5: must be a list"),
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"likelihood": "normal"}, "must be one of bernoulli, gaussian"),
        ({"c": 0.0}, "c = 0.0: must be a finite number above 0"),
        ({"c": "lerned"}, "must be a number above 0 or 'learned'"),
        ({"beta": float("nan")}, "beta = nan"),
        ({"free_bits": -0.1}, "free_bits = -0.1"),
        ({"draws": True}, "draws = True"),
    ],
)
def test_impossible_values_are_named(change, words):
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        ModelConfig(data_dim=7, **change)


def test_round_trip_and_unknown_key():
    config = ModelConfig(7, 3, (5, 4), "tanh", "gaussian", "learned", 0.7, 0.1, 2)
    assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match=r"unknown key 'laten_dim'.*'latent_dim'"):
        ModelConfig.from_dict({"data_dim": 7, "laten_dim": 3})
    with pytest.raises(ConfigError, match="data_dim is missing"):
        ModelConfig.from_dict({"latent_dim": 3})
    assert ModelConfig.from_dict({"data_dim": 7, "hidden": [5, 4]}).hidden == (5, 4)


def test_layout_names_and_shapes():
    config = ModelConfig(7, 3, (5, 4), likelihood="gaussian", c="learned")
    shapes = {entry.name: entry.shape for entry in layout_of(config).entries}
    assert list(shapes) == [
        *("encoder.0.W", "encoder.0.b", "encoder.1.W", "encoder.1.b"),
        *("encoder.mu.W", "encoder.mu.b", "encoder.logvar.W", "encoder.logvar.b"),
        *("decoder.0.W", "decoder.0.b", "decoder.1.W", "decoder.1.b"),
        *("decoder.out.W", "decoder.out.b", "decoder.logc"),
    ]
    assert shapes["encoder.0.W"] == (7, 5)
    assert shapes["decoder.0.W"] == (3, 4)
    assert shapes["decoder.out.W"] == (5, 7)
    assert shapes["decoder.logc"] == ()
