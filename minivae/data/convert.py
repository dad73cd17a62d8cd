"""From the originals, as their authors publish them, to the compact files kept here.

Every converter returns arrays whose content is then held against known sha256 sums, so an original
that was changed on its way, or read in the wrong order, is never kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError
from minivae.data.named import content_sha256
from minivae.data.npy import Npz
from minivae.data.registry import DatasetEntry
from minivae.data.whole import save_named, write_whole

Arrays = dict[str, NDArray[Any]]
_PIXELS = 784


def frey_mat(paths: list[Path]) -> Arrays:
    """S. Roweis's MATLAB file: ``ff``, one frame a column, (560, 1965)."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise DataError("frey: reading MATLAB's format needs SciPy; pip install scipy") from None
    try:
        frames = loadmat(io.BytesIO(paths[0].read_bytes()), variable_names=["ff"])["ff"]
    except Exception as error:  # SciPy raises many kinds for a bad file
        raise DataError(f"frey: {paths[0].name} is not the known MATLAB file ({error})") from None
    return {"": np.ascontiguousarray(frames.T)}


def binarized_amat(paths: list[Path]) -> Arrays:
    """Larochelle's text files, in the order train, valid, test: 0s and 1s apart by spaces."""
    arrays = {}
    for part, path in zip(("train", "valid", "test"), paths, strict=True):
        text = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        digits = text[text > ord(" ")] - ord("0")
        if digits.size == 0 or digits.size % _PIXELS or digits.max() > 1:
            raise DataError(f"binarized-mnist: {path.name} is not rows of {_PIXELS} 0s and 1s")
        arrays[part] = np.packbits(digits.reshape(-1, _PIXELS), axis=1)
    return arrays


def binarized_made(paths: list[Path]) -> Arrays:
    """Binarised MNIST as released with MADE (Germain et al. 2015), float arrays in one .npz."""
    archive = Npz(paths[0])
    lacking = [k for k in ("train_data", "valid_data", "test_data") if k not in archive.keys]
    if lacking:
        raise DataError(f"binarized-mnist: {paths[0].name} lacks {', '.join(lacking)}")
    return {
        part: np.packbits(archive.read(f"{part}_data").astype(bool), axis=1)
        for part in ("train", "valid", "test")
    }


CONVERTERS: dict[str, Callable[[list[Path]], Arrays]] = {
    "frey_mat": frey_mat,
    "binarized_amat": binarized_amat,
    "binarized_made": binarized_made,
}


def keep(arrays: Arrays, entry: DatasetEntry, folder: Path) -> Path:
    """Check the arrays' content and write them under their final name, whole or not at all."""
    for key, known in entry.arrays.items():
        if key not in arrays or content_sha256(arrays[key]) != known:
            raise DataError(f"{entry.name}: the converted values are not the published ones")
    final = folder / entry.files[0].name
    write_whole(final, lambda stream: _save(stream, arrays))
    return final


def _save(stream: IO[bytes], arrays: Arrays) -> None:
    if "" in arrays:
        np.save(stream, arrays[""], allow_pickle=False)
    else:
        save_named(stream, arrays, compressed=True)
