"""How `minivae train` settles its settings: the data's defaults, then --config, then options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minivae.cli.backends import ROUNDINGS, choose_backend, expect_training
from minivae.cli.console import Console
from minivae.cli.defaults import defaults_for, likelihood_for
from minivae.cli.options import UsageError
from minivae.cli.train_options import (
    MODEL_KEYS,
    READING_KEYS,
    TRAIN_KEYS,
    TrainOptions,
    file_named,
)
from minivae.data.checks import LEVELS
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.shape import LOOKED_AT
from minivae.data.standard import scale_advice
from minivae.data.stream import FileRows
from minivae.models.config import ModelConfig
from minivae.parts import LIKELIHOODS, OPTIMISERS
from minivae.parts.domains import REAL
from minivae.runs.config import TrainConfig
from minivae.runs.hints import quoted


class TrainRequest(NamedTuple):
    """Everything settled: what is trained, on what, where, by which backend."""

    model: ModelConfig
    config: TrainConfig
    dataset: Dataset
    K: Any
    path: Path
    resumed: bool
    pictures: bool


def settle(
    dataset: Dataset, name: str, settings: Mapping[str, Any], backend: str
) -> tuple[ModelConfig, TrainConfig]:
    """Model and training configurations for the data; `settings` win over its defaults.

    Raises ConfigError, one line, where a value cannot be.
    """
    values = defaults_for(dataset.name) | likelihood_for(dataset) | dict(settings)
    LIKELIHOODS.require(values["likelihood"])
    likelihood = LIKELIHOODS[values["likelihood"]]
    if likelihood.grouped and dataset.groups:
        values["groups"] = tuple(after - first for first, after in dataset.groups)
    if dataset.standard is not None and likelihood.domain is not REAL:
        able = ", ".join(name for name, part in LIKELIHOODS.items() if part.domain is REAL)
        raise UsageError(
            f"--standardise gives numbers below 0, which the {likelihood.name} likelihood does "
            f"not take; choose --likelihood of {able}, or leave --standardise out"
        )
    if "c" in settings and "likelihood" not in settings:
        values["likelihood"] = LIKELIHOODS.first(lambda part: part.scale is not None)
    if settings.get("binarise", "none") != "none" and "likelihood" not in settings:
        values["likelihood"] = LIKELIHOODS.first(lambda part: part.binary)
    if LIKELIHOODS[values["likelihood"]].scale is None:
        if "c" in settings:
            able = ", ".join(name for name, part in LIKELIHOODS.items() if part.scale)
            raise UsageError(
                f"--c is the scale of a likelihood that has one ({able}); "
                f"{values['likelihood']} has none: weigh its two terms by --beta"
            )
        values["c"] = 1.0
    elif "c" not in settings:
        values["c"] = "learned"
    _require_momentum(values, settings)
    model = {key: values[key] for key in MODEL_KEYS if key in values}
    train = {key: values[key] for key in TRAIN_KEYS if key in values}
    return (
        ModelConfig(data_dim=dataset.data_dim, **model),
        TrainConfig(dataset=name, **{**train, "backend": backend}),
    )


def _require_momentum(values: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise UsageError where a momentum is asked of an optimiser that has none.

    Its default may stand in a file of settings whatever the optimiser.
    """
    rule = OPTIMISERS[values.get("optimiser", TrainConfig.optimiser)]
    asked = given.get("momentum", TrainConfig.momentum)
    if asked != TrainConfig.momentum and "momentum" not in rule.settings:
        able = ", ".join(name for name, part in OPTIMISERS.items() if "momentum" in part.settings)
        raise UsageError(
            f"--momentum is a setting of {able}; the optimiser is {rule.name}: leave one out"
        )


def settings_of_run(
    path: Path, settings: Mapping[str, Any], console: Console
) -> tuple[ModelConfig, TrainConfig, dict[str, Any]]:
    """A run's own configurations with the settings that were given anew, to resume it.

    What may not change is refused by the training loop, which names it.
    """
    from minivae.runs.load import load_run

    info = load_run(path, console.warn)
    model = {**info.model.to_dict(), **{k: settings[k] for k in MODEL_KEYS if k in settings}}
    changes = {k: settings[k] for k in TRAIN_KEYS if k in settings}
    return ModelConfig.from_dict(model), info.train.with_changes(**changes), info.data


def settle_request(asked: TrainOptions, console: Console) -> TrainRequest:
    """Settings, data, backend and place; every fault that can be known is raised here."""
    with file_named(asked.config, asked.from_file):
        return _settle_request(asked, console)


def load_asked(name: str, asked: TrainOptions) -> Dataset:
    """The data, read as was asked for. Raises DataError, which tells what --config's file says."""
    from minivae.data.load import load_as

    try:
        return load_as(name, asked.reading, asked.data_dir)
    except DataError as fault:
        given = asked.reading.to_dict()
        own = [key for key in READING_KEYS if key in asked.from_file and key in given]
        if not own:
            raise
        raise DataError(
            f"{fault} (--config {asked.config} says how to read them, by {', '.join(own)}: take "
            "out of a copy of that file what does not belong to these data)"
        ) from None


