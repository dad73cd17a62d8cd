"""How `minivae train` settles its settings: the data's defaults, then --config, then options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from minivae.cli.common import UsageFault, parse_c, parse_sizes, suggestion
from minivae.cli.defaults import defaults_for, likelihood_for
from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig

MODEL_KEYS = tuple(f.name for f in fields(ModelConfig) if f.name != "data_dim")
TRAIN_KEYS = tuple(f.name for f in fields(TrainConfig) if f.name != "dataset")
# The command line's words for keys whose names differ.
ALIASES = {"latent": "latent_dim"}
PLACE_KEYS = ("dataset", "data_dir", "out")
TEXT_KEYS = (*PLACE_KEYS, "backend")
OTHER_PARTS = ("data", "versions")  # a run's config.json has them; nothing is read from there


def read_config_file(path: Path) -> dict[str, Any]:
    """The settings in a JSON file: flat, or in the parts "model" and "train" as a run's own.

    Raises UsageFault for a file that is missing or no JSON object, or holds an unknown key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        why = getattr(fault, "strerror", None) or "it is no text"
        raise UsageFault(f"--config {path}: cannot be read ({why})") from None
    try:
        values = json.loads(text)
    except ValueError as fault:
        raise UsageFault(f"--config {path}: no valid JSON ({fault})") from None
    if not isinstance(values, dict):
        raise UsageFault(f"--config {path}: must hold an object {{...}} of settings")
    return flatten(values, path)


def flatten(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The settings by their own names, each known."""
    known = (*MODEL_KEYS, *TRAIN_KEYS, *ALIASES, *PLACE_KEYS)
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = ALIASES.get(key.replace("-", "_"), key.replace("-", "_"))
        if key in ("model", "train") and isinstance(value, dict):
            flat |= flatten({k: v for k, v in value.items() if k != "data_dim"}, path)
        elif name in known:
            flat[name] = value
        elif key not in OTHER_PARTS:
            raise UsageFault(f"--config {path}: unknown key {key!r}{suggestion(key, known)}")
    for name in TEXT_KEYS:
        if not isinstance(flat.get(name), (str, type(None))):
            raise UsageFault(f"--config {path}: {name} = {flat[name]!r}: must be text")
    if isinstance(flat.get("hidden"), str):
        flat["hidden"] = parse_sizes(flat["hidden"])
    if isinstance(flat.get("hidden"), list):
        flat["hidden"] = tuple(flat["hidden"])
    return flat


def parse_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, by the settings' names."""
    given = {ALIASES.get(k, k): v for k, v in options.items() if v is not None}
    if "hidden" in given:
        given["hidden"] = parse_sizes(given["hidden"])
    if "c" in given:
        given["c"] = parse_c(given["c"])
    return given


def settle(
    dataset: Dataset, name: str, settings: Mapping[str, Any], backend: str
) -> tuple[ModelConfig, TrainConfig]:
    """Model and training configurations for the data; `settings` win over its defaults.

    Raises ConfigError, one line, where a value cannot be.
    """
    values = defaults_for(dataset.name) | likelihood_for(dataset) | dict(settings)
    if "c" in settings and "likelihood" not in settings:
        values["likelihood"] = "gaussian"  # only the Gaussian has a c
    if settings.get("binarise", "none") != "none" and "likelihood" not in settings:
        values["likelihood"] = "bernoulli"  # and 0 / 1 targets are coin flips
    if values["likelihood"] == "gaussian" and "c" not in settings:
        values["c"] = "learned"
    if values["likelihood"] == "bernoulli":
        if "c" in settings:
            raise UsageFault("--c belongs to --likelihood gaussian; the Bernoulli one has --beta")
        values["c"] = 1.0
    model = {key: values[key] for key in MODEL_KEYS if key in values}
    train = {key: values[key] for key in TRAIN_KEYS if key in values}
    return (
        ModelConfig(data_dim=dataset.data_dim, **model),
        TrainConfig(dataset=name, **{**train, "backend": backend}),
    )


def settings_of_run(
    path: Path, settings: Mapping[str, Any]
) -> tuple[ModelConfig, TrainConfig, dict[str, Any]]:
    """A run's own configurations with the settings that were given anew, to resume it.

    What may not change is refused by the training loop, which names it.
    """
    from minivae.runs.load import load_run

    info = load_run(path)
    model = {**info.model.to_dict(), **{k: settings[k] for k in MODEL_KEYS if k in settings}}
    changes = {k: settings[k] for k in TRAIN_KEYS if k in settings}
    return ModelConfig.from_dict(model), info.train.with_changes(**changes), info.data
