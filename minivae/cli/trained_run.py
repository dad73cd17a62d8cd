"""A trained run as the commands see it: its model, its settings, what it recorded of its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from minivae.cli.console import Console
from minivae.cli.options import UsageError
from minivae.data.standard import Standard
from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.parts import LIKELIHOODS
from minivae.plots.images import Look, Shape, look_from
from minivae.runs.config import TrainConfig
from minivae.runs.load import WHICH, default_which, load_model, load_run
from minivae.types import Array


class TrainedRun(NamedTuple):
    """One checkpoint of a run, verified."""

    path: Path
    which: str
    model: ModelConfig
    training: TrainConfig
    theta: Array
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The data's name."""
        return str(self.manifest["data"].get("name", self.training.dataset))

    @property
    def shape(self) -> Shape:
        """(height, width) of a datum seen as a picture, as recorded; None where it is none."""
        shape = self.manifest["data"].get("shape")
        return None if shape is None else cast(Shape, tuple(shape))

    @property
    def look(self) -> Look | None:
        """How its data's values become grey; None in a run of before this was recorded."""
        data = self.manifest["data"]
        if "median" not in data:
            return None
        return look_from(data["low"], data["median"], data["high"])

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of a table's columns, as recorded."""
        names = self.manifest["data"].get("columns")
        return None if names is None else tuple(names)

    @property
    def standard(self) -> Standard | None:
        """Mean and deviation that were taken out of the data's columns, as recorded."""
        return recorded_standard(self.manifest["data"])

    @property
    def learned_c(self) -> float | None:
        """The value that a learned c has come to; None where c is not learned."""
        if not self.model.learns_c:
            return None
        scale = LIKELIHOODS[self.model.likelihood].scale
        assert scale is not None
        return float(np.exp(layout_of(self.model).views(self.theta)[scale.tensor]).mean())

    @property
    def c(self) -> float | None:
        """The likelihood's scale, given or learned (its mean, if each feature has one); or None."""
        if LIKELIHOODS[self.model.likelihood].scale is None:
            return None
        return self.learned_c if self.model.learns_c else float(self.model.c)


def recorded_standard(data: Mapping[str, Any]) -> Standard | None:
    """Mean and deviation in what a run recorded of its data."""
    values = data.get("standard")
    return None if values is None else Standard.from_dict(values)


def open_run(path: Path | str, which: str | None = None) -> TrainedRun:
    """The run's `best` or `last` checkpoint; by default the one that `default_which` names.

    Raises RunError or CheckpointError, one line, where there is none or it is damaged.
    """
    path = Path(path)
    if which is not None and which not in WHICH:
        raise UsageError(f"--checkpoint {which!r} is unknown: choose best or last")
    which = which or default_which(path)
    model, training, theta, manifest = load_model(path, which)
    if path.is_dir():  # a run's own record knows where its data lie now
        training = load_run(path, Console().warn).train
    return TrainedRun(path, which, model, training, theta, manifest)
