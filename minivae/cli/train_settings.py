"""How `minivae train` settles its settings: the data's defaults, then --config, then options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, Self

from minivae.cli.backends import choose_backend
from minivae.cli.console import Console
from minivae.cli.defaults import defaults_for, likelihood_for
from minivae.cli.options import UsageError, parse_c, parse_sizes, suggestion
from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig

MODEL_KEYS = tuple(f.name for f in fields(ModelConfig) if f.name != "data_dim")
TRAIN_KEYS = tuple(f.name for f in fields(TrainConfig) if f.name != "dataset")
# The command line's words for keys whose names differ.
ALIASES = {"latent": "latent_dim"}
PLACE_KEYS = ("dataset", "data_dir", "out")
TEXT_KEYS = (*PLACE_KEYS, "backend")
NO_SETTINGS = ("config", "resume", "pictures", "as_json", "quiet")  # of the command alone
OTHER_PARTS = ("data", "versions")  # a run's config.json has them; nothing is read from there


class TrainOptions(NamedTuple):
    """What was asked for: the options that were given over those in --config's file."""

    settings: dict[str, Any]  # the model's and the training's, by their own names
    dataset: str | None
    data_dir: Path | None
    out: Path | None
    resume: Path | None
    backend: str | None
    pictures: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the command's arguments by name. Raises UsageError where one cannot be."""
        config = given["config"]
        asked = {} if config is None else read_config_file(config)
        asked |= parse_options({k: v for k, v in given.items() if k not in NO_SETTINGS})
        places = {key: asked.pop(key, None) for key in (*PLACE_KEYS, "backend")}
        out = places["out"]
        return cls(
            settings=asked,
            dataset=places["dataset"],
            data_dir=places["data_dir"],
            out=None if out is None else Path(out),
            resume=given["resume"],
            backend=places["backend"],
            pictures=given["pictures"],
        )


class TrainRequest(NamedTuple):
    """Everything settled: what is trained, on what, where, by which backend."""

    model: ModelConfig
    config: TrainConfig
    dataset: Dataset
    K: Any
    path: Path
    resumed: bool
    pictures: bool


def read_config_file(path: Path) -> dict[str, Any]:
    """The settings in a JSON file: flat, or in the parts "model" and "train" as a run's own.

    Raises UsageError for a file that is missing or no JSON object, or holds an unknown key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        why = getattr(fault, "strerror", None) or "it is no text"
        raise UsageError(f"--config {path}: cannot be read ({why})") from None
    try:
        values = json.loads(text)
    except ValueError as fault:
        raise UsageError(f"--config {path}: no valid JSON ({fault})") from None
    if not isinstance(values, dict):
        raise UsageError(f"--config {path}: must hold an object {{...}} of settings")
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
            raise UsageError(f"--config {path}: unknown key {key!r}{suggestion(key, known)}")
    for name in TEXT_KEYS:
        if not isinstance(flat.get(name), (str, type(None))):
            raise UsageError(f"--config {path}: {name} = {flat[name]!r}: must be text")
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
            raise UsageError("--c belongs to --likelihood gaussian; the Bernoulli one has --beta")
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


def settle_request(asked: TrainOptions, console: Console) -> TrainRequest:
    """Settings, data, backend and place; every fault that can be known is raised here."""
    from minivae.data.load import load

    if asked.resume is not None:
        return settle_resume(asked, asked.resume, console)
    name = record_name("digits" if asked.dataset is None else asked.dataset)
    dataset = load(name, asked.data_dir)
    # the settings are checked before a backend is loaded, which may take seconds
    settle(dataset, name, asked.settings, "numpy")
    tf32 = bool(asked.settings.get("tf32"))
    threads = asked.settings.get("threads")
    K = choose_backend(asked.backend or "auto", threads, console, tf32=tf32)
    model, config = settle(dataset, name, asked.settings, K.name)
    path = next_path(dataset.name) if asked.out is None else asked.out
    return TrainRequest(model, config, dataset, K, path, resumed=False, pictures=asked.pictures)


def settle_resume(asked: TrainOptions, path: Path, console: Console) -> TrainRequest:
    """The request that goes on with the run in `path`."""
    from minivae.data.load import load

    if asked.out is not None and asked.out != path:
        raise UsageError(f"--resume {path} continues in {path}; leave --out away")
    model, config, _ = settings_of_run(path, asked.settings)
    if asked.dataset is not None and record_name(asked.dataset) != config.dataset:
        raise UsageError(
            f"{path} was trained on {config.dataset}, not {asked.dataset}; leave the data set away"
        )
    dataset = load(config.dataset, asked.data_dir)
    chosen = asked.backend or config.backend
    K = choose_backend(chosen, config.threads, console, tf32=config.tf32)
    config = config.with_changes(backend=K.name)
    return TrainRequest(model, config, dataset, K, path, resumed=True, pictures=asked.pictures)


def record_name(name: str) -> str:
    """The data set's name as a run records it: a file by its whole path, to be found again."""
    from minivae.data.registry import known_name

    known = known_name(name)
    if known is not None:
        return known
    path = Path(name).expanduser()
    return str(path.resolve()) if name and path.exists() else name


def next_path(name: str) -> Path:
    """runs/NAME-1, or the first number that is free."""
    from minivae.runs.directory import next_run_path

    return next_run_path(Path(name).stem or "run")
