"""The data that a run was trained on: found again where they lay, or where they are now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minivae.cli.console import Console
from minivae.cli.options import UsageError
from minivae.cli.trained_run import TrainedRun, recorded_standard
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.reading import Reading
from minivae.data.stream import select
from minivae.runs.config import TrainConfig
from minivae.runs.hints import quoted

SPLITS = ("train", "valid", "test")


def load_again(
    path: Path,
    train: TrainConfig,
    recorded: Mapping[str, Any],
    data: str | None = None,
    data_dir: Path | None = None,
    split: bool = True,
) -> Dataset:
    """The data of the run in `path`: as --data or --data-dir say, else from where they were.

    They are read as the run `recorded` it (other data, as far as its options belong to them), and
    standardised by the run's means and deviations.
    split: False gives every row in `train`, in their order.

    Raises DataError, in one line that names the options, where they are not to be found.
    """
    from minivae.data.arrays import standardised
    from minivae.data.columns import with_columns

    reading = Reading.from_dict(recorded.get("reading", {}))
    names = recorded.get("columns")
    standard = recorded_standard(recorded)
    origin = None if standard is None or standard.origin is None else standard.origin.tolist()
    reading = reading.with_changes(
        standardise=False, split=split, own=data is None, columns=_known(names, reading, data),
        origin=origin and tuple(origin),
    )  # fmt: skip
    dataset = _find_again(path, train, reading, data, data_dir)
    if names is not None:
        dataset = with_columns(dataset, tuple(names), recorded.get("groups", ()), quoted(path))
    if standard is None:
        return dataset
    if dataset.data_dim != len(standard.mean):
        raise DataError(
            f"{dataset.name} has {dataset.data_dim} columns, but {path} was trained on "
            f"{len(standard.mean)}; give the same columns with --data"
        )
    as_read = dataset.reading.with_changes(standardise=True)
    return standardised(dataset.with_parts(reading=as_read), standard)


def _known(names: list[str] | None, reading: Reading, data: str | None) -> tuple[str, ...] | None:
    """What a run knows of its table's columns: of pictures, or for other data, no names say
    nothing."""
    if names is not None:
        return tuple(names)
    return () if data is None and reading.shape is None else None


def _find_again(
    path: Path, train: TrainConfig, reading: Reading, data: str | None, data_dir: Path | None
) -> Dataset:
    from minivae.data.load import load_as

    def load(name: str, folder: Path | str | None = None) -> Dataset:
        return load_as(name, reading, folder)

    if data is not None or data_dir is not None:
        return load(data or train.dataset, data_dir)
    if train.data_dir is not None and Path(train.data_dir).is_dir():
        try:
            return load(train.dataset, train.data_dir)
        except DataError:  # then, as for any named data, MINIVAE_DATA and the cache
            pass
    try:
        return load(train.dataset)
    except DataError as fault:
        said = str(fault) if str(fault).endswith("?") else f"{fault}."
        raise DataError(
            f"{said} {quoted(path)} was trained on {quoted(train.dataset)}: if it lies elsewhere "
            "now, say where with --data FILE (or --data-dir FOLDER)"
        ) from None


def load_run_data(
    run: TrainedRun, data: str | None, data_dir: Path | None, console: Console
) -> Dataset:
    """The data of a run (binarised where they were), or others of their size, which is said."""
    from minivae.data.targets import binarise_fixed
    from minivae.exports.from_torch import UNKNOWN_SHA256
    from minivae.runs.resume import fingerprint

    dataset = load_again(run.path, run.training, run.manifest["data"], data, data_dir)
    check_size(dataset, run)
    known = run.manifest["data"]["sha256"]
    if known != UNKNOWN_SHA256 and fingerprint(dataset)["sha256"] != known:
        console.warn(f"this {dataset.name} differs from the data that {run.path} was trained on")
    if run.training.binarise == "fixed":
        dataset = binarise_fixed(dataset, run.training.seed)
    return dataset


def check_size(dataset: Dataset, run: TrainedRun) -> None:
    """Raise UsageError where the data's rows do not fit the run's model."""
    if dataset.data_dim != run.model.data_dim:
        raise UsageError(
            f"{dataset.name} has {dataset.data_dim} features a row, but the model of {run.path} "
            f"has {run.model.data_dim}; give data of that size with --data"
        )
    if None not in (run.shape, dataset.shape) and tuple(dataset.shape or ()) != run.shape:
        mine, theirs = ("x".join(map(str, s or ())) for s in (dataset.shape, run.shape))
        raise UsageError(
            f"{dataset.name} holds pictures of {mine}, but {run.path} was trained on {theirs}; "
            "give pictures of that shape with --data"
        )


def load_rows(run: TrainedRun, data: str | None, data_dir: Path | None) -> Dataset:
    """All rows of the data, in their own order, in `train`: the run's own, or others of their size.

    Raises DataError where they are not to be found, UsageError where they are of another size.
    """
    dataset = load_again(run.path, run.training, run.manifest["data"], data, data_dir, split=False)
    check_size(dataset, run)
    return dataset


def take_split(dataset: Dataset, split: str | None, train: TrainConfig | None = None) -> Dataset:
    """The data with `split` as the run had it: rows held out of train stand in valid.

    By default nothing is cut. Raises UsageError where the data have no such split.
    """
    if split not in (None, *SPLITS):
        raise UsageError(f"--split {split!r} is unknown: choose {', '.join(SPLITS)}")
    if split in ("train", "valid") and train is not None and train.validation is not None:
        dataset = carve(dataset, train)
    if split is not None and split not in dataset.parts:
        raise UsageError(f"{dataset.name} has no {split} split; it has {', '.join(dataset.parts)}")
    return dataset


def carve(dataset: Dataset, train: TrainConfig) -> Dataset:
    """The training rows cut as `--validation` cut them: into those trained on and those not."""
    from minivae.training.heldout import split_rows

    if "valid" in dataset.parts:
        return dataset
    cut = split_rows(dataset, train)
    labels = dataset.train_labels
    changes: dict[str, Any] = {
        "train": select(dataset.train, cut.train_rows),
        "valid": select(dataset.train, cut.rows),
        "train_labels": None if labels is None else labels[cut.train_rows],
        "valid_labels": None if labels is None else labels[cut.rows],
    }
    return dataset.with_parts(**changes)


def default_split(dataset: Dataset) -> str:
    """Test, where the data have it; else valid, else train."""
    return next(name for name in ("test", "valid", "train") if name in dataset.parts)
