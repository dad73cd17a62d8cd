"""What training made: the parameters, and the record of how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig
from minivae.runs.state import State
from minivae.types import Array


@dataclass
class TrainResult:
    """What training made: theta (P,) after the last update and at the best epoch, and the record.

    best_moments: the optimiser's (M, P) at the best epoch; None where that was in an earlier call.
    state: where training stands, for `train(..., state=...)` to go on from. history: the lines of
    metrics.jsonl. monitor: the part that `best` is judged by ("valid",
    "test" or "train"). reason: "finished", "patience" or "stopped"; message says it in words.
    """

    model: ModelConfig
    config: TrainConfig
    theta: Array
    best_theta: Array
    best_moments: Array | None
    epochs: int
    updates: int
    best_epoch: int | None
    best_loss: float | None
    monitor: str
    reason: str
    message: str
    run_dir: Path | None
    state: State
    history: list[dict[str, Any]] = field(default_factory=list)
