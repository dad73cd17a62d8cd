"""Readers, a second writer and fsck beside a run that saves and prunes as fast as it can.

The slow test goes on for a minute; MINIVAE_STRESS sets another number of seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minivae.runs.errors import RunError
from minivae.runs.fsck import check_run
from minivae.runs.load import load_model, load_run
from tests.reliability.tiny_runs import TINY, go_on, tiny_run
from tests.training.child_run import ROOT, ending

SECONDS = float(os.environ.get("MINIVAE_STRESS", "60"))
FAST = {**TINY, "train": {**TINY["train"], "epochs": 10**6, "checkpoint_seconds": 0.0, "lr": 1e-4}}
WRITER = """
import sys
from pathlib import Path
from tests.reliability.test_beside_a_writer import FAST
from tests.reliability.tiny_runs import go_on
import os
os.fsync = lambda handle: None
go_on(Path(sys.argv[1]), FAST)
"""


def writer_process(run: Path) -> subprocess.Popen[str]:
    """A process that trains, keeping one checkpoint."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(run)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
             "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


def start_writer(run: Path, rivals: int = 0) -> subprocess.Popen[str]:
    """A process that trains, returned once the run is its own.

    Of `rivals` that are started at the same moment, each is refused in one line.
    """
    started = [writer_process(run) for _ in range(1 + rivals)]
    for _ in range(6000):
        held = (run / "lock").read_text().strip() if (run / "lock").exists() else ""
        won = [process for process in started if held == str(process.pid)]
        if won and (run / "checkpoints" / "best.safetensors").exists():
            break
        assert any(process.poll() is None for process in started), started[0].communicate()
        time.sleep(0.01)
    else:
        raise AssertionError("no writer ever saved")
    for process in started:
        if process is not won[0]:
            said = process.communicate(timeout=60)[1].strip().splitlines()[-1]
            assert process.returncode and ("is in use by" in said or "is not empty" in said), said
    return won[0]


def read_all(run: Path, reads: dict[str, int]) -> None:
    """Every reader once; none may fail, and what each says must fit together."""
    for which in ("best", "last"):
        _, _, theta, manifest = load_model(run, which)
        assert theta.size and manifest["progress"]["t"] > 0
        reads[which] = reads.get(which, 0) + 1
    lines = load_run(run).metrics
    assert [line["epoch"] for line in lines] == [*range(1, len(lines) + 1)]
    reads["log"] = reads.get("log", 0) + 1


def stress(run: Path, seconds: float, kill: bool) -> dict[str, int]:
    """Read, check and try to write beside a writer, which may be killed and started again."""
    reads: dict[str, int] = {}
    writer, end = start_writer(run), time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            for _ in range(100):
                read_all(run, reads)
            count(reads, "second writers refused", lambda: second_writer(run))
            count(reads, "checks", lambda: check_run(run))
            assert writer.poll() is None, writer.communicate()
            if kill:
                writer.kill()
                writer.communicate()
                read_all(run, reads)
                writer = start_writer(run, rivals=1)
                count(reads, "kills, and two that race to go on", lambda: None)
    finally:
        writer.kill()
        writer.communicate()
    return reads


def count(reads: dict[str, int], what: str, do: Callable[[], object]) -> None:
    do()
    reads[what] = reads.get(what, 0) + 1


def second_writer(run: Path) -> None:
    for resume in (True, False):
        with pytest.raises(RunError, match=r"in use by process|is not empty"):
            tiny_run(run, FAST, resume=resume, stop=lambda: True)


def finish(run: Path) -> None:
    """Whatever the stress left goes on, as soundly as ever."""
    epochs = load_model(run, "last")[3]["progress"]["epoch"] + 2
    spec = {**FAST, "train": {**FAST["train"], "epochs": epochs}}
    files, lines = go_on(run, spec)
    assert len(lines) == epochs and check_run(run).sound
    assert (files, lines) == ending(run)


def test_readers_beside_a_writer_that_keeps_one_checkpoint(tmp_path: Path) -> None:
    reads = stress(tmp_path / "run", 2.0, kill=False)
    assert reads["last"] > 10
    finish(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 600)
def test_readers_writers_and_kills_for_long(tmp_path: Path, tell: Callable[[str], None]) -> None:
    reads = stress(tmp_path / "run", SECONDS, kill=True)
    finish(tmp_path / "run")
    counts = ", ".join(f"{what} {number:,}" for what, number in reads.items())
    tell(f"{SECONDS:.0f} s beside a writer that prunes, none failed: {counts}")
