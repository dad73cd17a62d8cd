"""Continuing a run: is it the same run, where does it stand, and what must the user be told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minivae.backend import ROUNDED
from minivae.data.dataset import Dataset
from minivae.data.stream import chunks
from minivae.messages import shown
from minivae.models.config import ModelConfig
from minivae.runs.checkpoint import Checkpoint
from minivae.runs.config import FREE_ON_RESUME, NOTED_ON_RESUME, TrainConfig
from minivae.runs.directory import RunDirectory
from minivae.runs.errors import CheckpointError, RunError
from minivae.runs.schema import RUN_FACTS
from minivae.runs.state import State
from minivae.runs.store import CheckpointStore
from minivae.runs.strict_json import JsonFault

Note = Callable[[str], None]
DESCRIBED_ROWS = 20_000  # tell the range of the values; data may be larger than memory
DESCRIBED_VALUES = 2**24  # at most


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """What a run records of its data: the fingerprint, what showing the model needs, and how the
    data are read and their units restored, where that was asked for."""
    most = max(1, min(DESCRIBED_ROWS, DESCRIBED_VALUES // dataset.data_dim))
    some = dataset.user_values("train", most)
    values = {"low": float(some.min()), "median": float(np.median(some)), "high": float(some.max())}
    if not np.isfinite([*values.values()]).all():  # training will name them
        values = {}
    shape = None if dataset.shape is None else list(dataset.shape)
    more = {
        "columns": dataset.columns and list(dataset.columns),
        "groups": dataset.groups and [list(group) for group in dataset.groups],
        "standard": dataset.standard and dataset.standard.to_dict(),
        "reading": dataset.reading.to_dict(),
    }
    given = {key: value for key, value in more.items() if value}
    return {**fingerprint(dataset), "shape": shape, **values, **given}


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """What tells this data from other data: name, sizes, and a sha256 of every part."""
    sums = hashlib.sha256(repr(float(dataset.scale)).encode())
    sizes = {}
    for name, rows in dataset.parts.items():
        sums.update(f"{name} {rows.shape} {rows.dtype}".encode())
        for chunk in chunks(rows):
            sums.update(np.ascontiguousarray(chunk).view(np.uint8).data)
        sizes[name] = list(rows.shape)
    return {"name": dataset.name, "sizes": sizes, "sha256": sums.hexdigest()}


def starting_state(
    directory: RunDirectory,
    model: ModelConfig,
    config: TrainConfig,
    data: Mapping[str, Any],
    fresh: Callable[[], State],
    note: Note,
) -> State:
    """The newest sound checkpoint's state, checked to be this model's on this data; else `fresh`'s.

    Raises CheckpointError or RunError in one line where it is another run's.
    """
    if not directory.resume:
        return fresh()
    written = directory.written_config(note)
    if written is not None:
        require_same(directory, written, model, config, data)

    checkpoint = newest_of_run(directory.checkpoints, written, note)
    if checkpoint is None:
        epochs = len(directory.metrics.read())
        lost = f"has lost the checkpoints of {epochs} epochs" if epochs else "has no checkpoint yet"
        note(f"{directory.path} {lost}: starting from the beginning")
        return fresh()
    require_same(directory, checkpoint.manifest, model, config, data)
    tell_changes(checkpoint.manifest["train"], config, note)
    return State.from_checkpoint(checkpoint, model, config.optimiser)


def newest_of_run(
    checkpoints: CheckpointStore, written: Mapping[str, Any] | None, note: Note
) -> Checkpoint | None:
    """The newest sound checkpoint, and of the run that the configuration `written` describes.

    Returns None where none was ever completed; raises CheckpointError where every one is damaged
    or another run's.
    """

    def foreign(checkpoint: Checkpoint) -> str | None:
        require_run_facts(checkpoint)
        return None if written is None else other_run(checkpoint.manifest, written)

    return checkpoints.newest_sound(note, foreign)


def require_run_facts(checkpoint: Checkpoint) -> None:
    """Raise CheckpointError unless a checkpoint says all that a run's must say."""
    try:
        RUN_FACTS(checkpoint.manifest, "")
    except JsonFault as fault:
        raise CheckpointError(f"{checkpoint.path}: it is no run's checkpoint ({fault})") from None


