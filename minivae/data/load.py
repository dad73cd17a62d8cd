"""`load`: a data set by its name, or a file by its path."""

from __future__ import annotations

import difflib
import os
import re
from typing import Any, NamedTuple

from minivae.data.arrays import from_arrays, merge, standardised
from minivae.data.dataset import Dataset
from minivae.data.digits import load_digits
from minivae.data.errors import DataError
from minivae.data.files import load_file
from minivae.data.locate import at_home, find, require
from minivae.data.named import READERS
from minivae.data.objects import array_of, refuse_no_file
from minivae.data.reading import Reading, shape_words
from minivae.data.registry import BY_NAME, ENTRIES, NAMES, known_name
from minivae.data.shapes import load_shapes
from minivae.data.sniff import FORMS, missing_file
from minivae.data.tables import load_frame

_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,8}$|ubyte$")  # of a file's name


class CatalogueRow(NamedTuple):
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
    name_or_path: str | os.PathLike[str] | Any,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    split: bool = True,
    seed: int = 0,
    shape: tuple[int, ...] | list[int] | None = None,
    label: str | int | None = None,
    resize: tuple[int, int] | list[int] | None = None,
    one_hot: bool = False,
    standardise: bool = False,
) -> Dataset:
    """A data set by name (digits, shapes, mnist, …), a user's file or folder, a frame or an array.

    Args:
        name_or_path: a name of the catalogue; or a .npy, .npz, .csv, .tsv, .parquet, .mat, idx or
            idx.gz file, or a folder of pictures or idx files; or a pandas or Polars frame; or a
            NumPy array (a list, a tensor, a sparse matrix) of rows or pictures, as
            :func:`minivae.data.arrays.from_arrays` takes. A name wins over a file of that name;
            write ``./mnist`` for the file.
        data_dir: folder with copies of the published files; MINIVAE_DATA when not given, and the
            cache after it.
        split: False gives every row of the data set in ``train`` and none in ``test``.
        seed: of the generated ``shapes``; the split of other data never depends on it.
        shape, label, resize, one_hot, standardise: how a user's data are read; see
            :class:`minivae.data.reading.Reading`.

    Raises:
        DataError: one line that says what is wrong, where, and the fix.
    """
    given: dict[str, Any] = {"label": label, "shape": shape, "resize": resize}  # checked there
    reading = Reading(**given, one_hot=one_hot, standardise=standardise, split=split)
    return load_as(name_or_path, reading, data_dir, seed=seed)


def load_as(
    what: str | os.PathLike[str] | Any,
    reading: Reading,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
) -> Dataset:
    """`load` with its options in one record, which the data set keeps."""
    dataset = _load(what, data_dir, reading, seed)
    label = dataset.reading.label or reading.label  # a table's by its name, though given by number
    return dataset.with_parts(reading=reading.with_changes(label=label))


def _load(
    what: Any, data_dir: str | os.PathLike[str] | None, reading: Reading, seed: int
) -> Dataset:
    if type(what).__name__ == "LazyFrame":  # to ask one for its columns is slow, and warned of
        raise DataError("the frame is lazy: give what its collect() returns")
    if hasattr(what, "columns"):
        return load_frame(what, reading)
    if not isinstance(what, (str, bytes, os.PathLike)):
        what = array_of(what)
        reading.refuse("the array", "an array", "label", "resize", "one_hot")
        return from_arrays(
            what,
            name="the array",
            split=reading.split,
            shape=reading.shape,
            standardise=reading.standardise,
        )
    text = os.fsdecode(what)
    refuse_no_file(text)
    name = known_name(text)
    if name is None:
        return _load_path(text, reading)
    dataset = _load_named(name, data_dir, reading.split, seed)
    reading.refuse(name, "a data set known by name", "label", "resize", "one_hot")
    if reading.shape not in (None, dataset.shape):
        raise DataError(
            f"{name}: its pictures are {shape_words(dataset.shape or (0, 0))}; leave --shape out"
        )
    return standardised(dataset) if reading.standardise else dataset


def _load_named(
    name: str, data_dir: str | os.PathLike[str] | None, split: bool, seed: int
) -> Dataset:
    if name == "digits":
        return load_digits(split)
    if name == "shapes":
        shapes = load_shapes(seed)
        return shapes if split else merge(shapes)
    entry = BY_NAME[name]
    return READERS[name](entry, require(entry, data_dir), split)


def catalogue(data_dir: str | os.PathLike[str] | None = None) -> list[CatalogueRow]:
    """Every named data set: its size, its terms, and where it lies on this machine."""
    rows = []
    for entry in ENTRIES:
        folder = None if entry.embedded else find(entry, data_dir)
        where = "built in" if entry.embedded else None if folder is None else str(folder)
        sizes = (*entry.rows, entry.features, entry.bytes)
        rows.append(CatalogueRow(entry.name, *sizes, entry.licence, entry.source, where))
    return rows


def unknown_name(text: str) -> DataError:
    """The error for a name that the catalogue does not have, with the nearest that it has."""
    near = difflib.get_close_matches(text.lower().replace("_", "-"), NAMES, n=1, cutoff=0.5)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return DataError(
        f"unknown dataset {text!r}{guess}; choose {', '.join(NAMES)}, or give the path of a "
        f"{FORMS} file"
    )


def _load_path(text: str, reading: Reading) -> Dataset:
    path = at_home(text)
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if not text or not there:
        like_a_path = _ENDING.search(text) is not None or "/" in text or os.sep in text
        raise missing_file(path) if like_a_path else unknown_name(text)
    for entry in ENTRIES:  # a published file given by its path is read as what it is
        if path.name in {file.name for file in entry.files if entry.arrays}:
            return READERS[entry.name](entry, path.parent, reading.split)
    return load_file(path, reading)
