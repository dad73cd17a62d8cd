"""A user's own data: .npy, .npz, idx and idx.gz files, and folders of idx files."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from minivae.data.arrays import from_arrays, merge
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.idx import GZIP_MAGIC, file_errors, read_idx
from minivae.data.npy import NPY_MAGIC, ZIP_MAGIC, Npz, fold, read_npy

FORMS = ".npy, .npz, idx or idx.gz"
# Keys of a .npz, in the order tried; compared without case and with - read as _.
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
# What a file of another kind begins with, and what to do about it.
_STRANGERS = (
    (b"\x80", "a pickle, which minivae never loads; save the array with numpy.save"),
    (b"<", "a web page or XML; the download went wrong, fetch the file again"),
    (b"\x89PNG", "a single picture; stack pictures into an array and numpy.save it"),
    (b"\x89HDF", "HDF5; read it with h5py and save the array with numpy.save"),
    (b"MATLAB", "MATLAB; read it with scipy.io.loadmat and save the array with numpy.save"),
)


def load_file(path: Path, *, split: bool = True, shape: tuple[int, int] | None = None) -> Dataset:
    """The data in ``path``, as its content (never its name alone) says.

    Raises:
        DataError: missing, of no known form, not what its name says, damaged, or not usable rows.
    """
    if path.is_dir():
        path = _idx_in(path)
    reader = {"npy": _load_npy, "npz": _load_npz, "idx": _load_idx}[sniff(path)]
    dataset = reader(path, split, shape)
    return dataset if split else merge(dataset)


def sniff(path: Path) -> str:
    """``npy``, ``npz`` or ``idx`` by the file's first bytes, held against its name."""
    if not path.exists():
        raise missing_file(path)
    with file_errors(path), path.open("rb") as stream:
        first = stream.read(8)
    if not first:
        raise DataError(f"{path}: is empty (0 bytes); give a {FORMS} file with data in it")
    suffix = path.suffix.lower()
    found = None
    if first.startswith(NPY_MAGIC):
        found = "npy"
    elif first.startswith((ZIP_MAGIC, b"PK\x05\x06")):
        found = "npz"
    elif first.startswith(GZIP_MAGIC) or (first[:2] == b"\0\0" and len(first) >= 4):
        found = "idx"
    if found is None or (suffix in (".npy", ".npz") and suffix[1:] != found):
        is_what = f"it is {_form_name(found)}; rename it" if found else _stranger(first)
        claim = f"is not a {suffix} file: " if suffix in (".npy", ".npz", ".gz") else ""
        raise DataError(f"{path}: {claim}{is_what}")
    return found


def _form_name(form: str) -> str:
    return {"npy": "a .npy array", "npz": "a zip archive (.npz)", "idx": "idx or gzip data"}[form]


def _stranger(first: bytes) -> str:
    for magic, words in _STRANGERS:
        if first.startswith(magic):
            return f"it looks like {words}"
    if all(byte in b"0123456789+-.,;eE \t\r\n" for byte in first):
        return (
            "it looks like a table in text; convert it with "
            "numpy.save('data.npy', numpy.loadtxt('table.csv', delimiter=','))"
        )
    return f"its first bytes ({first[:4].hex(' ')}) are of no known form; give a {FORMS} file"


def missing_file(path: Path) -> DataError:
    """The error for a path that is not there, naming a near one if there is any."""
    folder = path.absolute().parent
    if not os.path.isdir(folder):  # false for a name too long, where Path.is_dir raises
        return DataError(f"{path}: there is no folder {folder}; check the path")
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "check the path"
    return DataError(f"{path}: there is no such file in {folder}; {hint}")


def _load_npy(path: Path, split: bool, shape: tuple[int, int] | None) -> Dataset:
    rows = read_npy(path)
    return from_arrays(rows, name=str(path), split=split, shape=shape, source=str(path))


