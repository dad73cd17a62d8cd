"""A trained run as the commands see it: its model, its settings, its data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from minivae.cli.console import Console
from minivae.cli.options import UsageError
from minivae.cli.pictures import Scene
from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.runs.config import TrainConfig
from minivae.runs.load import WHICH, load_model
from minivae.types import Array

SPLITS = ("train", "valid", "test")


class TrainedRun(NamedTuple):
    """One checkpoint of a run, verified."""

    path: Path
    which: str
    model: ModelConfig
    training: TrainConfig
    theta: Array
    manifest: dict[str, Any]

    @property
    def learned_c(self) -> float | None:
        """The value that a learned c has come to; None where c is not learned."""
        if not self.model.learns_c:
            return None
        return math.exp(float(layout_of(self.model).views(self.theta)["decoder.logc"]))

    @property
    def c(self) -> float | None:
        """The Gaussian's variance, given or learned; None for the Bernoulli likelihood."""
        if self.model.likelihood == "bernoulli":
            return None
        return self.learned_c if self.model.learns_c else float(self.model.c)


def open_run(path: Path | str, which: str | None = None) -> TrainedRun:
    """The run's `best` or `last` checkpoint; by default the one that `default_which` names.

    Raises RunError or CheckpointError, one line, where there is none or it is damaged.
    """
    path = Path(path)
    if which is not None and which not in WHICH:
        raise UsageError(f"--checkpoint {which!r} is unknown: choose best or last")
    which = which or default_which(path)
    model, training, theta, manifest = load_model(path, which)
    return TrainedRun(path, which, model, training, theta, manifest)


def default_which(path: Path) -> str:
    """`best` where it was chosen on rows kept for that; else `last`.

    A best checkpoint that was chosen on the test data would flatter every test figure.
    """
    from minivae.runs.load import load_run

    if not path.is_dir():
        return "last"
    metrics = load_run(path).metrics
    return "best" if metrics and metrics[-1].get("monitor") == "valid" else "last"


def load_data(
    run: TrainedRun, data_dir: Path | None, other: str | None, console: Console
) -> Dataset:
    """The data the run was trained on (binarised where it was), or another set of its size."""
    from minivae.data.load import load
    from minivae.data.targets import binarise_fixed
    from minivae.runs.resume import fingerprint

    dataset = load(other or run.training.dataset, data_dir)
    if dataset.data_dim != run.model.data_dim:
        raise UsageError(
            f"{dataset.name} has {dataset.data_dim} features a row, but the model of {run.path} "
            f"has {run.model.data_dim}; give data of that size with --data"
        )
    if other is None and fingerprint(dataset)["sha256"] != run.manifest["data"]["sha256"]:
        console.warn(f"this {dataset.name} differs from the data that {run.path} was trained on")
    if run.training.binarise == "fixed":
        dataset = binarise_fixed(dataset, run.training.seed)
    return dataset


def choose_split(dataset: Dataset, split: str | None) -> str:
    """The split asked for, where the data has it; by default test, else valid, else train."""
    if split is None:
        return next(name for name in ("test", "valid", "train") if name in dataset.parts)
    if split not in SPLITS:
        raise UsageError(f"--split {split!r} is unknown: choose {', '.join(SPLITS)}")
    if split not in dataset.parts:
        raise UsageError(f"{dataset.name} has no {split} split; it has {', '.join(dataset.parts)}")
    return split


def scene_of(
    K: Any, model: ModelConfig, theta: Array, dataset: Dataset, split: str | None
) -> Scene:
    """What the pictures are drawn from: the model, and one split of the data."""
    split = choose_split(dataset, split)
    return Scene(
        K=K,
        p=layout_of(model).views(K.to_device(theta)),
        model=model,
        name=dataset.name,
        split=split,
        x=dataset.values(split),
        labels=getattr(dataset, f"{split}_labels"),
        label_names=dataset.label_names,
        shape=dataset.shape,
    )
