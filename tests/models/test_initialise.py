"""Where the parameters begin: by each rule within its bounds, and at the data's mean if asked."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.runs.config import TrainConfig
from minivae.runs.start import first_state
from minivae.settings import ConfigError
from tests.training.child_run import run_here, small_data

MODEL = ModelConfig(data_dim=23, latent_dim=3, hidden=(400,), likelihood="gaussian", c="learned")


def views(rule: str) -> dict[str, np.ndarray]:
    return layout_of(MODEL).views(initialise(MODEL, 0, rule=rule))


def test_fan_in_is_uniform_over_the_inputs_root_in_weights_and_biases():
    for name, layer in (("encoder.0", 23), ("decoder.out", 400)):
        for end in (".W", ".b"):
            values = views("fan-in")[name + end]
            assert np.abs(values).max() <= 1 / np.sqrt(layer)
            assert np.abs(values).max() >= 0.8 / np.sqrt(layer)
            assert abs(values.mean()) <= 0.3 / np.sqrt(layer)


def test_normal_has_variance_a_hundredth_and_leaves_the_scale_alone():
    p = views("normal")
    assert p["encoder.0.W"].var() == pytest.approx(0.01, rel=0.05)
    assert p["encoder.0.b"].var() == pytest.approx(0.01, rel=0.3)
    assert p["decoder.logc"] == 0


def test_the_narrower_normal_is_a_tenth_of_the_other():
    wide, narrow = views("normal"), views("normal-0.01")
    for name in wide:
        assert np.allclose(10 * narrow[name], wide[name], rtol=1e-6)
    assert narrow["encoder.0.W"].std() == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("rule", ["glorot", "fan-in", "normal", "normal-0.01"])
def test_tensors_do_not_share_their_draws(rule):
    p = views(rule)
    assert not np.isclose(p["encoder.mu.W"] / p["encoder.logvar.W"], 1).any()


def test_output_bias_mean_decodes_the_mean_of_the_training_rows():
    data = small_data()
    model = ModelConfig(data_dim=23, latent_dim=3, hidden=())
    state = first_state(model, TrainConfig(output_bias="mean"), data)
    bias = layout_of(model).views(state.theta)["decoder.out.b"].astype(np.float64)
    mean = np.clip(data.values("train").mean(axis=0), 0.001, 0.999)
    assert np.allclose(1 / (1 + np.exp(-bias)), mean, atol=1e-5)


def test_settings_that_cannot_be():
    with pytest.raises(ConfigError, match="glorot, fan-in, normal"):
        TrainConfig(initialisation="fanin")
    for steps in ([[2, 0.5], [1, 0.1]], [[0, 0.5]], [[1, 0]], [[1]], 3, [[1, float("nan")]]):
        with pytest.raises(ConfigError, match="lr_steps"):
            TrainConfig(lr_steps=steps)
    with pytest.raises(ConfigError, match="bernoulli, gaussian"):
        run_here({"model": {"likelihood": "laplace"}, "train": {"output_bias": "mean"}}, None)
