"""How an estimator trains: what it reports, how Ctrl-C ends it, and its history as a table."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig
from minivae.runs.state import State, Sums
from minivae.training.loop import TrainResult, train
from minivae.training.progress import (
    NullReporter,
    PlainReporter,
    Reporter,
    RichReporter,
    Start,
    Tick,
)
from minivae.training.signals import StopSignals

Callback = Callable[[int, dict[str, Any]], Any]


class FitStopped(UserWarning):
    """Ctrl-C ended a fit; the model is kept as it was fitted so far."""


class CallbackReporter:
    """Passes everything on to another reporter, and each epoch to the user's callback too."""

    def __init__(self, inner: Reporter, callback: Callback | None) -> None:
        self.inner, self.callback = inner, callback
        self.wants_stop = False
        self.start, self.tick = inner.start, inner.tick
        self.note, self.finish = inner.note, inner.finish

    start: Callable[[Start], None]
    tick: Callable[[Tick], None]
    note: Callable[[str], None]
    finish: Callable[[str], None]

    def epoch(self, record: dict[str, Any]) -> None:
        """After each epoch; a callback that returns True ends the fit."""
        self.inner.epoch(record)
        if self.callback is not None:
            self.wants_stop |= self.callback(record["epoch"], flat(record)) is True


def fit_in_memory(
    model: ModelConfig,
    settings: TrainConfig,
    data: Dataset,
    K: Any,
    *,
    verbose: bool = False,
    callback: Callback | None = None,
    state: State | None = None,
) -> TrainResult:
    """Train without a run directory; Ctrl-C keeps what was fitted, and warns.

    Raises KeyboardInterrupt where Ctrl-C came before the first update, or a second time.
    """
    reporter = CallbackReporter(reporter_for(verbose), callback)
    with StopSignals((signal.SIGINT,), again=KeyboardInterrupt()) as signals:
        result = train(
            model,
            settings,
            data,
            K,
            reporter=reporter,
            state=state,
            stop=lambda: signals.number is not None or reporter.wants_stop,
        )
    if signals.number is not None:
        if result.updates == (0 if state is None else state.progress.t):
            raise KeyboardInterrupt
        warnings.warn(
            f"fit was stopped by Ctrl-C {result.message}: the model is kept as fitted so far "
            f"({result.epochs} of {settings.epochs} epochs; epochs_done_). Fit it again with "
            "warm_start=True to go on.",
            FitStopped,
            stacklevel=5,
        )
    return result


def reporter_for(verbose: bool) -> Reporter:
    """Lines; in a notebook rich's bar; nothing where not `verbose`."""
    if not verbose:
        return NullReporter()
    if "ipykernel" in sys.modules:
        from rich.console import Console

        return RichReporter(Console())  # it knows a notebook by itself
    return PlainReporter()


def going_on(state: State, updates_per_epoch: int) -> State:
    """A copy of the state to train further from, at an epoch's start unless it stands inside one.

    Where the number of rows has changed, an epoch that was broken off is given up.
    """
    state = deepcopy(state)
    progress = state.progress
    if progress.update >= updates_per_epoch:
        progress.update, progress.sums = 0, Sums()
    return state


def where_the_model_stands(result: TrainResult) -> State:
    """What to train further from: the parameters and moments of the best epoch.

    The counters are those of the last update, so that no noise is drawn twice; an epoch that was
    broken off after the best one is given up.
    """
    if result.best_moments is None:  # not one epoch was completed
        return result.state
    progress = replace(result.state.progress, update=0, sums=Sums())
    return State(result.best_theta.copy(), result.best_moments, progress)


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """An epoch's record as one row: train_loss, train_kl, …, and valid_… where rows are held out.

    Losses are in nats per datum.
    """
    row = {key: record[key] for key in ("epoch", "updates", "lr", "beta", "seconds")}
    for prefix, part in (("train", "train"), (record["monitor"], "held_out")):
        for key, value in (record[part] or {}).items():
            if isinstance(value, (int, float)):
                row[f"{prefix}_{key}"] = value
    return row


def table(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Columns of equal length, ready for `pandas.DataFrame`; NaN where an epoch has no value."""
    rows = [flat(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, float("nan")) for row in rows] for name in names}
