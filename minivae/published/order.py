"""What was asked of `minivae reproduce`: which experiment, how much of it, where, by whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from minivae.published.again import anew, go_on
from minivae.published.record import Experiment, Protocol
from minivae.settings import ConfigError
from minivae.training.progress import NullReporter, Reporter


class Order(NamedTuple):
    """An experiment, the folder it goes to, who computes, and what else was asked for.

    backend: that was asked for by name, rather than left to this machine.
    """

    experiment: Experiment
    folder: Path
    K: Any
    small: bool = False
    minutes: float | None = None
    resume: bool = False
    seed: int = 0
    data_dir: Path | None = None
    backend: str | None = None
    threads: int | None = None
    say: Callable[[str], None] = lambda line: None
    reporter: Callable[[], Reporter] = NullReporter

    @property
    def protocol(self) -> Protocol:
        """The full or the small protocol."""
        return self.experiment.protocol(small=self.small)

    @property
    def command(self) -> str:
        """The command that goes on with it here."""
        given = {"--data-dir": self.data_dir, "--backend": self.backend, "--threads": self.threads}
        more = [word for key, value in given.items() if value is not None for word in (key, value)]
        name = self.experiment.name
        return go_on(name, self.folder, *more, small=self.small, seed=self.seed)

    @property
    def anew(self) -> str:
        """The command that makes the same anywhere: what is kept names no place of this machine."""
        return anew(self.experiment.name, small=self.small, seed=self.seed)

    def too_short(self, what: str) -> ConfigError:
        """The fault of a budget that ended before `what`, with the command to go on with."""
        minutes = self.minutes or 0.0
        return ConfigError(
            f"--budget {minutes:g}: too short for {what}; what was done is kept, go on with more: "
            f"{self.command} --budget {max(1.0, 4 * minutes):g}"
        )
