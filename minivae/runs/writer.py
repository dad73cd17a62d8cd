"""What of a run is kept on disk: configuration, metrics and checkpoints, under the run's lock."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig
from minivae.runs.config_file import CONFIG
from minivae.runs.consistency import log_fault
from minivae.runs.directory import RunDirectory
from minivae.runs.environment import blas_threads, changes, environment, held_blas_threads
from minivae.runs.errors import CheckpointError, RunError
from minivae.runs.metrics_log import LogChanged
from minivae.runs.resume import describe_data, starting_state
from minivae.runs.start import first_state
from minivae.runs.state import State, checkpoint_bytes, theta_from
from minivae.types import Array

Note = Callable[[str], None]


class RunWriter:
    """Writes what a run must not lose; `state` is where the run starts or goes on."""

    def __init__(
        self,
        directory: RunDirectory,
        model: ModelConfig,
        config: TrainConfig,
        data: dict[str, Any],
        state: State,
        note: Note,
    ) -> None:
        self.directory, self.data = directory, data
        self.model, self.config = model, config
        self.state, self.note = state, note
        self.history, said = directory.metrics.keep_until(state.progress.epoch)
        said = said or self._log_fault()
        if said:
            note(said)

    def _log_fault(self) -> str:
        """Where the log that a resumed run goes on with contradicts its state, in words."""
        p = self.state.progress
        if p.t == 0:
            return ""
        facts = {"train": self.config.to_dict(), "data": self.data, "progress": p.to_dict()}
        fault = log_fault(self.history, facts)
        log = self.directory.metrics.path
        return (
            f"{log} does not fit the checkpoint and may be another run's: {fault}" if fault else ""
        )

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    def save(self, state: State, best: bool) -> None:
        """Write a checkpoint of this state; `best` points the best one at it as well."""
        self.watch()
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
        """Append an epoch's line to metrics.jsonl; `history` has it already."""
        self.directory.require_ours()
        try:
            self.directory.metrics.append(record)
        except LogChanged as fault:
            self.note(f"{fault}; written again from memory")
            self.directory.metrics.rewrite(self.history)

    def watch(self) -> None:
        """Write again, and say, what something else removed or changed since the run began.

        Raises RunError where the whole directory is gone, or the disk refuses.
        """
        self.directory.require_ours()
        folder = self.directory.checkpoints.directory
        again = "was removed or changed while the run goes on; written again from memory"
        if not self.directory.metrics.unchanged():
            self.note(f"{self.directory.metrics.path} {again}")
            self.directory.metrics.rewrite(self.history)
        if self.directory.restore_config():
            self.note(f"{self.path / CONFIG} {again}")
        if not folder.is_dir():
            self.note(f"{folder} was removed while the run goes on; the next checkpoint goes there")
            folder.mkdir(exist_ok=True)

    def best_theta(self) -> Array | None:
        """theta (P,) of the best epoch so far, where a resumed run has one."""
        if self.state.progress.best is None:
            return None
        try:
            return theta_from(self.directory.checkpoints.load("best"), self.model)
        except CheckpointError:
            return None


@contextmanager
def open_for_writing(
    path: Path,
    model: ModelConfig,
    config: TrainConfig,
    dataset: Dataset,
    resume: bool,
    note: Note,
) -> Iterator[RunWriter]:
    """Check, lock and prepare the run directory; yields its writer, and frees the lock after.

    Within the block NumPy's BLAS has the threads that a resumed run had before, unless others are
    asked for. Raises RunError or CheckpointError, in one line, before anything in an existing run
    changes.
    """
    directory = RunDirectory(path, resume=resume, keep=config.keep)
    directory.check(checkpoint_bytes(model))
    data = describe_data(dataset)
    with directory:
        fresh = partial(first_state, model, config, dataset)
        state = starting_state(directory, model, config, data, fresh, note)
        earlier = earlier_environments(directory, state) if resume else []
        with held_blas_threads(threads_to_hold(directory, config, earlier)):
            environments = with_this_environment(earlier, state, config, note)
            if resume:
                directory.claim(note)
            directory.write_config(  # first: it says how many checkpoints are kept from now on
                {
                    "model": model.to_dict(),
                    "train": config.to_dict(),
                    "data": data,
                    "versions": versions(),
                    "environments": environments,
                }
            )
            if resume:
                settle_pointers(directory, state, note)
            yield RunWriter(directory, model, config, data, state, note)


def earlier_environments(directory: RunDirectory, state: State) -> list[dict[str, Any]]:
    """What the run records of where it was computed up to this state, oldest first."""
    try:
        config = directory.read_config() or {}
    except RunError:  # said already
        return []
    found = config.get("environments", [])
    return [one for one in found if one["from_update"] < max(state.progress.t, 1)]


def threads_to_hold(
    directory: RunDirectory, config: TrainConfig, earlier: list[dict[str, Any]]
) -> int | None:
    """The BLAS threads that a run goes on with; None leaves them as they are.

    A number that was asked for anew wins over the record, and so does another backend.
    """
    if not earlier or earlier[-1]["facts"].get("backend") != config.backend:
        return None
    try:
        written = (directory.read_config() or {}).get("train", {})
    except RunError:
        return None
    if written.get("threads") != config.threads:
        return None
    return blas_threads(earlier[-1]["facts"])


def with_this_environment(
    earlier: list[dict[str, Any]], state: State, config: TrainConfig, note: Note
) -> list[dict[str, Any]]:
    """The record with the environment of this process, which is told where the bits may differ."""
    now = environment(config.backend)
    before = earlier[-1]["facts"] if earlier else None
    if before == now:
        return earlier
    if before is not None and before.get("backend") == config.backend:  # else said by `resume`
        note(
            f"this run was computed with {'; '.join(changes(before, now))}: "
            "its bits may differ from an uninterrupted run's"
        )
    elif before is None and state.progress.t > 0 and blas_threads(now) is not None:
        note(
            "this run does not record the BLAS and the threads that computed it: "
            "its bits may differ from an uninterrupted run's"
        )
    return [*earlier, {"from_update": state.progress.t, "facts": now}]


def settle_pointers(directory: RunDirectory, state: State, note: Note) -> None:
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
