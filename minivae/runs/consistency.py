"""Whether what a run's files say fits together: a checkpoint, the configuration, the log."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minivae.models.config import ModelConfig
from minivae.runs.checkpoint import Checkpoint
from minivae.runs.config import TrainConfig
from minivae.runs.resume import other_run, require_run_facts
from minivae.runs.state import State


def state_fault(checkpoint: Checkpoint, config: dict[str, Any] | None) -> str | None:
    """What is wrong with a verified checkpoint as a state of the run that `config` describes.

    None where nothing is. Raises CheckpointError where it holds no state at all.
    """
    require_run_facts(checkpoint)
    manifest = checkpoint.manifest
    model = ModelConfig.from_dict(manifest["model"])
    train = TrainConfig.from_dict(manifest["train"])
    state = State.from_checkpoint(checkpoint, model, train.optimiser)
    p, per_epoch = state.progress, updates_per_epoch(manifest)
    if not state.finite():
        return "its parameters are not finite"
    if p.t != p.epoch * per_epoch + p.update or p.update > per_epoch:  # equal: not evaluated yet
        return f"{p.t} updates are not epoch {p.epoch} and {p.update} of {per_epoch}"
    if config is None:
        return None
    other = other_run(manifest, config)
    return f"by config.json it is another run's: {other}" if other else None


def updates_per_epoch(manifest: dict[str, Any]) -> int:
    """Updates in an epoch, by the data's sizes and the settings that a manifest holds."""
    train = TrainConfig.from_dict(manifest["train"])
    rows = int(manifest["data"]["sizes"].get("train", [0])[0])
    if train.validation is not None:
        rows -= round(train.validation * rows)
    return max(1, math.ceil(rows / train.batch_size))


def log_fault(records: list[dict[str, Any]], manifest: dict[str, Any]) -> str | None:
    """Where the log and a checkpoint contradict each other, in words; None where they do not."""
    p, per_epoch = manifest["progress"], updates_per_epoch(manifest)
    kept = {record["epoch"]: record for record in records if record["epoch"] <= p["epoch"]}
    missing = sorted(set(range(1, p["epoch"] + 1)) - set(kept)) if p["epoch"] <= 10**6 else []
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"the figures of epoch {missing[0]}{more} are missing"
    for epoch, record in kept.items():
        if record["updates"] != epoch * per_epoch:
            return f"epoch {epoch} has {record['updates']} updates, not {epoch * per_epoch}"
    best = kept.get(p["best_epoch"])
    if best is not None:
        loss = (best["held_out"] or best["train"])["loss"]
        if not np.isclose(loss, p["best"], rtol=1e-12, atol=0):
            return f"the best loss, of epoch {p['best_epoch']}, is {loss}, not {p['best']}"
    return None


def rate_fault(records: list[dict[str, Any]], manifest: dict[str, Any]) -> str | None:
    """Where a checkpoint at an epoch's end had another learning rate than the log says of it."""
    p, train = manifest["progress"], TrainConfig.from_dict(manifest["train"])
    factors = [1.0, *(factor for epoch, factor in train.lr_steps if epoch < p["epoch"])]
    rate = train.lr * factors[-1]
    lines = [line for line in records if line["epoch"] == p["epoch"] and p["update"] == 0]
    for line in lines:
        if not np.isclose(line["lr"], rate, rtol=1e-12, atol=0):
            return f"epoch {p['epoch']} had a rate of {line['lr']}, not {rate}"
    return None
