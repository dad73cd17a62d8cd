"""Evaluations kept beside an experiment's runs: what has not changed is not measured again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minivae.metrics.likelihood import Evaluation
from minivae.runs import files
from minivae.runs.checkpoint import manifest_path, read_checkpoint, same, write_checkpoint
from minivae.runs.errors import CheckpointError, RunError

MEASURED = "measured"


class Measured:
    """A folder with an evaluation of each run: a safetensors file and its manifest.

    seconds_before: what those that were found there had taken when they were made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds_before = 0.0

    def take(self, name: str, of: Mapping[str, Any], make: Callable[[], Evaluation]) -> Evaluation:
        """The run's evaluation where a sound one of exactly this is kept, else a new one.

        of: all that decides its bits, in JSON's own types, but for the way of this version of the
        program to compute it. The new one is kept, unless the disk refuses.
        """
        file = self.folder / f"{name}.safetensors"
        with contextlib.suppress(CheckpointError, KeyError, TypeError):  # those: a foreign one
            _, facts, tensors = read_checkpoint(file)
            if same(facts["of"], of):
                found = Evaluation(**tensors)
                self.seconds_before += facts["seconds"]
                return found
        began = time.monotonic()
        found = make()
        facts = {"of": dict(of), "seconds": round(time.monotonic() - began, 1)}
        with contextlib.suppress(RunError, OSError):
            self.folder.mkdir(exist_ok=True)
            files.remove_quietly(manifest_path(file))  # never beside tensors that are not its own
            write_checkpoint(file, found._asdict(), facts)
        return found
