"""A user's own data: files of arrays and tables, and folders of pictures or idx files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from minivae.data.arrays import from_file_arrays, merge
from minivae.data.checks import flat_pictures
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.foreign import SPARSE_KEYS, Mat, read_sparse
from minivae.data.idx import file_errors
from minivae.data.idx_sets import find_idx, load_idx
from minivae.data.names import nearest_words
from minivae.data.npy import Npz, fold, npy_header, read_npy
from minivae.data.picture_files import closed_folders, has_pictures
from minivae.data.pictures import load_pictures
from minivae.data.reading import Reading, column_number
from minivae.data.sniff import FORMS, other_archive, sniff
from minivae.data.stream import RowFile
from minivae.data.streamed import from_file, is_streamed
from minivae.data.tables import load_parquet
from minivae.data.text_tables import load_csv
from minivae.messages import cut

READ_ALONE = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".pq", ".mat")
# Keys of a .npz or .mat, in the order tried; compared without case and with - read as _.
_ROW_KEYS = {
    "train": ("train", "x_train", "train_x", "train_images", "train_data"),
    "valid": ("valid", "x_valid", "x_val", "val", "validation", "valid_images", "valid_data"),
    "test": ("test", "x_test", "test_x", "test_images", "test_data"),
}
_LABEL_KEYS = {
    "train": ("y_train", "train_y", "train_labels"),
    "valid": ("y_valid", "y_val", "valid_labels", "val_labels"),
    "test": ("y_test", "test_y", "test_labels"),
}
_WHOLE_KEYS = ("x", "data", "images", "features", "arr_0")
_WHOLE_LABEL_KEYS = ("y", "labels", "target", "targets", "label")


class Archive(Protocol):
    """Named arrays in a file: what a .npz and a .mat have in common.

    keys: of arrays of numbers; words: of others that can be labels; other: of all else.
    """

    path: Path
    keys: list[str]
    words: list[str]
    other: list[str]

    def read(self, key: str) -> NDArray[Any]: ...


def load_file(path: Path, reading: Reading) -> Dataset:
    """The data in ``path``, as its content (never its name alone) says.

    Raises:
        DataError: missing, of no known form, not what its name says, damaged, or not usable rows.
    """
    dataset = _load_folder(path, reading) if path.is_dir() else _LOADERS[sniff(path)](path, reading)
    return dataset if reading.split else merge(dataset)


def _load_folder(folder: Path, reading: Reading) -> Dataset:
    found = find_idx(folder)
    if found is not None:
        return load_idx(found, reading)
    if has_pictures(folder):
        return load_pictures(folder, reading)
    with file_errors(folder):
        names = sorted(entry.name for entry in folder.iterdir())
    seen, own = names[:6], [name for name in names if Path(name).suffix.lower() in READ_ALONE]
    if own:
        raise DataError(
            f"{folder}: is a folder of files that are each a data set ({', '.join(own[:3])}"
            f"{', …' if len(own) > 3 else ''}); give one of them, or one file made of all"
        )
    closed = closed_folders(folder)
    if closed:
        raise DataError(f"{closed[0]}: cannot be read; check its permissions")
    raise DataError(
        f"{folder}: is a folder without pictures (.png, .jpg, …) or idx files named train-images… "
        f"(it has {', '.join(seen) if seen else 'nothing'}); give a folder with some, or a {FORMS} "
        "file"
    )


def _load_npy(path: Path, reading: Reading) -> Dataset:
    header = npy_header(path)
    whole = header.fortran or len(header.shape) < 2 or header.dtype.kind not in "buif"
    if is_streamed(header.size) and not whole:
        # a picture's shape, from an array of such pictures that takes no memory
        one = np.broadcast_to(np.zeros((), header.dtype), (1, *header.shape[1:]))
        flat, picture = flat_pictures(one)
        if flat.ndim == 2 and flat.shape[1] and (picture is None or _in_order(header.shape)):
            source = RowFile(path, header.offset, header.dtype, header.shape)
            return from_file(source, reading, picture)
    reading.refuse(path, "a single array", "resize", "one_hot")
    return _one_matrix(read_npy(path), reading, path)


def _one_matrix(rows: NDArray[Any], reading: Reading, path: Path) -> Dataset:
    """A data set of one array, whose labels may be one of its columns."""
    rows, labels = _without_label(rows, reading, str(path))
    places = {"train": f"{path}, column {reading.label}"}
    return from_file_arrays(path, reading, rows, labels=labels, label_places=places)


def _in_order(shape: tuple[int, ...]) -> bool:
    """Whether a stack of pictures has its channels last, or none."""
    return len(shape) == 3 or shape[3] in (1, 3)


def _without_label(
    rows: NDArray[Any], reading: Reading, where: str
) -> tuple[NDArray[Any], dict[str, NDArray[Any]] | None]:
    """The matrix without its column number ``label``, and that column."""
    label = reading.label
    number = None if label is None else column_number(label)
    if label is None or (number is None and not reading.own):  # a table's, for its codes' array
        return rows, None
    width = rows.shape[1] if rows.ndim == 2 else 0
    try:
        column = range(width)[width if number is None else number]
    except IndexError:
        raise DataError(
            f"{where}: --label {label}: this array's columns have no names; give a number from 0 "
            f"to {width - 1}"
        ) from None
    return np.delete(rows, column, axis=1), {"train": rows[:, column]}


def _load_npz(path: Path, reading: Reading) -> Dataset:
    archive = Npz(path)
    other = other_archive(archive.other)
    if other is not None:
        raise DataError(f"{path}: it looks like {other}")
    if set(archive.keys) >= SPARSE_KEYS:
        archive.read("data")  # held against sizes and checksums before SciPy reads it
        return _load_sparse(path, reading)
    return _load_archive(archive, reading)


def _load_sparse(path: Path, reading: Reading) -> Dataset:
    reading.refuse(path, "a SciPy sparse matrix", "resize", "one_hot")
    with file_errors(path):
        rows = read_sparse(path)
    return _one_matrix(rows, reading, path)


def _load_mat(path: Path, reading: Reading) -> Dataset:
    with file_errors(path):
        return _load_archive(Mat(path), reading)


def _load_archive(archive: Archive, reading: Reading) -> Dataset:
    path = archive.path
    reading.refuse(path, "an archive of arrays", "resize", "one_hot")
    rows, tags = _chosen(archive, reading)
    parts = {part: archive.read(key) for part, key in rows.items()}
    labels, lost = _read_labels(archive, {p: key for p, key in tags.items() if p in parts})
    dataset = from_file_arrays(
        path,
        reading,
        parts["train"],
        parts.get("test"),
        parts.get("valid"),
        labels=labels,
        label_places={part: f"{path} ({key})" for part, key in tags.items()},
        name=f"{path} ({rows['train']})",
    )
    return dataset.with_parts(name=str(path), notes=(*dataset.notes, *lost))


def _chosen(archive: Archive, reading: Reading) -> tuple[dict[str, str], dict[str, str]]:
    """The keys of the rows and of the labels, by part; DataError where none fits."""
    path, label = archive.path, reading.label
    able = [*archive.keys, *archive.words]
    labels = {fold(key): key for key in [*able, *archive.other]}
    if not reading.own and label not in able:
        label = None
    keys = {fold(key): key for key in archive.keys if key != label}
    rows = {part: k for part, names in _ROW_KEYS.items() if (k := _first(keys, names))}
    tags = {part: k for part, names in _LABEL_KEYS.items() if (k := _first(labels, names))}
    if label is not None and label not in able:
        raise DataError(
            f"{path}: has no array {label!r}{nearest_words(label, able)}; found {_listed(archive)}"
        )
    if "train" not in rows:
        others = [key for key in archive.keys if key != label]
        whole = _first(keys, _WHOLE_KEYS) or (others[0] if len(others) == 1 else None)
        if whole is None:
            raise DataError(
                f"{path}: no key to train on; found {_listed(archive)}, need train, x_train or x "
                "(and test, valid, y_train, … as there are), or one array alone"
            )
        rows["train"] = whole
        tag = _first(labels, _WHOLE_LABEL_KEYS)
        tags = {"train": tag, **tags} if tag else tags
    return rows, tags if label is None else {**tags, "train": label}


def _read_labels(
    archive: Archive, tags: dict[str, str]
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """The labels' arrays, or a note where they cannot be read (a pickle, for one)."""
    try:
        return {part: archive.read(key) for part, key in tags.items()}, ()
    except DataError as error:
        return {}, (f"{error}: the labels are not used",)


def _first(keys: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((keys[name] for name in names if name in keys), None)


def _listed(archive: Archive) -> str:
    names = [*archive.keys, *archive.other]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(cut(name, 60) for name in names[:8]) + more) if names else "no arrays"


_LOADERS: dict[str, Callable[[Path, Reading], Dataset]] = {
    "npy": _load_npy,
    "npz": _load_npz,
    "idx": load_idx,
    "parquet": load_parquet,
    "mat": _load_mat,
    "csv": load_csv,
}