def _load_idx(path: Path, split: bool, shape: tuple[int, int] | None) -> Dataset:
    train, found_shape = _idx_rows(path)
    labels = _idx_labels(path, "train")
    test_path = _beside(path, "train", ("t10k", "test"))
    test = None
    if test_path is not None:
        test, test_shape = _idx_rows(test_path)
        if test_shape != found_shape:
            raise DataError(
                f"{test_path}: pictures of {test_shape}, but {path.name} has {found_shape}; "
                "move the file that does not belong elsewhere"
            )
        labels |= _idx_labels(test_path, "test")
    return from_arrays(
        train,
        test,
        labels=labels,
        name=str(path),
        split=split,
        shape=shape or found_shape,
        source=str(path),
    )


def _idx_rows(path: Path) -> tuple[NDArray[Any], tuple[int, int] | None]:
    array = read_idx(path)
    if array.ndim == 1:
        raise DataError(
            f"{path}: holds {len(array)} single numbers (labels), not rows; "
            "give the file of pictures that belongs to it"
        )
    if array.ndim == 3 and array.size:  # the format itself says that these are pictures
        return array.reshape(len(array), -1), (array.shape[1], array.shape[2])
    return array, None


def _idx_labels(path: Path, part: str) -> dict[str, NDArray[Any]]:
    beside = _beside(path, "images-idx3", ("labels-idx1",))
    beside = beside or _beside(path, "images.idx3", ("labels.idx1",))
    return {} if beside is None else {part: read_idx(beside)}


def _beside(path: Path, old: str, news: tuple[str, ...]) -> Path | None:
    """The first file beside ``path`` named as it is with ``old`` replaced, compressed or not."""
    if old not in path.name:
        return None
    for new in news:
        name = path.name.replace(old, new)
        other = name[:-3] if name.endswith(".gz") else name + ".gz"
        for candidate in (path.with_name(name), path.with_name(other)):
            if candidate.is_file():
                return candidate
    return None


def _idx_in(folder: Path) -> Path:
    with file_errors(folder):
        found = sorted(p for p in folder.iterdir() if "train-images" in p.name and p.is_file())
        seen = sorted(p.name for p in folder.iterdir())[:6]
    if not found:
        listed = ", ".join(seen) if seen else "nothing"
        raise DataError(
            f"{folder}: is a folder without idx files named train-images… (it has {listed}); "
            f"give a {FORMS} file"
        )
    if len({p.name.removesuffix(".gz") for p in found}) > 1:
        raise DataError(
            f"{folder}: has several train-images files ({', '.join(p.name for p in found)}); "
            "give the path of one"
        )
    return found[0]


def _load_npz(path: Path, split: bool, shape: tuple[int, int] | None) -> Dataset:
    archive = Npz(path)
    keys = {fold(key): key for key in archive.keys}
    rows = {part: k for part, names in _ROW_KEYS.items() if (k := _first(keys, names))}
    tags = {part: k for part, names in _LABEL_KEYS.items() if (k := _first(keys, names))}
    if "train" not in rows:
        whole = _first(keys, _WHOLE_KEYS) or (archive.keys[0] if len(keys) == 1 else None)
        if whole is None:
            raise DataError(
                f"{path}: no key to train on; found {_listed(archive)}, need train, x_train or x "
                "(and test, valid, y_train, … as there are), or one array alone"
            )
        rows["train"] = whole
        label = _first(keys, _WHOLE_LABEL_KEYS)
        tags = {"train": label, **tags} if label else tags
    parts = {part: archive.read(key) for part, key in rows.items()}
    return from_arrays(
        parts["train"],
        parts.get("test"),
        parts.get("valid"),
        labels={part: archive.read(key) for part, key in tags.items() if part in parts},
        name=f"{path} ({rows['train']})",
        split=split,
        shape=shape,
        source=str(path),
    ).with_parts(name=str(path))


def _first(keys: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((keys[name] for name in names if name in keys), None)


def _listed(archive: Npz) -> str:
    names = [*archive.keys, *archive.other]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) + more) if names else "no arrays"
