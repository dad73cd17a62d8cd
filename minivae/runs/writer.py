"""What of a run is kept on disk: configuration, metrics and checkpoints, under the run's lock."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig
from minivae.runs.directory import RunDirectory
from minivae.runs.errors import CheckpointError
from minivae.runs.resume import describe_data, starting_state
from minivae.runs.state import State, checkpoint_bytes, theta_from
from minivae.types import Array


class RunWriter:
    """Writes what a run must not lose; `state` is where the run starts or goes on."""

    def __init__(
        self,
        directory: RunDirectory,
        model: ModelConfig,
        config: TrainConfig,
        data: dict[str, Any],
        state: State,
        history: list[dict[str, Any]],
    ) -> None:
        self.directory, self.data = directory, data
        self.model, self.config = model, config
        self.state, self.history = state, history

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    def save(self, state: State, best: bool) -> None:
        """Write a checkpoint of this state; `best` points the best one at it as well."""
        p = state.progress
        facts = {
            "model": self.model.to_dict(),
            "train": self.config.for_checkpoint(),
            "data": self.data,
            "progress": p.to_dict(),
        }
        tensors = state.tensors(self.model)
        self.directory.checkpoints.save((p.epoch, p.update), tensors, facts, best)

    def log(self, record: dict[str, Any]) -> None:
        """Append an epoch's line to metrics.jsonl."""
        self.directory.metrics.append(record)

    def best_theta(self) -> Array | None:
        """theta (P,) of the best epoch so far, where a resumed run has one."""
        if self.state.progress.best is None:
            return None
        try:
            best = self.directory.checkpoints.load("best")
        except CheckpointError:
            return None
        return theta_from(best.tensors, self.model)


@contextmanager
def open_for_writing(
    path: Path,
    model: ModelConfig,
    config: TrainConfig,
    dataset: Dataset,
    resume: bool,
    note: Callable[[str], None],
) -> Iterator[RunWriter]:
    """Check, lock and prepare the run directory; yields its writer, and frees the lock after.

    Raises RunError or CheckpointError, in one line, before anything in an existing run changes.
    """
    directory = RunDirectory(path, resume=resume, keep=config.keep)
    directory.check(checkpoint_bytes(model))
    data = describe_data(dataset)
    with directory:
        state = starting_state(directory, model, config, data, note)
        if resume:
            directory.claim()
            settle_pointers(directory, state, note)
        directory.write_config(
            {
                "model": model.to_dict(),
                "train": config.to_dict(),
                "data": data,
                "versions": versions(),
            }
        )
        history = directory.metrics.keep_until(state.progress.epoch)
        yield RunWriter(directory, model, config, data, state, history)


def settle_pointers(directory: RunDirectory, state: State, note: Callable[[str], None]) -> None:
    """`last` and `best` as of this state, whatever a kill left them at."""
    p = state.progress
    if p.t > 0:
        best = None if p.best_epoch is None else (p.best_epoch, 0)
        directory.checkpoints.settle((p.epoch, p.update), best, note)


def versions() -> dict[str, str]:
    """What the run was made with, for the record."""
    try:
        own = metadata.version("minivae")
    except metadata.PackageNotFoundError:
        own = "source"
    return {
        "minivae": own,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
