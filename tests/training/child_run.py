"""A small training run, in this process or in one of its own: python child_run.py JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from minivae.backend import load_backend
from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig
from minivae.runs.errors import Interrupted, RunError
from minivae.training import loop
from minivae.training.job import make_job
from minivae.training.loop import TrainResult, train
from minivae.training.progress import PlainReporter

ROOT = Path(__file__).resolve().parents[2]
CLOCK = ("seconds", "samples_per_second")
Ending = tuple[dict[str, bytes], list[dict[str, Any]]]
# Everything that could break a resume at once: a smaller last batch, warm-up that ends inside an
# epoch, free bits, targets drawn anew, two draws, and a checkpoint after every chunk.
HARD: dict[str, Any] = {
    "chunk": 2,
    "model": {"free_bits": 0.1, "draws": 2},
    "train": {"warmup": 2.3, "binarise": "dynamic", "checkpoint_seconds": 0.0},
}
# The same without a checkpoint after every chunk: it ends in the same files, sooner.
CALM: dict[str, Any] = {**HARD, "train": {**HARD["train"], "checkpoint_seconds": 1e9}}


def small_data(n: int = 331, d: int = 23, seed: int = 5) -> Dataset:
    """Bytes with some structure: n training and 47 test rows of d features."""
    rng = np.random.default_rng(seed)
    base = rng.random((4, d)) * 255
    rows = base[rng.integers(4, size=n + 47)] * rng.random((n + 47, 1))
    rows = rows.astype(np.uint8)
    return Dataset("small", rows[:n].copy(), rows[n:].copy(), scale=1 / 255)


def settings(spec: dict[str, Any]) -> tuple[ModelConfig, TrainConfig]:
    """The configurations of a spec {"model": {...}, "train": {...}}, with small defaults."""
    model = {"data_dim": 23, "latent_dim": 3, "hidden": (17,), **spec.get("model", {})}
    config = {"dataset": "small", "epochs": 6, "batch_size": 10, **spec.get("train", {})}
    return ModelConfig(**model), TrainConfig(**config)


def run_here(spec: dict[str, Any], run_dir: Path | None, **options: Any) -> TrainResult:
    """Train in this process."""
    model, config = settings(spec)
    K = options.pop("K", None) or load_backend(config.backend, config.threads)
    data = options.pop("data", None) or small_data()
    before = loop.make_job
    if spec.get("chunk"):
        loop.make_job = lambda *a: dataclasses.replace(make_job(*a), chunk=spec["chunk"])
    try:
        return train(model, config, data, K, run_dir, **options)
    finally:
        loop.make_job = before


def start_child(spec: dict[str, Any], run_dir: Path, **more: Any) -> subprocess.Popen[str]:
    """Train in a process of its own; `pause` seconds between chunks, `resume` as in train.

    At pause number `sleep_at` it says "asleep" and sleeps for a minute.
    """
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return subprocess.Popen(
        [sys.executable, __file__, json.dumps({**spec, "run_dir": str(run_dir), **more})],
        # one thread: threads that wait in turns are slow on a busy machine
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lasting_records(run_dir: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in lines]


def checkpoint_files(run_dir: Path) -> dict[str, bytes]:
    """Every file among the checkpoints, by name."""
    return {path.name: path.read_bytes() for path in sorted((run_dir / "checkpoints").iterdir())}


def ending(run_dir: Path) -> Ending:
    """What must be the same to the last bit: the checkpoints, and the log without its clock."""
    return checkpoint_files(run_dir), lasting_records(run_dir)


def main() -> int:
    """The child's side of `start_child`."""
    spec = json.loads(sys.argv[1])

    pauses = iter(range(10**6))

    def stop() -> bool:  # asked between chunks: a slow run, so that a kill lands inside it
        time.sleep(spec.get("pause", 0.0))
        if next(pauses) == spec.get("sleep_at"):
            print("asleep", flush=True)
            time.sleep(60)
        return False

    options = {"resume": spec.get("resume", False), "reporter": PlainReporter(), "stop": stop}
    try:
        run_here(spec, Path(spec["run_dir"]), **options)
    except (RunError, Interrupted) as error:
        print(f"error: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
