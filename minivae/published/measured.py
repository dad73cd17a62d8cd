"""Measures kept beside an experiment's runs: what has not changed is not taken again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from minivae.runs import files
from minivae.runs.checkpoint import manifest_path, read_checkpoint, same, write_checkpoint
from minivae.runs.errors import CheckpointError, RunError

MEASURED = "measured"


class Named(Protocol):
    """A NamedTuple of arrays and numbers."""

    def _asdict(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=Named)


class Measured:
    """A folder with a measure of each run or piece of work: a safetensors file and its manifest.

    seconds_before: what those that were found there had taken when they were made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds_before = 0.0

    def take(
        self, kind: Callable[..., T], name: str, of: Mapping[str, Any], make: Callable[[], T]
    ) -> T:
        """The measure of that name where a sound one of exactly this is kept, else a new one.

        kind: what its tensors are put into; a number comes back as one. of: all that decides its
        bits, in JSON's own types, but for the way of this version of the program to compute it.
        The new one is kept, unless the disk refuses.
        """
        file = self.folder / f"{name}.safetensors"
        with contextlib.suppress(CheckpointError, KeyError, TypeError):  # those: a foreign one
            _, facts, tensors = read_checkpoint(file)
            if same(facts["of"], of):
                found = kind(**{key: tensor[()] for key, tensor in tensors.items()})
                self.seconds_before += facts["seconds"]
                return found
        began = time.monotonic()
        found = make()
        facts = {"of": dict(of), "seconds": round(time.monotonic() - began, 1)}
        with contextlib.suppress(RunError, OSError):
            self.folder.mkdir(exist_ok=True)
            files.remove_quietly(manifest_path(file))  # never beside tensors that are not its own
            tensors = {key: np.asarray(value) for key, value in found._asdict().items()}
            write_checkpoint(file, tensors, facts)
        return found
