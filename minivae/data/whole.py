"""A file that is written whole or not at all, and is on the disk before it counts as written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


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
        _sync(path.parent)
    finally:
        new.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make a new name in a folder survive a power cut (where the system can)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
