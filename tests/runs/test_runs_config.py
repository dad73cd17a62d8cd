"""Training settings: wrong ones are named in one line, and they survive being written down."""

from __future__ import annotations

import pytest

from minivae.models.config import ConfigError, ModelConfig
from minivae.runs.config import PLACE_ONLY, TrainConfig, check_together


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.0),
        ("epochs", True),
        ("batch_size", -3),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("lr", "fast"),
        ("momentum", 1.0),
        ("beta1", 1.0),
        ("adam_eps", 0.0),
        ("adam_eps", 1e-46),
        ("beta2", -0.1),
        ("warmup", -1),
        ("optimiser", "adamm"),
        ("binarise", "dynamc"),
        ("seed", -1),
        ("seed", 2**64),
        ("threads", 0),
        ("patience", 0),
        ("validation", 0.0),
        ("validation", 1.0),
        ("validation", float("nan")),
        ("keep", 0),
        ("checkpoint_every", 0),
        ("checkpoint_seconds", -1.0),
        ("dataset", ""),
    ],
)
def test_a_wrong_value_is_named_in_one_line(key, value):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**{key: value})
    text = str(caught.value)
    assert key in text and repr(value) in text and "\n" not in text


@pytest.mark.parametrize(
    ("optimiser", "setting", "value", "says"),
    [
        ("sgd", "momentum", 1.0, "below 1"),
        ("adam", "beta1", 1.0, "below 1"),
        ("adamw", "beta2", 1, "below 1"),
        ("rmsprop", "decay", 1.5, "below 1"),
        ("adam", "beta2", float("nan"), "finite"),
        *(
            (optimiser, "eps", value, "at least 1.2e-38")
            for optimiser in ("adam", "adamw", "adagrad", "rmsprop")
            for value in (0, 1e-46)
        ),
    ],
)
def test_a_setting_of_the_optimiser_is_held_to_its_bounds(optimiser, setting, value, says):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(optimiser=optimiser, optimiser_settings={setting: value})
    text = str(caught.value)
    assert text.startswith(f"{setting} = ") and says in text and "\n" not in text


def test_the_nearest_choice_is_offered():
    with pytest.raises(ConfigError, match="did you mean 'dynamic'"):
        TrainConfig(binarise="dynamc")


def test_it_survives_being_written_down():
    config = TrainConfig(epochs=7, warmup=1.5, threads=2, validation=0.2, seed=2**63)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_an_unknown_key_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'batchsize'.*did you mean 'batch_size'"):
        TrainConfig.from_dict({"batchsize": 3})


def test_a_checkpoint_holds_nothing_about_the_place():
    assert not PLACE_ONLY & set(TrainConfig(threads=2).for_checkpoint())
    one, two = (TrainConfig(threads=n, keep=n).for_checkpoint() for n in (1, 2))
    assert one == two


def test_binary_targets_need_the_bernoulli_likelihood():
    model = ModelConfig(data_dim=3, likelihood="gaussian")
    with pytest.raises(ConfigError, match="bernoulli"):
        check_together(model, TrainConfig(binarise="dynamic"))
