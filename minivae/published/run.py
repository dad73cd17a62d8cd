"""A training run of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig

MODEL_KEYS = {field.name for field in fields(ModelConfig)}


class Run(NamedTuple):
    """An ordinary training run: settings of the model and of training, by their own names.

    rows: only the first so many training rows of the data set.
    """

    name: str
    dataset: str
    settings: Mapping[str, Any]
    rows: int | None = None

    def seeded(self, shift: int) -> Run:
        """This run with its seed moved on."""
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
