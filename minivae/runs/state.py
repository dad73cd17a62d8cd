"""Where a run stands: everything a checkpoint must hold for the next update to be the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.parts import OPTIMISERS
from minivae.runs.checkpoint import MOMENTS, Checkpoint, Tensors
from minivae.runs.errors import CheckpointError
from minivae.types import Array


@dataclass
class Sums:
    """Sums over the epoch so far; they are part of the state, so a resumed epoch reports itself."""

    updates: int = 0
    samples: int = 0
    nll: float = 0.0
    kl: float = 0.0
    loss: float = 0.0
    kl_j: list[float] = field(default_factory=list)

    def add(self, metrics: dict[str, Any]) -> None:
        """Add what a step's `metrics()` returned."""
        self.updates += int(metrics["updates"])
        self.samples += int(metrics["samples"])
        self.nll += float(metrics["nll"])
        self.kl += float(metrics["kl"])
        self.loss += float(metrics["loss"])
        more = [float(value) for value in metrics["kl_j"]]
        self.kl_j = [a + b for a, b in zip(self.kl_j or [0.0] * len(more), more, strict=True)]

    def figures(self) -> dict[str, Any]:
        """Means over the epoch's samples, nats per datum, as each batch saw its own parameters."""
        n = max(self.samples, 1)
        return {
            "loss": self.loss / n,
            "reconstruction": self.nll / n,
            "kl": self.kl / n,
            "elbo": -(self.nll + self.kl) / n,
            "kl_j": [value / n for value in self.kl_j],
        }


@dataclass
class Progress:
    """Counters: complete epochs, updates done in the next, all updates, and the best so far."""

    epoch: int = 0
    update: int = 0
    t: int = 0
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0  # epochs since the best
    sums: Sums = field(default_factory=Sums)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; floats come back as the same bits."""
        return {**self.__dict__, "sums": dict(self.sums.__dict__)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Progress:
        """The inverse of `to_dict`."""
        return cls(**{**values, "sums": Sums(**values["sums"])})


@dataclass
class State:
    """theta (P,), the optimiser's moments (M, P), float32 on the host, and the counters."""

    theta: Array
    moments: Array
    progress: Progress

    @classmethod
    def fresh(cls, model: ModelConfig, seed: int, optimiser: str) -> State:
        """The state before the first update, by Glorot's rule."""
        return cls.at(initialise(model, seed, "float32"), optimiser)

    @classmethod
    def at(cls, theta: Array, optimiser: str) -> State:
        """A state at these parameters (P,) with the optimiser's moments at 0."""
        count = OPTIMISERS[optimiser].moments
        return cls(theta, np.zeros((count, theta.size), dtype=theta.dtype), Progress())

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, model: ModelConfig, optimiser: str) -> State:
        """The state in a verified checkpoint of this model; CheckpointError where it has none.

        Older runs kept two moments whatever the optimiser; those beyond its own were never used.
        """
        theta = theta_from(checkpoint, model)
        count = OPTIMISERS[optimiser].moments
        moments = checkpoint.tensors.get(MOMENTS)
        if (
            moments is None
            or moments.dtype != theta.dtype
            or moments.shape not in ((count, theta.size), (2, theta.size))
            or len(moments) < count
        ):
            raise CheckpointError(
                f"{checkpoint.path} holds no state to go on from: it lacks the {count} moments of "
                f"{optimiser} for {theta.size} parameters; start a new run"
            )
        progress = Progress.from_dict(checkpoint.manifest["progress"])
        return cls(theta, moments[:count].copy(), progress)

    def tensors(self, model: ModelConfig) -> Tensors:
        """The state as named tensors: the parameters by name, the optimiser's moments in one."""
        return {**layout_of(model).views(self.theta), MOMENTS: self.moments}

    def finite(self) -> bool:
        """Whether theta and moments hold neither NaN nor infinity."""
        return bool(np.isfinite(self.theta).all() and np.isfinite(self.moments).all())


def theta_from(checkpoint: Checkpoint, model: ModelConfig) -> Array:
    """theta (P,) from a checkpoint's named tensors; CheckpointError where they are not the model's.

    Every shape is compared before anything is allocated: the model's sizes come from a file too.
    """
    layout = layout_of(model)
    for entry in layout.entries:
        tensor = checkpoint.tensors.get(entry.name)
        if tensor is None or tensor.shape != entry.shape or tensor.dtype != np.float32:
            found = "missing" if tensor is None else f"{tensor.dtype} {tensor.shape}"
            raise CheckpointError(
                f"{checkpoint.path} does not fit its own model: {entry.name} is {found}, and "
                f"must be float32 {entry.shape}"
            )
    return layout.flatten(checkpoint.tensors, np.empty(layout.size, dtype=np.float32))


def checkpoint_bytes(model: ModelConfig) -> int:
    """About how large a checkpoint of this model is: three float32 per parameter, and a header."""
    return 12 * layout_of(model).size + 16384
