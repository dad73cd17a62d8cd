"""Readers for the data sets known by name, from their files in a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.arrays import merge, take
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.idx import read_idx
from minivae.data.locate import verify
from minivae.data.npy import Npz, read_npy
from minivae.data.registry import DatasetEntry

FASHION_LABELS = (
    "T-shirt", "trousers", "pullover", "dress", "coat",
    "sandal", "shirt", "trainer", "bag", "ankle boot",
)  # fmt: skip
EVERY = 10  # of the Frey film's frames, one in so many is a test row


def read_idx_set(entry: DatasetEntry, folder: Path, split: bool) -> Dataset:
    """MNIST or Fashion-MNIST from its four idx files, each verified before it is read."""
    arrays = []
    for file in entry.files:
        path = folder / file.name
        verify(path, file, entry.name)
        arrays.append(read_idx(path))
    train, train_labels, test, test_labels = arrays
    pictures = [x.reshape(len(x), -1) for x in (train, test)]
    labels = [y.astype(np.int64) for y in (train_labels, test_labels)]
    whole = _dataset(
        entry,
        train=pictures[0],
        test=pictures[1],
        train_labels=labels[0],
        test_labels=labels[1],
        scale=1.0 / 255.0,
        label_names=FASHION_LABELS if entry.name == "fashion-mnist" else tuple("0123456789"),
    )
    return whole if split else merge(whole)


def read_frey(entry: DatasetEntry, folder: Path, split: bool) -> Dataset:
    """The 1965 frames of the film of Brendan Frey's face.

    The data has no published split. Frames 9, 19, 29, … (196 of them) are the test rows: spread
    over the whole film, they cover every expression, but each stands between two training frames
    much like it, so a test loss here says little about unseen faces. ``split=False`` keeps all.
    """
    path = folder / entry.files[0].name
    frames = read_npy(path)
    _check_content(path, entry, "", frames)
    whole = _dataset(entry, train=frames, test=frames[:0], scale=1.0 / 255.0)
    if not split:
        return whole
    rows = np.arange(len(frames))
    held_out = rows % EVERY == EVERY - 1
    return take(whole, rows[~held_out], rows[held_out])


def read_binarized(entry: DatasetEntry, folder: Path, split: bool) -> Dataset:
    """Larochelle's fixed binarisation of MNIST, unpacked to bytes of 0 and 1."""
    path = folder / entry.files[0].name
    archive = Npz(path)
    parts = {}
    for part in ("train", "valid", "test"):
        if part not in archive.keys:
            raise DataError(f"{path}: has no array {part!r}; run `minivae data {entry.name}` again")
        packed = archive.read(part)
        _check_content(path, entry, part, packed)
        parts[part] = np.unpackbits(packed, axis=1)[:, : entry.features]
    whole = _dataset(entry, **parts, fixed_binary=True)
    return whole if split else merge(whole)


def content_sha256(array: NDArray[Any]) -> str:
    """The sha256 of an array's values, row by row."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _check_content(path: Path, entry: DatasetEntry, key: str, array: NDArray[Any]) -> None:
    width = entry.features if key == "" else -(-entry.features // 8)
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != width:
        raise DataError(
            f"{path}: holds {array.dtype} of shape {array.shape}, not uint8 rows of {width}; "
            f"delete it and run `minivae data {entry.name}`"
        )
    if content_sha256(array) != entry.arrays[key]:
        raise DataError(
            f"{path}: its values are not the published ones (sha256 differs); delete it and run "
            f"`minivae data {entry.name}`, or rename it to load it as your own data"
        )


def _dataset(entry: DatasetEntry, train: NDArray[Any], test: NDArray[Any], **more: Any) -> Dataset:
    return Dataset(
        name=entry.name,
        train=train,
        test=test,
        shape=entry.shape,
        licence=entry.licence,
        source=entry.source,
        **more,
    )


READERS = {
    "mnist": read_idx_set,
    "fashion-mnist": read_idx_set,
    "frey": read_frey,
    "binarized-mnist": read_binarized,
}
