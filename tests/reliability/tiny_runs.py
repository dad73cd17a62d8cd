"""Runs small enough to be made a thousand times: two epochs of one or two updates."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minivae.backend import load_backend
from minivae.runs.directory import is_begun
from minivae.training.progress import NullReporter
from tests.training.child_run import Ending, ending, run_here, small_data

MEMORY = Path("/dev/shm")  # files here cost no disk
DATA = small_data(20, 5)
K = load_backend("numpy")
TINY: dict[str, Any] = {
    "chunk": 1,
    "model": {"data_dim": 5, "latent_dim": 2, "hidden": (3,)},
    "train": {"epochs": 2, "batch_size": 20, "checkpoint_seconds": 1e9, "keep": 1},
}
# More of everything that a resume could get wrong: checkpoints inside an epoch, a smaller last
# batch, targets drawn anew, a warm-up that ends inside an epoch, two draws.
SMALL: dict[str, Any] = {
    "chunk": 1,
    "model": {**TINY["model"], "draws": 2, "free_bits": 0.1},
    "train": {
        "epochs": 2,
        "batch_size": 13,
        "warmup": 1.3,
        "binarise": "dynamic",
        "keep": 2,
        "checkpoint_seconds": 0.0,
    },
}


class Lines(NullReporter):
    """Keeps the notes, each of which must be one line."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        assert "\n" not in text and len(text) < 700
        self.notes.append(text)


def tiny_run(run_dir: Path, spec: dict[str, Any] = TINY, **options: Any) -> None:
    """Train in this process."""
    run_here(spec, run_dir, K=K, data=DATA, **{"reporter": Lines(), **options})


def go_on(run_dir: Path, spec: dict[str, Any] = TINY, **options: Any) -> Ending:
    """What a person does after a fault: resume what is there, or start where nothing is."""
    tiny_run(run_dir, spec, resume=is_begun(run_dir), **options)
    return ending(run_dir)


@contextmanager
def memory_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where the system has one, else the one that is given."""
    if not os.access(MEMORY, os.W_OK):
        yield otherwise
        return
    folder = Path(tempfile.mkdtemp(prefix="minivae-fuzz-", dir=MEMORY))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