def require_same(
    directory: RunDirectory,
    written: Mapping[str, Any],
    model: ModelConfig,
    config: TrainConfig,
    data: Mapping[str, Any],
) -> None:
    """Raise unless `written` (config.json or a manifest) is of this model, run and data."""
    type(config).from_dict(written["train"])  # an unknown key is named there
    found = other_model(written["model"], model)
    if found is not None:
        raise CheckpointError(
            f"{directory.path} holds another model: {found}; "
            "resume it with its own settings, or start a new run"
        )
    if written["data"]["sha256"] != data["sha256"]:
        raise CheckpointError(
            f"{directory.path} was trained on other data ({_sizes(written['data'])}; "
            f"given: {_sizes(data)}); resume it with the same files, or start a new run"
        )
    _require_rows_to_judge_by(directory, written["train"], config)
    found = other_settings(written["train"], config.to_dict())
    if found is not None:
        raise RunError(
            f"{directory.path} was started with {found}; "
            "resume it with the same value, or start a new run"
        )


def other_run(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """By what a checkpoint's manifest is of another run than a configuration; None if it is not."""
    return (
        other_model(manifest["model"], ModelConfig.from_dict(config["model"]))
        or other_settings(manifest["train"], config["train"])
        or other_data(manifest["data"], config["data"])
    )


def other_data(written: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Whether two records speak of other data, in words."""
    same = written["sha256"] == here["sha256"]
    return None if same else f"the data's sha256 is {written['sha256'][:12]}…"


def other_model(written: Mapping[str, Any], model: ModelConfig) -> str | None:
    """What makes the model in `written` another than this one; None where they are the same."""
    theirs = type(model).from_dict(written).to_dict()  # older runs lack newer settings
    for key, here in model.to_dict().items():
        if theirs[key] != here:
            return f"its {key} is {shown(theirs[key])}, not {shown(here)}"
    return None


def other_settings(written: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """The first setting of training that may not differ within a run and does.

    A setting that an earlier version did not have is at its default, which does what that did.
    """
    older = TrainConfig().to_dict()
    written, here = {**older, **written}, {**older, **here}
    for key, value in here.items():
        may_differ = key in FREE_ON_RESUME | NOTED_ON_RESUME
        if not may_differ and written.get(key) != value:
            return f"{key} {shown(written.get(key))}, not {shown(value)}"
    return None


def _require_rows_to_judge_by(
    directory: RunDirectory, written: Mapping[str, Any], config: TrainConfig
) -> None:
    """Early stopping cannot be added to a run that has seen the rows it would judge by."""
    asked = config.patience is not None and config.validation is not None
    if asked and written.get("validation") is None:
        raise RunError(
            f"{directory.path} was trained on all its rows, so --patience has none left to judge "
            "by; resume it without --patience, or start a new run with it"
        )


def _sizes(data: Mapping[str, Any]) -> str:
    train = "x".join(str(n) for n in data["sizes"].get("train", [])) or "?"
    return f"{shown(data['name'])}, {train}, sha256 {data['sha256'][:12]}"


def tell_changes(written: Mapping[str, Any], config: TrainConfig, note: Note) -> None:
    """Say which changes make the result differ from an uninterrupted run's."""
    for key in ("backend", *ROUNDED, *sorted(NOTED_ON_RESUME)):
        here = getattr(config, key)
        there = written.get(key, False if key in ROUNDED else None)  # older runs have none of them
        if there != here:
            note(
                f"this run had {key} {shown(there)} and goes on with {shown(here)}: "
                "its bits may differ from an uninterrupted run's"
            )
