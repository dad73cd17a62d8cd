"""`load`: a data set by its name, or a file by its path."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import NamedTuple

from minivae.data.arrays import merge
from minivae.data.dataset import Dataset
from minivae.data.digits import load_digits
from minivae.data.errors import DataError
from minivae.data.files import FORMS, load_file, missing_file
from minivae.data.locate import find, require
from minivae.data.named import READERS
from minivae.data.registry import BY_NAME, ENTRIES, NAMES, known_name
from minivae.data.shapes import load_shapes

_PATH_ENDINGS = (".npy", ".npz", ".gz", "ubyte", ".idx", ".csv", ".mat", ".pkl", ".txt")


class Row(NamedTuple):
    """One line of the catalogue. ``where`` is None when the data is not on this machine."""

    name: str
    train: int
    valid: int
    test: int
    features: int
    bytes: int
    licence: str
    source: str
    where: str | None


def load(
    name_or_path: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    split: bool = True,
    seed: int = 0,
    shape: tuple[int, int] | None = None,
) -> Dataset:
    """A data set by name (digits, shapes, mnist, …) or a user's file by path.

    Args:
        name_or_path: a name of the catalogue, or a .npy, .npz, idx or idx.gz file, or a folder
            with idx files. A name wins over a file of that name; write ``./mnist`` for the file.
        data_dir: folder with copies of the published files; MINIVAE_DATA when not given, and the
            cache after it.
        split: False gives every row of the data set in ``train`` and none in ``test``.
        seed: of the generated ``shapes``; the split of other data never depends on it.
        shape: (height, width) of a user's rows as pictures.

    Raises:
        DataError: one line that says what is wrong, where, and the fix.
    """
    text = os.fspath(name_or_path)
    name = known_name(text)
    if name == "digits":
        return load_digits(split)
    if name == "shapes":
        shapes = load_shapes(seed)
        return shapes if split else merge(shapes)
    if name is not None:
        entry = BY_NAME[name]
        return READERS[name](entry, require(entry, data_dir), split)
    return _load_path(text, split, shape)


def catalogue(data_dir: str | os.PathLike[str] | None = None) -> list[Row]:
    """Every named data set: its size, its terms, and where it lies on this machine."""
    rows = []
    for entry in ENTRIES:
        folder = None if entry.embedded else find(entry, data_dir)
        where = "built in" if entry.embedded else None if folder is None else str(folder)
        sizes = (*entry.rows, entry.features, entry.bytes)
        rows.append(Row(entry.name, *sizes, entry.licence, entry.source, where))
    return rows


def unknown_name(text: str) -> DataError:
    """The error for a name that the catalogue does not have, with the nearest that it has."""
    near = difflib.get_close_matches(text.lower().replace("_", "-"), NAMES, n=1, cutoff=0.5)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return DataError(
        f"unknown dataset {text!r}{guess}; choose {', '.join(NAMES)}, or give the path of a "
        f"{FORMS} file"
    )


def _load_path(text: str, split: bool, shape: tuple[int, int] | None) -> Dataset:
    path = Path(text).expanduser()
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if not text or not there:
        like_a_path = text.lower().endswith(_PATH_ENDINGS) or "/" in text or os.sep in text
        raise missing_file(path) if like_a_path else unknown_name(text)
    for entry in ENTRIES:  # a published file given by its path is read as what it is
        if path.name in {file.name for file in entry.files if entry.arrays}:
            return READERS[entry.name](entry, path.parent, split)
    return load_file(path, split=split, shape=shape)