def _settle_request(asked: TrainOptions, console: Console) -> TrainRequest:
    if asked.resume is not None:
        return settle_resume(asked, asked.resume, console)
    name = record_name("digits" if asked.dataset is None else asked.dataset)
    dataset = load_asked(name, asked)
    # the settings are checked before a backend is loaded, which may take seconds
    first = settle(dataset, name, asked.settings, "numpy")
    expect_training(asked.backend or "auto", *first, dataset)
    rounded = {option: bool(asked.settings.get(option)) for option in ROUNDINGS}
    threads = asked.settings.get("threads")
    K = choose_backend(asked.backend or "auto", threads, console, **rounded)
    model, config = settle(dataset, name, asked.settings, K.name)
    tell_of_data(dataset, model, console)
    order = config.order if not isinstance(dataset.train, FileRows) else "blocks"
    config = config.with_changes(data_dir=record_data_dir(name, asked.data_dir), order=order)
    path = next_path(dataset.name) if asked.out is None else asked.out
    return TrainRequest(model, config, dataset, K, path, resumed=False, pictures=asked.pictures)


def tell_of_data(dataset: Dataset, model: ModelConfig, console: Console) -> None:
    """Say what the user should know of the data before the training: notes, units, scales."""
    for note in dataset.notes:
        console.warn(note)
    if dataset.groups and not LIKELIHOODS[model.likelihood].grouped:
        grouped = LIKELIHOODS.first(lambda part: part.grouped)
        console.warn(
            f"the {model.likelihood} likelihood takes the 0s and 1s of text columns as numbers; "
            f"a table of text columns alone has the {grouped} one"
        )
    if dataset.standard is not None:
        console.say(
            f"standardised {dataset.data_dim} columns; losses are in their own units: "
            f"-log p includes the sum of the log deviations, {dataset.log_volume:.3f} nats"
        )
    elif LIKELIHOODS[model.likelihood].scale is not None:
        advice = scale_advice(dataset.train, dataset.scale, dataset.columns)
        if advice is not None:
            shape = ",".join(str(n) for n in dataset.shape or ()) or "H,W or H,W,3"
            pixels = f"; where they are pixels, --shape {shape} divides them by their white"
            console.warn(
                f"{advice}; --standardise trains on columns of mean 0 and deviation 1 and gives "
                f"every result in your units{pixels if may_be_pixels(dataset) else ''}"
            )


def may_be_pixels(dataset: Dataset) -> bool:
    """Whether rows without names hold whole numbers of the size that grey levels have."""
    low, high = float(dataset.train.min()), float(dataset.train.max())
    some = dataset.train[:LOOKED_AT]
    sized = dataset.scale == 1 and low >= 0 and 200 < high <= LEVELS[-1]
    return sized and dataset.columns is None and bool((some == some.round()).all())


def settle_resume(asked: TrainOptions, path: Path, console: Console) -> TrainRequest:
    """The request that goes on with the run in `path`."""
    from minivae.cli.run_data import load_again

    if asked.out is not None and asked.out != path:
        raise UsageError(f"--resume {quoted(path)} continues in {path}; leave --out away")
    model, config, recorded = settings_of_run(path, asked.settings, console)
    if asked.dataset is not None and record_name(asked.dataset) != config.dataset:
        raise UsageError(
            f"{path} was trained on {config.dataset}, not {asked.dataset}; leave the data set "
            "away, or say with --data where the same data lie now"
        )
    done = epochs_done(path)
    if config.epochs < done:
        raise UsageError(
            f"--epochs {config.epochs}: {path} has {done} epochs done already, and --epochs counts "
            f"from its beginning; give more than {done}"
        )
    dataset = load_again(path, config, recorded, asked.data, asked.data_dir)
    name = config.dataset if asked.data is None else record_name(asked.data)
    chosen = asked.backend or config.backend
    expect_training(chosen, model, config, dataset)
    K = choose_backend(chosen, config.threads, console, tf32=config.tf32, bf16=config.bf16)
    data_dir = record_data_dir(name, asked.data_dir) or config.data_dir
    config = config.with_changes(backend=K.name, dataset=name, data_dir=data_dir)
    return TrainRequest(model, config, dataset, K, path, resumed=True, pictures=asked.pictures)


def epochs_done(path: Path) -> int:
    """How many epochs of the run in `path` are done, by the checkpoint that a resume goes on from.

    Its log may be damaged or another run's, and stops no resume.
    """
    from minivae.runs.config_file import unaltered_config
    from minivae.runs.directory import CHECKPOINTS
    from minivae.runs.errors import CheckpointError, RunError
    from minivae.runs.resume import newest_of_run
    from minivae.runs.store import CheckpointStore

    try:
        written = unaltered_config(path)
    except RunError:  # lost or damaged: told already
        written = None
    try:
        newest = newest_of_run(CheckpointStore(path / CHECKPOINTS), written, lambda text: None)
    except CheckpointError:  # said where the run is resumed
        return 0
    return 0 if newest is None else int(newest.manifest.get("progress", {}).get("epoch", 0))


def record_data_dir(name: str, data_dir: Path | str | None) -> str | None:
    """The folder of published data as a run records it: whole, from --data-dir or MINIVAE_DATA."""
    from minivae.data.locate import DATA_VARIABLE, at_home
    from minivae.data.registry import BY_NAME, known_name

    known = known_name(name)
    if known is None or BY_NAME[known].embedded:
        return None
    given = data_dir or os.environ.get(DATA_VARIABLE)
    return str(at_home(given).resolve()) if given else None


def record_name(name: str) -> str:
    """The data set's name as a run records it: a file by its whole path, to be found again."""
    from minivae.data.locate import at_home
    from minivae.data.registry import known_name

    known = known_name(name)
    if known is not None:
        return known
    path = at_home(name)
    return str(path.resolve()) if name and path.exists() else name


def next_path(name: str) -> Path:
    """runs/NAME-1, or the first number that is free."""
    from minivae.runs.directory import next_run_path

    return next_run_path(Path(name).stem or "run")
