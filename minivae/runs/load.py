"""Reading a finished (or running) run back: its configurations, parameters and checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from minivae.messages import shown
from minivae.models.config import ModelConfig
from minivae.runs.checkpoint import Checkpoint, read_checkpoint
from minivae.runs.config import TrainConfig
from minivae.runs.config_file import CONFIG, read_config, require_unchanged, settings_in
from minivae.runs.directory import CHECKPOINTS, METRICS, is_begun
from minivae.runs.errors import CheckpointError, RunError
from minivae.runs.hints import command_line
from minivae.runs.metrics_log import MetricsLog
from minivae.runs.resume import newest_of_run, other_model, other_settings, require_run_facts
from minivae.runs.state import theta_from
from minivae.runs.store import CheckpointStore, key_of
from minivae.settings import ConfigError
from minivae.types import Array

WHICH = ("best", "last")


class RunInfo(NamedTuple):
    """A run directory's configurations and its metrics, oldest epoch first."""

    path: Path
    model: ModelConfig
    train: TrainConfig
    data: dict[str, Any]
    metrics: list[dict[str, Any]]


def load_run(path: Path | str, note: Callable[[str], None] | None = None) -> RunInfo:
    """Read a run directory's config.json and metrics.jsonl.

    Where the configuration is lost or damaged, the newest sound checkpoint says the same, and
    `note` is told. Raises RunError if it is no run directory, ConfigError on an unknown key.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"{path} is no run directory; list them with: ls runs")
    fault = f"{path} has no {CONFIG}"
    try:
        config = read_config(path)
        if config is not None:
            model, train = settings_in(path, config)
            require_unchanged(path, config)
    except RunError as error:
        config, fault = None, str(error)
    if config is None:
        checkpoint = _newest(path, fault)
        config = checkpoint.manifest
        model, train = settings_in(path, config)
        if note is not None:
            note(f"{fault}; its settings are taken from {checkpoint.path.name}")
    return RunInfo(path, model, train, config["data"], MetricsLog(path / METRICS).read())


def _newest(path: Path, fault: str) -> Checkpoint:
    """The newest sound checkpoint of a run without a configuration; RunError where it has none."""
    try:
        store = CheckpointStore(path / CHECKPOINTS)
        checkpoint = newest_of_run(store, None, lambda text: None)
    except CheckpointError as error:
        raise CheckpointError(f"{fault}; {error}") from None
    if checkpoint is not None:
        return checkpoint
    if not is_begun(path):
        raise RunError(
            f"{fault}: no run came to its first record here, so nothing is lost; start it again, "
            f"with the same options: {command_line('train', '--out', path)}"
        )
    raise RunError(f"{fault}, and no checkpoint: it is no run directory")


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
    require_run_facts(checkpoint)
    manifest = checkpoint.manifest
    try:
        model = ModelConfig.from_dict(manifest["model"])
        train = TrainConfig.from_dict(manifest["train"])
    except ConfigError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from None
    if path.is_dir():
        _require_own(path, checkpoint, model)
    return model, train, theta_from(checkpoint, model), manifest


def _require_own(path: Path, checkpoint: Checkpoint, model: ModelConfig) -> None:
    """CheckpointError where a run's configuration speaks of another run than its checkpoint."""
    try:
        config = read_config(path)
        if config is None:
            return
        require_unchanged(path, config)
        fault = other_model(config["model"], model)
    except (RunError, ConfigError):  # then the checkpoint alone says what it is
        return
    here = checkpoint.manifest
    if fault is None and config["data"]["sha256"] != here["data"]["sha256"]:
        fault = f"it was trained on other data ({shown(here['data']['name'])})"
    fault = fault or other_settings(config["train"], here["train"])
    if fault is not None:
        raise CheckpointError(
            f"{checkpoint.path} is another run's: {fault}, by {path / CONFIG}; "
            f"look at it with {command_line('fsck', path)}"
        )


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
        raise CheckpointError(
            f"{path}: {error}; {fix}, or see what {command_line('fsck', path)} can tell"
        ) from None


def _from_file(path: Path) -> Checkpoint:
    """A checkpoint file by its own name; `best` and `last` have a manifest of their own name."""
    if path.suffix == ".json":
        path = path.with_suffix(".safetensors")
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path} is no checkpoint; give a run directory or its .safetensors")
    if key_of(path.name) is None and path.stem in WHICH:
        return CheckpointStore(path.parent).load(path.stem)
    return read_checkpoint(path)
