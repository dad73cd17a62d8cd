"""What an experiment is made of: the paper, the runs, and what is measured on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minivae.models.config import ModelConfig
from minivae.published.findings import Findings
from minivae.runs.config import TrainConfig

if TYPE_CHECKING:
    from minivae.published.bench import Bench

MODEL_KEYS = {field.name for field in fields(ModelConfig)}

# For experiments whose paper was not at hand when they were written.
RECALLED = "the paper's protocol and claims are told from memory, not read again beside this code"


class Run(NamedTuple):
    """An ordinary training run: settings of the model and of training, by their own names.

    rows: only the first so many training rows of the data set.
    """

    name: str
    dataset: str
    settings: Mapping[str, Any]
    rows: int | None = None

    def seeded(self, shift: int) -> Run:
        """The same run with its seed moved on."""
        seed = int(self.settings.get("seed", 0)) + shift
        return self._replace(settings={**self.settings, "seed": seed})

    def configs(self, data_dim: int, **place: Any) -> tuple[ModelConfig, TrainConfig]:
        """The run's configurations; `place` says where it runs and where its data lie."""
        model = {k: v for k, v in self.settings.items() if k in MODEL_KEYS}
        train = {k: v for k, v in self.settings.items() if k not in MODEL_KEYS}
        return (
            ModelConfig(data_dim=data_dim, **model),
            TrainConfig(**{"dataset": self.dataset, **train, **place}),
        )


@dataclass(frozen=True)
class Protocol:
    """The runs, in the order in which they are trained, and what is measured once they are."""

    runs: tuple[Run, ...]
    measure: Callable[[Bench], Findings]
    cost: str  # on two quiet cores, in words
    differs: tuple[str, ...] = ()  # from the paper's protocol
    setting: tuple[Any, ...] = ()  # what is tried where that is no run

    def digest(self, seed: int) -> str:
        """What tells this protocol from another: a sha256 of all its settings."""
        parts: list[Any] = [
            [r.name, r.dataset, r.rows, dict(r.seeded(seed).settings)] for r in self.runs
        ]
        if self.setting:
            parts += [*self.setting, seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Paper(NamedTuple):
    """What is reproduced: a name for it, where it stands, what it is, and what the paper says."""

    name: str
    cited: str  # authors, year, title, figure or table
    what: str
    says: str


@dataclass(frozen=True)
class Experiment:
    """A published result. `small` is the same on data that come along, with bands of its own."""

    paper: Paper
    full: Protocol
    small: Protocol
    draw: Callable[[Path, Findings], None]

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.paper.name

    def protocol(self, *, small: bool) -> Protocol:
        """The full or the small protocol."""
        return self.small if small else self.full
