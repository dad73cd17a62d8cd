"""Arrays in other programs' files: SciPy's sparse matrices and MATLAB's .mat, through SciPy."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError
from minivae.data.reading import CHANNELS, MOST_IN_MEMORY

SPARSE_KEYS = {"format", "shape", "data"}


def read_sparse(path: Path) -> NDArray[Any]:
    """A matrix that ``scipy.sparse.save_npz`` wrote, as a dense one (N, D), float32 or uint8.

    Raises:
        DataError: damaged, not numbers, or too large to be dense.
    """
    from scipy.sparse import load_npz

    try:
        matrix = load_npz(path)
    except OSError:
        raise
    except Exception as error:  # SciPy and NumPy raise many kinds for a bad file
        raise DataError(f"{path}: is no whole SciPy sparse matrix ({error})") from None
    return dense(str(path), matrix)


def dense(where: str, matrix: Any) -> NDArray[Any]:
    """A SciPy sparse matrix as a dense one; DataError where it is too large or holds no numbers."""
    if matrix.dtype.kind not in "buif":
        raise DataError(f"{where}: a SciPy sparse matrix of {matrix.dtype}, not real numbers")
    kind = np.uint8 if matrix.dtype.kind == "b" else matrix.dtype
    _require_room(where, "a SciPy sparse matrix", matrix.shape, np.dtype(kind))
    return np.asarray(matrix.astype(kind).toarray())


class Mat:
    """The arrays of a MATLAB file (version 4 to 7), of which only those asked for are read.

    ``keys`` are the names of arrays of numbers with more than one value, ``words`` of arrays of
    text, which can be labels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = {name: (shape, kind) for name, shape, kind in self._read("whosmat")}
        self.other = [
            name for name, (shape, kind) in self.found.items()
            if kind not in _KINDS or math.prod(shape) < 2
        ]  # fmt: skip
        self.keys = [name for name in self.found if name not in self.other]
        self.words = [name for name in self.other if self.found[name][1] in _TEXTS]

    def read(self, key: str) -> NDArray[Any]:
        """The array under ``key``, rows first: pictures as (H, W, C, N) come back as (N, H, W, C).

        Raises DataError where it is damaged or too large.
        """
        shape, kind = self.found[key]
        if kind in _TEXTS:
            return self._read_words(key)
        if kind not in _KINDS:
            raise DataError(f"{self.path} ({key}): holds MATLAB's {kind}, not numbers")
        _require_room(f"{self.path} ({key})", f"an array of {kind}", shape, np.dtype(_KINDS[kind]))
        array = np.asarray(self._read("loadmat", variable_names=[key])[key])
        if array.ndim == 4 and array.shape[2] in CHANNELS and array.shape[3] not in CHANNELS:
            array = np.moveaxis(array, 3, 0)
        return np.ascontiguousarray(array)

    def _read_words(self, key: str) -> NDArray[Any]:
        """Text as a vector of strings: the rows of a matrix of characters, or one of each cell."""
        found = np.asarray(self._read("loadmat", variable_names=[key])[key]).ravel()
        words = [np.asarray(cell).ravel() for cell in found]
        if not all(word.size == 1 and word.dtype.kind in "Ubuif" for word in words):
            raise DataError(f"{self.path} ({key}): has cells that hold neither a text nor a number")
        return np.array([str(word[0]).strip() for word in words])

    def _read(self, function: str, **options: Any) -> Any:
        from scipy import io

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on duplicate names: the last counts
                return getattr(io, function)(self.path, **options)
        except NotImplementedError:
            raise DataError(
                f"{self.path}: MATLAB 7.3, which is HDF5; save it in MATLAB with -v7, or read it "
                "with h5py and save the array with numpy.save"
            ) from None
        except Exception as error:  # SciPy raises many kinds for a bad file
            if isinstance(error, OSError) and error.errno is not None:
                raise
            why = " ".join(str(error).split())[:120]
            raise DataError(f"{self.path}: is no whole MATLAB file ({why})") from None


_TEXTS = ("char", "cell")
_KINDS = {
    "double": "f8", "single": "f4", "logical": "u1",
    **{f"{sign}int{bits}": f"{'u' if sign else 'i'}{bits // 8}"
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip


def _require_room(where: object, what: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    size = math.prod(int(n) for n in shape) * dtype.itemsize
    if size > MOST_IN_MEMORY:
        raise DataError(
            f"{where}: {what} of shape {tuple(shape)}, {size / 1e9:.1f} GB as plain numbers; save "
            "fewer columns, or a dense float32 .npy, which is read piece by piece"
        )
