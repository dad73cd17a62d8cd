"""A process that trains for long: its memory, descriptors, threads and files stay as they are."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from minivae.runs.fsck import check_run
from tests.reliability.tiny_runs import TINY, tiny_run

LONG = {**TINY, "train": {**TINY["train"], "epochs": 3000, "checkpoint_every": 50, "lr": 1e-5}}
SLACK = 3 * 2**20  # bytes


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

    tiny_run(run, LONG, stop=look)
    assert len(seen) == 2 and len((run / "metrics.jsonl").read_bytes().splitlines()) == 3000
    history = 2400 * 4500  # the records kept for the caller
    said = require_flat(seen[0][0], seen[1][0], grown=history)
    assert seen[1][1] <= seen[0][1] + 2, "checkpoints are pruned"
    assert check_run(run).sound
    tell(f"3,000 epochs in one run: {said}, files {seen[0][1]} -> {seen[1][1]}")


@pytest.mark.slow
def test_two_hundred_fits_in_one_process(tell: Callable[[str], None]) -> None:
    from minivae.estimators.vae import VAE

    X = np.random.default_rng(0).random((40, 6))

    def fits(count: int) -> None:
        for seed in range(count):
            VAE(latent_dim=2, hidden=(5,), epochs=2, random_state=seed).fit(X).transform(X)

    fits(20)
    before = held()
    fits(200)
    said = require_flat(before, held())
    tell(f"200 fits in one process: {said}")
