"""What an experiment is made of, and what it comes to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minivae.models.config import ModelConfig
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


class Figure(NamedTuple):
    """A number of the paper beside ours.

    band: how far ours may lie from it and still count. error: how finely the paper's could be read.
    spread: ours, its standard deviation over seeds. Any of them None where there is none. by: whose
    `paper` is: in small versions there is none, and it is what this program gave before.
    """

    what: str
    ours: float | None
    paper: float | None = None
    band: float | None = None
    error: float | None = None
    spread: float | None = None
    source: str = ""
    unit: str = "nats"
    by: str = "paper"

    @property
    def difference(self) -> float | None:
        """Ours less the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper

    @property
    def reached(self) -> bool | None:
        """Whether the difference is within the band; None where either is not known."""
        if self.difference is None or self.band is None:
            return None
        return bool(abs(self.difference) <= self.band)


class Claim(NamedTuple):
    """A sentence of the paper, whether it holds here, and the numbers by which that is judged."""

    what: str
    holds: bool | None
    found: str
    source: str = ""


class Outcome(NamedTuple):
    """What was measured; `series` is what the picture is drawn from, in JSON's own types."""

    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...] = ()
    series: Mapping[str, Any] = {}

    def beside(self, values: Sequence[float], band: float) -> Outcome:
        """The same, its first figures beside what this program gave before: a small version's."""
        figures = [
            figure._replace(paper=value, band=band, by="before")
            for figure, value in zip(self.figures, values, strict=False)
        ]
        return self._replace(figures=(*figures, *self.figures[len(figures) :]))


@dataclass(frozen=True)
class Protocol:
    """The runs, in the order in which they are trained, and what is measured once they are."""

    runs: tuple[Run, ...]
    measure: Callable[[Bench], Outcome]
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


@dataclass(frozen=True)
class Experiment:
    """A published result. `small` is the same on data that come along, with bands of its own."""

    name: str
    paper: str  # authors, year, where in the paper
    what: str
    says: str  # what the paper says, in a line
    full: Protocol
    small: Protocol
    draw: Callable[[Path, Outcome], None]

    def protocol(self, *, small: bool) -> Protocol:
        """The full or the small protocol."""
        return self.small if small else self.full


def mean_and_spread(values: list[float]) -> tuple[float | None, float | None]:
    """Mean and standard deviation over seeds; None where there are too few."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
