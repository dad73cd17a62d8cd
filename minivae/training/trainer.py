"""One run from its first update to its last: epochs of updates, measured, saved, stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from minivae.data.errors import DataError
from minivae.runs.errors import Diverged, RunError
from minivae.runs.hints import command_line
from minivae.runs.metrics_log import with_checksum
from minivae.runs.state import State, Sums
from minivae.runs.writer import RunWriter
from minivae.training.heldout import in_user_units, measure
from minivae.training.job import Job
from minivae.training.nan_replay import investigate
from minivae.training.progress import Reporter, Start, Tick
from minivae.training.result import TrainResult
from minivae.training.sharded import MEASURE, ask
from minivae.types import Array

TICK_SECONDS = 0.2
LOSSES = ("loss", "reconstruction", "kl")  # -log of a mean over draws is finite where one is not


class Stopped(Exception):
    """Unwinds the loop when it was asked to stop."""


class Trainer:
    """One call of `train`: the step, the state it is in, and what is due."""

    def __init__(
        self,
        job: Job,
        state: State,
        writer: RunWriter | None,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        self.job, self.state, self.writer, self.reporter = job, state, writer, reporter
        self.stop = stop
        self.history = writer.history if writer else []
        self.last_good = deepcopy(state)  # what a replay starts from
        self.best_theta = writer.best_theta() if writer else None
        self.best_moments: Array | None = None  # of an epoch of this call
        self.step = job.step(state, reporter.note)
        self.last_tick = self.last_save = self.began = time.monotonic()
        self.samples = 0  # in this process, since `began`
        self.pulled = -1  # the update after which the state was fetched from the step

    def run(self) -> TrainResult:
        """Go on until the epochs are done, patience is out, or someone asks to stop."""
        self._announce()
        reason, message = "finished", ""
        try:
            while not (reason_to_stop := self._over()):
                self._epoch()
            reason, message = reason_to_stop
        except Stopped:
            reason, message = "stopped", self._save_for_resume()
        except DataError as error:  # a file on disk was cut or changed beneath the run
            self.reporter.finish(f"ended after {self.state.progress.epoch} epochs")
            raise DataError(f"{error}; stopped {self._save_for_resume()}") from None
        except (RunError, KeyboardInterrupt, SystemExit) as error:
            self.reporter.finish(f"ended after {self.state.progress.epoch} epochs")
            raise error
        self.reporter.finish(message)
        return self._result(reason, message)

    def _announce(self) -> None:
        job = self.job
        self.reporter.start(
            Start(
                run_dir=str(self.writer.path) if self.writer else None,
                parameters=self.state.theta.size,
                rows=job.rows,
                epoch=self.state.progress.epoch,
                epochs=job.config.epochs,
                updates_per_epoch=job.updates_per_epoch,
                held_out=job.split.name,
                held_out_rows=len(job.split.rows),
                backend=getattr(job.K, "label", job.K.name),
            )
        )

    def _over(self) -> tuple[str, str] | None:
        p, config = self.state.progress, self.job.config
        if config.patience is not None and p.waited >= config.patience:
            return "patience", (
                f"stopped after epoch {p.epoch}: the {self.job.split.name} loss has not improved "
                f"for {p.waited} epochs (best {p.best:.3f} nats at epoch {p.best_epoch})"
            )
        if p.epoch >= config.epochs:
            return "finished", f"trained {p.epoch} epochs ({p.t} updates)"
        return None

    def _epoch(self) -> None:
        job, p = self.job, self.state.progress
        order = job.order(p.epoch)
        self.began, self.samples = time.monotonic(), 0
        while p.update < job.updates_per_epoch:
            self._pause()
            rows = job.next_rows(order, p.update)
            self.step(rows, p.t, *job.schedule.chunk(p.t, len(rows)))
            if self.step.bad_step >= 0:
                self._diverged()
            p.sums.add(self.step.metrics())
            p.update += len(rows)
            p.t += len(rows)
            self.samples += rows.size
            self._tick()
        seconds = time.monotonic() - self.began
        self._pause()
        self._pull()
        with np.errstate(over="ignore", invalid="ignore"):  # the check below says it better
            held_out = self._measure()
        self._require_finite("training", self.state.progress.sums.figures())
        self._require_finite(job.split.name, held_out)
        self._close_epoch(held_out, seconds)

    def _measure(self) -> dict[str, Any] | None:
        job = self.job
        theta, scale = self.state.theta, job.data.scale
        given = job.K, job.model, theta, job.split, job.config, scale
        if job.world is None:
            found = measure(*given, self._pause)
        else:
            ask(job.world, MEASURE)
            job.world.spread(theta)
            found = measure(*given, share_out=job.world.share_out)
        return None if found is None else in_user_units(found, job.data.log_volume)

    def _pause(self) -> None:
        """Between chunks: stop if asked, save if it is time."""
        if self.stop():
            raise Stopped
        every = self.job.config.checkpoint_seconds
        due = time.monotonic() - self.last_save >= every
        if self.writer and due and self.state.progress.update > 0:
            self._save(best=False)

    def _pull(self) -> None:
        """Fetch theta and moments from the step; they must be finite to be worth anything."""
        if self.pulled == self.state.progress.t:  # nothing was updated since
            return
        self.state.theta, self.state.moments = self.step.state()
        if not self.state.finite():
            self._diverged()
        self.pulled = self.state.progress.t

    def _save(self, best: bool) -> None:
        self._pull()
        if self.writer:
            self.writer.save(self.state, best)
        self.last_good = deepcopy(self.state)
        self.last_save = time.monotonic()

    def _close_epoch(self, held_out: dict[str, Any] | None, seconds: float) -> None:
        job, p = self.job, self.state.progress
        figures = in_user_units(p.sums.figures(), job.data.log_volume)
        watched = held_out or figures
        # A training loss has each update's own β (a held-out one the full β), so it compares with
        # no earlier epoch's of the warm-up.
        comparable = held_out is not None or p.epoch - 1 >= job.config.warmup
        improved = p.best is None or not comparable or watched["loss"] < p.best
        p.epoch, p.update, p.sums = p.epoch + 1, 0, Sums()
        if improved:
            p.best, p.best_epoch, p.waited = watched["loss"], p.epoch, 0
            self.best_theta, self.best_moments = self.state.theta.copy(), self.state.moments.copy()
        elif p.epoch > job.config.warmup:  # patience begins once β has its full weight
            p.waited += 1
        record = {
            "epoch": p.epoch,
            "updates": p.t,
            "lr": float(job.schedule.lr(p.t - 1)),
            "beta": float(job.schedule.beta_at(p.t - 1)),
            "monitor": job.split.name,
            "best": improved,
            "train": figures,
            "held_out": held_out,
            "seconds": round(seconds, 4),
            "samples_per_second": round(self.samples / max(seconds, 1e-9), 1),
        }
        self._record(with_checksum(record), improved)

    def _record(self, record: dict[str, Any], improved: bool) -> None:
        self.history.append(record)
        if self.writer:
            self.writer.log(record)
        due = self.state.progress.epoch % self.job.config.checkpoint_every == 0
        if due or improved or self._over():
            self._save(best=improved)
        self.last_good = deepcopy(self.state)
        self.reporter.epoch(record)

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self.last_tick < TICK_SECONDS:
            return
        self.last_tick = now
        if self.writer:
            self.writer.watch()
        job, p = self.job, self.state.progress
        speed = self.samples / max(now - self.began, 1e-9)
        left = (job.config.epochs - p.epoch) * job.rows - p.sums.samples
        f = in_user_units(p.sums.figures(), job.data.log_volume)
        losses = (f["reconstruction"], f["kl"], f["elbo"], job.schedule.beta_at(p.t))
        place = (p.epoch + 1, job.config.epochs, p.update, job.updates_per_epoch)
        self.reporter.tick(Tick(*place, *losses, speed, left / speed if speed > 0 else None))

    def _save_for_resume(self) -> str:
        p = self.state.progress
        where = f"in epoch {p.epoch + 1}, after update {p.update} of {self.job.updates_per_epoch}"
        if self.writer is None:
            self._pull()
            return where
        if p.t > 0:
            self._save(best=False)
        again = command_line("train", "--resume", self.writer.path)
        return f"{where}; saved. Continue with: {again}"

    def _diverged(self) -> None:
        """Find what made the bad number, keep the last good state, and stop."""
        rank = getattr(self.step, "bad_rank", -1)
        text, good = investigate(self.job, self.last_good)
        text = text if rank < 0 else f"rank {rank} found it: {text}"
        kept = "nothing was saved: the run has no directory"
        if self.writer:
            kept = "no update came before it, so there is no checkpoint"
            if good.progress.t > 0:
                self.writer.save(good, best=False)
                kept = f"the last good state is kept in {self.writer.path}"
        raise Diverged(f"{text}; {kept}", self.writer.path if self.writer else None)

    def _require_finite(self, name: str, figures: dict[str, Any] | None) -> None:
        """The parameters are finite: are rows explained by finite numbers? Else Diverged."""
        bad = [key for key in LOSSES if figures and not math.isfinite(figures[key])]
        if not bad:
            return
        if self.writer and self.last_good.progress.t > 0:
            self.writer.save(self.last_good, best=False)
        raise Diverged(
            f"the {name} {bad[0]} is not finite after epoch {self.state.progress.epoch + 1}, "
            f"though the parameters are; look for extreme values in the {name} rows, or try a "
            "lower rate",
            self.writer.path if self.writer else None,
        )

    def _result(self, reason: str, message: str) -> TrainResult:
        p, job = self.state.progress, self.job
        return TrainResult(
            model=job.model,
            config=job.config,
            theta=self.state.theta,
            best_theta=self.state.theta if self.best_theta is None else self.best_theta,
            best_moments=self.best_moments,
            epochs=p.epoch,
            updates=p.t,
            best_epoch=p.best_epoch,
            best_loss=p.best,
            monitor=job.split.name,
            reason=reason,
            message=message,
            run_dir=self.writer.path if self.writer else None,
            state=self.state,
            history=self.history,
        )
