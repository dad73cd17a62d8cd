"""A file that is written whole or not at all, and is on the disk before it counts as written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Have `write` fill a new file, then put it in the place of any that was there.

    Raises OSError where the disk refuses; what was there before is then still there, whole.
    """
    new = path.with_name(f".part-{secrets.token_hex(8)}")
    try:
        with new.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
        sync_directory(path.parent)
    finally:
        new.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make new names in ``directory`` survive a power cut (where the system can)."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_named(stream: IO[bytes], arrays: Mapping[str, Any], *, compressed: bool = False) -> None:
    """Write named arrays as .npz; ValueError for one of Python objects, which would be pickled.

    To older versions of NumPy, its own switch against that is one more array of the file.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"{name} holds Python objects: give it numbers or text")
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
