"""Trainings under mpiexec as children of a test: started, watched, and their ranks found."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(processes: int, *more: str) -> list[str]:
    return ["mpiexec", "-n", str(processes), sys.executable, "-m", "minivae", "train", *more,
            "--no-pictures"]  # fmt: skip


def fresh(out: Path, backend: str, epochs: int = 4) -> list[str]:
    return ["digits", "--shards", "4", "--epochs", str(epochs), "--hidden", "32", "--backend",
            backend, "--out", str(out)]  # fmt: skip


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}


def digest(out: Path) -> str:
    return hashlib.sha256((out / "checkpoints" / "last.safetensors").read_bytes()).hexdigest()


class Job:
    """A training under mpiexec that goes on for ever, once its first checkpoint is there."""

    def __init__(
        self, processes: int, out: Path, *more: str, backend: str = "numpy", epochs: int = 100_000
    ) -> None:
        self.out, self.words = out, out.with_suffix(".out")
        with self.words.open("w") as stdout, out.with_suffix(".err").open("w") as stderr:
            self.job = subprocess.Popen(
                command(processes, *fresh(out, backend, epochs), *more),
                env=environment(), stdout=stdout, stderr=stderr,
            )  # fmt: skip
        until = time.monotonic() + 60
        while not (out / "checkpoints" / "last.json").exists():
            assert self.job.poll() is None and time.monotonic() < until, self.errors()
            time.sleep(0.002)

    def process(self, rank: int) -> int:
        """The process that a rank is, as rank 0 says before the first epoch."""
        until = time.monotonic() + 10
        while not (found := re.search(rf"rank {rank} is PID (\d+)\W", self.words.read_text())):
            assert time.monotonic() < until, self.words.read_text()
            time.sleep(0.002)
        return int(found[1])

    def signal(self, rank: int, number: int) -> None:
        os.kill(self.process(rank), number)

    def errors(self) -> list[str]:
        """What minivae said on stderr; the launcher's own words are not its."""
        text = self.out.with_suffix(".err").read_text()
        return [line for line in text.splitlines() if line.startswith(("error:", "note:"))]

    def ended(self) -> tuple[int, list[str]]:
        """Its exit code and what it said, once it has ended."""
        code = self.job.wait(timeout=60)
        return code, self.errors()
