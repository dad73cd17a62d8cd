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
from minivae.training.errors import CheckpointError
from minivae.training.job import Job
from minivae.training.resume import fingerprint, starting_state
from minivae.training.run import RunDirectory
from minivae.training.state import State, checkpoint_bytes, theta_from
from minivae.types import Array


class Keeper:
    """Writes what a run must not lose; `state` is where the run starts or goes on."""

    def __init__(
        self,
        directory: RunDirectory,
        job: Job,
        data: dict[str, Any],
        state: State,
        history: list[dict[str, Any]],
    ) -> None:
        self.directory, self.job, self.data = directory, job, data
        self.state, self.history = state, history

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    def save(self, state: State, best: bool) -> None:
        """Write a checkpoint of this state; `best` points the best one at it as well."""
        p = state.progress
        facts = {
            "model": self.job.model.to_dict(),
            "train": self.job.config.for_checkpoint(),
            "data": self.data,
            "progress": p.to_dict(),
        }
        tensors = state.tensors(self.job.model)
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
        return theta_from(best.tensors, self.job.model)


@contextmanager
def open_run(
    path: Path, job: Job, dataset: Dataset, resume: bool, note: Callable[[str], None]
) -> Iterator[Keeper]:
    """Check, lock and prepare the run directory; yields its keeper, and frees the lock after.

    Raises RunError or CheckpointError, in one line, before anything in an existing run changes.
    """
    directory = RunDirectory(path, resume=resume, keep=job.config.keep)
    directory.check(checkpoint_bytes(job.model))
    data = fingerprint(dataset)
    with directory:
        state = starting_state(directory, job.model, job.config, data, note)
        if resume:
            directory.claim()
            settle_pointers(directory, state, note)
        directory.write_config(
            {
                "model": job.model.to_dict(),
                "train": job.config.to_dict(),
                "data": data,
                "versions": versions(),
            }
        )
        history = directory.metrics.keep_until(state.progress.epoch)
        yield Keeper(directory, job, data, state, history)


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
