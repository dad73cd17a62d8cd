"""The way into training: check, open the run directory, train, and answer to signals."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from minivae.data.dataset import Dataset
from minivae.models.config import ConfigError, ModelConfig
from minivae.runs.config import TrainConfig
from minivae.runs.errors import Interrupted
from minivae.runs.start import first_state
from minivae.runs.state import State
from minivae.runs.writer import open_for_writing
from minivae.training.job import make_job
from minivae.training.progress import NullReporter, Reporter
from minivae.training.result import TrainResult
from minivae.training.schedule import Rate
from minivae.training.signals import StopSignals
from minivae.training.trainer import Trainer
from minivae.training.world import World

__all__ = ["TrainResult", "train"]


def train(
    model: ModelConfig,
    config: TrainConfig,
    dataset: Dataset,
    K: Any,
    run_dir: Path | str | None = None,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    stop: Callable[[], bool] | None = None,
    lr: Rate | None = None,
    state: State | None = None,
    world: World | None = None,
) -> TrainResult:
    """Train `model` on `dataset` with backend K; losses are in nats per datum (E28, E30, E31).

    run_dir: where checkpoints and metrics go; None keeps everything in memory. resume: go on from
    the newest sound checkpoint there. stop: asked between chunks of updates; True saves and
    returns. lr: the rate as a function of the update's number t, in place of config.lr. state: a
    result's, to go on from in memory; it stays as it is, and config.epochs counts its epochs too.
    The best epoch is then sought among those to come: a state does not hold an earlier one's theta.
    world: the processes that share out each batch's shards; the others serve (training/serve.py).

    Raises ConfigError or DataError (nothing is written), RunError or CheckpointError (the
    directory cannot be used, or is another run's), Diverged (NaN or infinity: the last good state
    is kept) and, with a run directory, Interrupted after Ctrl-C or SIGTERM (the state is saved).
    """
    reporter = reporter or NullReporter()
    if run_dir is not None:
        check_recorded(lr, state)
    job = make_job(model, config, dataset, K, lr, world)
    if job.note:
        reporter.note(job.note)
    if run_dir is None:
        state = first_state(model, config, dataset) if state is None else without_best(state)
        return Trainer(job, state, None, reporter, stop or (lambda: False)).run()
    asked = stop or (lambda: False)
    with (
        open_for_writing(
            Path(run_dir), job.model, job.config, dataset, resume, reporter.note
        ) as writer,
        StopSignals() as signals,
    ):
        wants_stop = lambda: signals.number is not None or asked()  # noqa: E731
        result = Trainer(job, writer.state, writer, reporter, wants_stop).run()
        if result.reason == "stopped" and signals.number is not None:
            message = f"stopped by {signals.name} {result.message}"
            raise Interrupted(message, signals.exit_code, writer.path)
        return result


def check_recorded(lr: Rate | None, state: State | None) -> None:
    """Raise ConfigError for what a run directory does not record, and a resume would not have."""
    if state is not None:
        raise ConfigError(
            "state: goes on in memory; with run_dir use resume=True, or leave run_dir out"
        )
    if lr is not None:
        raise ConfigError(
            "lr: a function is not recorded in a run directory, and a resume would go on without "
            "it; give the configuration lr and lr_steps, or leave run_dir out"
        )


def without_best(state: State) -> State:
    """A copy that knows of no best epoch: its parameters are not in the state."""
    state = deepcopy(state)
    state.progress.best = state.progress.best_epoch = None
    state.progress.waited = 0
    return state
