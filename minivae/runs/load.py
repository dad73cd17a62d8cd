"""Reading a finished (or running) run back: its configurations, parameters and checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from minivae.models.config import ConfigError, ModelConfig
from minivae.runs.checkpoint import Checkpoint, read_checkpoint
from minivae.runs.config import TrainConfig
from minivae.runs.directory import CHECKPOINTS, CONFIG, METRICS, read_config
from minivae.runs.errors import CheckpointError, RunError
from minivae.runs.metrics_log import MetricsLog
from minivae.runs.state import theta_from
from minivae.runs.store import CheckpointStore, key_of
from minivae.types import Array

WHICH = ("best", "last")


class RunInfo(NamedTuple):
    """A run directory's configurations and its metrics, oldest epoch first."""

    path: Path
    model: ModelConfig
    train: TrainConfig
    data: dict[str, Any]
    metrics: list[dict[str, Any]]


def load_run(path: Path | str) -> RunInfo:
    """Read a run directory's config.json and metrics.jsonl.

    Raises RunError if it is no run directory, ConfigError on an unknown key.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"{path} is no run directory; list them with: ls runs")
    config = read_config(path)
    if config is None:
        raise RunError(f"{path} has no {CONFIG}: it is no run directory")
    for part in ("model", "train", "data"):
        if not isinstance(config.get(part), dict):
            raise RunError(f"{path / CONFIG} has no {part!r}: it is no run configuration")
    try:
        model = ModelConfig.from_dict(config["model"])
        train = TrainConfig.from_dict(config["train"])
    except ConfigError as error:
        raise ConfigError(f"{path / CONFIG}: {error}") from None
    return RunInfo(
        path,
        model,
        train,
        config["data"],
        MetricsLog(path / METRICS).read(),
    )


def default_which(path: Path | str) -> str:
    """`best` where it was chosen on rows kept for that; else `last`.

    A best checkpoint that was chosen on the test data would flatter every test figure.
    """
    if not Path(path).is_dir():
        return "last"
    metrics = load_run(path).metrics
    return "best" if metrics and metrics[-1].get("monitor") == "valid" else "last"


def load_model(
    path: Path | str, which: str = "best"
) -> tuple[ModelConfig, TrainConfig, Array, dict[str, Any]]:
    """The model of a run directory or of one checkpoint file, verified by its sha256 sums.

    Returns the configurations, theta (P,) float32 and the manifest. Raises CheckpointError where
    the checkpoint is missing or damaged; it never falls back to another one unasked.
    """
    path = Path(path)
    if which not in WHICH:
        raise CheckpointError(f"which = {which!r}: must be one of {', '.join(WHICH)}")
    checkpoint = _from_file(path) if path.is_file() else _from_run(path, which)
    manifest = checkpoint.manifest
    for part in ("model", "train", "data"):
        if not isinstance(manifest.get(part), dict):
            raise CheckpointError(f"{checkpoint.path} has no {part!r}: it is no run's checkpoint")
    model = ModelConfig.from_dict(manifest["model"])
    train = TrainConfig.from_dict(manifest["train"])
    return model, train, theta_from(checkpoint.tensors, model), manifest


def _from_run(path: Path, which: str) -> Checkpoint:
    if not path.is_dir():
        raise RunError(f"{path} does not exist; give a run directory or a checkpoint file")
    store = CheckpointStore(path / CHECKPOINTS)
    try:
        return store.load(which)
    except CheckpointError as error:
        other = WHICH[1 - WHICH.index(which)]
        there = (store.directory / f"{other}.json").exists()
        fix = f"try the {other} checkpoint" if there else "give the directory of a run"
        raise CheckpointError(f"{path}: {error}; {fix}") from None


def _from_file(path: Path) -> Checkpoint:
    """A checkpoint file by its own name; `best` and `last` have a manifest of their own name."""
    if path.suffix == ".json":
        path = path.with_suffix(".safetensors")
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path} is no checkpoint; give a run directory or its .safetensors")
    if key_of(path) is None and path.stem in WHICH:
        return CheckpointStore(path.parent).load(path.stem)
    return read_checkpoint(path)
