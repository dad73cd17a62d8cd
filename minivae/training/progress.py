"""How a run tells what it does: the reporter's protocol, and reporters that write lines or none."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, Protocol, TextIO

from minivae.messages import as_it_stands, one_line, printable


class Start(NamedTuple):
    """What is known before the first update."""

    run_dir: str | None
    parameters: int
    rows: int  # trained on
    epoch: int  # complete already (a resumed run)
    epochs: int
    updates_per_epoch: int
    held_out: str  # "valid", "test" or "train"
    held_out_rows: int
    backend: str


class Tick(NamedTuple):
    """Where the run is within an epoch; losses are the epoch's means so far, nats per datum."""

    epoch: int  # counted from 1
    epochs: int
    update: int
    updates: int
    reconstruction: float
    kl: float
    elbo: float
    beta: float
    samples_per_second: float
    seconds_left: float | None  # to the last epoch's end; None before it can be told


class Reporter(Protocol):
    """What the training loop calls; every method must return quickly."""

    def start(self, start: Start) -> None:
        """Before the first update."""

    def tick(self, tick: Tick) -> None:
        """About five times a second."""

    def epoch(self, record: dict[str, Any]) -> None:
        """After each epoch, with its line of metrics.jsonl."""

    def note(self, text: str) -> None:
        """Something the user should know: a damaged checkpoint passed over, say."""

    def finish(self, text: str) -> None:
        """When the run ends, however it ends; `text` says how."""


class NullReporter:
    """Says nothing."""

    def start(self, start: Start) -> None: ...

    def tick(self, tick: Tick) -> None: ...

    def epoch(self, record: dict[str, Any]) -> None: ...

    def note(self, text: str) -> None: ...

    def finish(self, text: str) -> None: ...


class PlainReporter(NullReporter):
    """One line per epoch, for logs and pipes; to standard output unless told otherwise."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream

    def _line(self, text: str) -> None:
        print(printable(text), file=self.stream or sys.stdout, flush=True)

    def start(self, start: Start) -> None:
        self._line(start_line(start))

    def epoch(self, record: dict[str, Any]) -> None:
        self._line(epoch_line(record))

    def note(self, text: str) -> None:
        self._line(f"note: {one_line(text)}")

    def finish(self, text: str) -> None:
        self._line(text)


def start_line(start: Start) -> str:
    """What is about to happen, in one line."""
    done = f", {start.epoch} done" if start.epoch else ""
    measured = (
        f"measured on {start.held_out_rows} {start.held_out} rows"
        if start.held_out_rows
        else "no rows held out"
    )
    return (
        f"training on {start.rows} rows, {measured}: {start.parameters} parameters, "
        f"{start.epochs} epochs{done} of {start.updates_per_epoch} updates ({start.backend})"
    )


def epoch_line(record: dict[str, Any]) -> str:
    """An epoch's figures in one line, nats per datum."""
    train, held_out = record["train"], record["held_out"]
    text = f"epoch {record['epoch']:>3}  train {losses(train)}"
    if held_out:
        text += f"  {record['monitor']} {losses(held_out)}"
    star = " *" if record["best"] else ""
    return f"{text}  {record['samples_per_second']:.0f}/s{star}"


def losses(figures: dict[str, Any]) -> str:
    """Reconstruction, KL and -ELBO apart."""
    reconstruction, kl, elbo = figures["reconstruction"], figures["kl"], figures["elbo"]
    return f"recon {reconstruction:.2f} + KL {kl:.2f} = {-elbo:.2f}"


class RichReporter(NullReporter):
    """A progress bar with the time left, losses apart and the throughput, on a terminal."""

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console  # slow to import: only when a bar is wanted

        self.console = console or Console(stderr=True)
        self.bar: Any = None
        self.task: Any = None

    def start(self, start: Start) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self.console.print(as_it_stands(start_line(start)))
        columns = (
            SpinnerColumn(),
            TextColumn("epoch {task.fields[place]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[losses]}"),
            TextColumn("[dim]{task.fields[speed]}"),
        )
        self.bar = Progress(*columns, console=self.console, transient=True, refresh_per_second=5)
        total = start.epochs * start.updates_per_epoch
        place = f"{min(start.epoch + 1, start.epochs)}/{start.epochs}"
        self.task = self.bar.add_task("", total=total, place=place, losses="", speed="")
        self.bar.start()

    def tick(self, tick: Tick) -> None:
        if self.bar is None:
            return
        left = "" if tick.seconds_left is None else f", {clock(tick.seconds_left)} left"
        self.bar.update(
            self.task,
            completed=(tick.epoch - 1) * tick.updates + tick.update,
            place=f"{tick.epoch}/{tick.epochs}",
            losses=losses(tick._asdict()),
            speed=f"{tick.samples_per_second:.0f}/s{left}",
        )

    def epoch(self, record: dict[str, Any]) -> None:
        self.console.print(as_it_stands(epoch_line(record)))

    def note(self, text: str) -> None:
        self.console.print(as_it_stands(f"note: {one_line(text)}"))

    def finish(self, text: str) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        self.console.print(as_it_stands(printable(text)))


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
