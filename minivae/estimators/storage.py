"""Fitted estimators on disk: safetensors and a manifest of sha256 sums, never a pickle."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minivae.data.whole import sync_directory
from minivae.models.config import ModelConfig
from minivae.runs import files
from minivae.runs.checkpoint import (
    Checkpoint,
    Tensors,
    manifest_path,
    read_checkpoint,
    write_checkpoint,
)
from minivae.runs.config import TrainConfig
from minivae.runs.config_file import CONFIG
from minivae.runs.consistency import log_fault
from minivae.runs.directory import CHECKPOINTS, METRICS
from minivae.runs.errors import CheckpointError, RunError, describe_os_error
from minivae.runs.load import default_which, load_model, load_run


def write_estimator(path: str | Path, tensors: Tensors, facts: Mapping[str, Any]) -> Path:
    """Write PATH.safetensors and its manifest PATH.json; the first one's path.

    Raises RunError, in one line, where the place cannot be written; nothing is left half-written.
    """
    path = tensors_path(path)
    try:
        _keep_what_is_there(path)
        write_checkpoint(path, tensors, dict(facts))
    finally:  # a full disk, Ctrl-C: what is there still needs no copy
        if _is_whole(path):
            for copy in _pair(_before(path)):
                files.remove_quietly(copy)
    return path


def _keep_what_is_there(path: Path) -> None:
    """Copy an estimator that is about to be replaced: two files cannot change at one moment."""
    if not _is_whole(path):
        return
    try:
        for old, copy in zip(_pair(path), _pair(_before(path)), strict=True):
            files.replace_synced(copy, old.read_bytes())
        sync_directory(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {describe_os_error(error)}") from error


def _is_whole(path: Path) -> bool:
    """Whether there is an estimator of which both files are as they were written."""
    try:
        read_checkpoint(path)
    except CheckpointError:
        return False
    return True


def _pair(path: Path) -> tuple[Path, Path]:
    return path, manifest_path(path)


def _before(path: Path) -> Path:
    """Where the estimator that is replaced lies while the new one is written.

    A hidden name: `pca.before` may be another estimator that a user keeps.
    """
    return path.with_name(f".{path.stem}.before.safetensors")


def read_estimator(path: str | Path, name: str) -> Checkpoint:
    """What the `save` of an estimator called `name` wrote, verified by its sha256 sums.

    Raises CheckpointError where a file is missing, damaged, or another estimator's.
    """
    path = tensors_path(path)
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as fault:
        before = _before(path)
        if not manifest_path(before).is_file():
            raise
        raise CheckpointError(
            f"{fault}: its saving was broken off; save it again, or load what was there before, "
            f"{before}"
        ) from None
    facts = checkpoint.manifest
    if "estimator" not in facts:
        raise CheckpointError(f"{path} was not written by {name}.save")
    writer = facts.get("class", "VAE")  # the only one that could be saved before this was noted
    if writer != name:
        raise CheckpointError(f"{path} holds a {writer}: load it with {writer}.load")
    return checkpoint


def tensors_path(path: str | Path) -> Path:
    """The path with the ending .safetensors, whether it was given or not."""
    path = Path(path)
    if not _has_name(path):
        raise RunError(f"{path} is a folder: give the name of a file in it, as {path / 'model'}")
    return path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")


class StoredRun:
    """A run directory, or one checkpoint of a run, as an estimator takes it over."""

    def __init__(self, path: Path, which: str | None) -> None:
        which = which or default_which(path)
        self.model, self.train, self.theta, self.manifest = load_model(path, which)
        self.history: list[dict[str, Any]] = []
        if path.is_dir():
            done = self.manifest["progress"]["epoch"]
            self.history = [r for r in load_run(path).metrics if r["epoch"] <= done]
            fault = log_fault(self.history, self.manifest)
            if fault is not None:
                warnings.warn(f"{path / METRICS}: {fault}; history_ is what is left", stacklevel=4)

    def parameters(self, names: list[str]) -> dict[str, Any]:
        """The values of an estimator's parameters that the run's settings have by the same name."""
        found: dict[str, Any] = {}
        settings: tuple[ModelConfig | TrainConfig, ...] = (self.model, self.train)
        for name in names:
            for part in settings:
                value = getattr(part, name, None)
                if value is not None:
                    found[name] = value
        return {**found, "random_state": self.train.seed}


def _has_name(path: Path) -> bool:
    return path.name not in ("", "..")


def is_run(path: str | Path, which: str | None = None) -> bool:
    """Whether the path is a run's directory, or a run's checkpoint, and no saved estimator.

    A folder `model` may stand beside the estimator that was saved as "model". Raises
    CheckpointError where it is a run's, unless `which` of the run's checkpoints is said.
    """
    path = Path(path)
    if path.is_dir():
        run = (path / CONFIG).exists() or (path / CHECKPOINTS).is_dir()
        saved = _has_name(path) and all(file.is_file() for file in _pair(tensors_path(path)))
        if run and saved and which is None:
            raise CheckpointError(
                f"{path} is a run's directory, and an estimator was saved beside it: load "
                f"{tensors_path(path)}, or the run by checkpoint='last'"
            )
        return run or not saved
    try:
        return "train" in read_checkpoint(tensors_path(path)).manifest
    except RunError:
        return False
