"""Users' idx files: pictures with the labels and the test part that lie beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from minivae.data.arrays import from_file_arrays
from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.data.idx import file_errors, read_idx
from minivae.data.reading import Reading


def load_idx(path: Path, reading: Reading) -> Dataset:
    """The pictures or rows in ``path``, with what lies beside it under idx's usual names."""
    reading.refuse(path, "idx files, whose labels lie beside them", "label", "resize", "one_hot")
    train = _rows(path)
    labels = _labels(path, "train")
    test_path = _beside(path, "train", ("t10k", "test"))
    test = None
    if test_path is not None:
        test = _rows(test_path)
        if test.shape[1:] != train.shape[1:]:
            raise DataError(
                f"{test_path}: pictures of {test.shape[1:]}, but {path.name} has "
                f"{train.shape[1:]}; move the file that does not belong elsewhere"
            )
        labels |= _labels(test_path, "test")
    return from_file_arrays(path, reading, train, test, labels=labels)


def find_idx(folder: Path) -> Path | None:
    """The one file of training pictures in a folder, None where there is none; DataError: many."""
    with file_errors(folder):
        found = sorted(p for p in folder.iterdir() if "train-images" in p.name and p.is_file())
    if len({p.name.removesuffix(".gz") for p in found}) > 1:
        raise DataError(
            f"{folder}: has several train-images files ({', '.join(p.name for p in found)}); "
            "give the path of one"
        )
    return found[0] if found else None


def _rows(path: Path) -> NDArray[Any]:
    array = read_idx(path)
    if array.ndim == 1:
        raise DataError(
            f"{path}: holds {len(array)} single numbers (labels), not rows; "
            "give the file of pictures that belongs to it"
        )
    return array


def _labels(path: Path, part: str) -> dict[str, NDArray[Any]]:
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
