"""A process that trains for long: its memory, descriptors, threads and files stay as they are."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from minivae.runs.fsck import check_run
from minivae.training.progress import NullReporter
from tests.reliability.tiny_runs import DATA, TINY, K
from tests.training.child_run import run_here

LONG = {**TINY, "train": {**TINY["train"], "epochs": 3000, "checkpoint_every": 50, "lr": 1e-5}}
SLACK = 2 * 2**20  # bytes


class Held(NamedTuple):
    """What a process holds at one moment."""

    memory: int  # resident bytes
    descriptors: int
    threads: int


def held() -> Held:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(
        pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")),
        threading.active_count(),
    )  # fmt: skip


def require_flat(before: Held, after: Held, grown: int = 0) -> str:
    more = after.memory - before.memory - grown
    assert more <= SLACK, f"{more:,} bytes more than before"
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads
    return f"{before} -> {after}"


def bytes_of(value: Any) -> int:
    """What a value of JSON's types takes in memory."""
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    inside = sum(map(bytes_of, parts)) if isinstance(value, (dict, list)) else 0
    return sys.getsizeof(value) + inside


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="asks Linux for what a process holds"
)


@pytest.mark.slow
@pytest.mark.usefixtures("swift_disk")
def test_three_thousand_epochs_in_one_run(tmp_path: Path, tell: Callable[[str], None]) -> None:
    run, seen = tmp_path / "run", []

    def look() -> bool:
        lines = run / "metrics.jsonl"
        size = lines.stat().st_size if lines.exists() else 0
        if len(seen) < 2 and size > 600 * (300, 2700)[len(seen)]:  # early on, and near the end
            files = sum(1 for path in run.rglob("*") if path.is_file())
            seen.append((held(), files))
        return False

    made = run_here(LONG, run, K=K, data=DATA, stop=look, reporter=NullReporter())
    assert len(seen) == 2 and len((run / "metrics.jsonl").read_bytes().splitlines()) == 3000
    # the log's records stay in memory: they are the caller's, and the log can be made again of them
    said = require_flat(seen[0][0], seen[1][0], grown=bytes_of(made.history[300:2700]))
    assert seen[1][1] <= seen[0][1] + 2, "checkpoints are pruned"
    assert check_run(run).sound
    tell(f"3,000 epochs in one run: {said}, files {seen[0][1]} -> {seen[1][1]}")


@pytest.mark.slow
def test_two_hundred_fits_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Callable[[str], None]
) -> None:
    from minivae.estimators.vae import VAE

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    X = np.random.default_rng(0).random((40, 6))

    def fits(count: int) -> None:
        for seed in range(count):
            VAE(latent_dim=2, hidden=(5,), epochs=2, random_state=seed).fit(X).transform(X)

    fits(20)
    before = held()
    fits(200)
    said = require_flat(before, held())
    assert not list(tmp_path.rglob("*")), "a fit leaves no file"
    tell(f"200 fits in one process: {said}, files 0")
