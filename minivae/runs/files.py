"""Every touch of a run's files: bounded reads, whole writes, and never through a link.

What is written is on the disk before it is called written. A run directory may lie where others
can write: a link planted in it must not lead a write elsewhere, and a pipe must not hold a read up.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from minivae.data.whole import sync_directory
from minivae.runs.errors import RunError, describe_os_error

TEMPORARY = ".tmp"
MOST_OF_TEXT = 64 * 2**20  # bytes of a JSON file; a manifest has some kilobytes

# O_NONBLOCK: opening a pipe would else wait for its other end. Windows has only O_BINARY.
_SAFE = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_FOLLOW = _SAFE & ~getattr(os, "O_NOFOLLOW", 0)


def read_file(path: Path, most: int = MOST_OF_TEXT, *, grows: bool = False) -> bytes:
    """The bytes of a regular file. Raises OSError where it is none or holds more than `most`.

    One that `grows`, as a log does beside its writer, is read as it was when it was opened; of any
    other file it is a fault. What the disk fails to read once (EIO) is read once more.
    """
    try:
        return _read_once(path, most, grows)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return _read_once(path, most, grows)


def _read_once(path: Path, most: int, grows: bool) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | _FOLLOW)
    try:
        size = require_regular(descriptor, path).st_size
    except OSError:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:
        if size > most:
            raise OSError(f"it holds {size:,} bytes, and {most:,} are the most that are read")
        data = file.read(size if grows else size + 1)
    if len(data) > size:
        raise OSError("it grew while it was read")
    return data


def require_regular(descriptor: int, path: Path) -> os.stat_result:
    """The state of an opened file; OSError where it is a folder, a pipe or a device."""
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        error = OSError("it is no regular file")
        error.filename = path
        raise error
    return state


def open_own(path: Path) -> int:
    """Open for reading and writing, made where it is missing; OSError where it is a link."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE, 0o644)
    try:
        require_regular(descriptor, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file, in place of any of that name, and have it on the disk. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # not opened again: it could be a link
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o666)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data, in as many pieces as the system takes."""
    rest = memoryview(data)
    while len(rest):
        rest = rest[os.write(descriptor, rest) :]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one step: temporary file, fsync, rename, fsync directory.

    Raises RunError when the disk refuses; the old file is then still there, whole.
    """
    try:
        replace_synced(path, data)
        sync_directory(path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {describe_os_error(error)}") from error


def replace_synced(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``, but for the folder, which the caller syncs. Raises OSError."""
    try:
        write_synced(temporary(path), data)
        os.replace(temporary(path), path)
    except OSError:
        remove_quietly(temporary(path))
        raise


def put_in_place(new: Path, path: Path) -> None:
    """Give a file that was written its name, once its contents are on the disk. Raises OSError."""
    descriptor = os.open(new, os.O_RDWR | _SAFE)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(new, path)
    sync_directory(path.parent)


def append_synced(path: Path, line: bytes, end: int) -> None:
    """Append to a file of `end` bytes, and have it on the disk.

    Raises FileNotFoundError where the file is gone, ChangedFile where it has another size.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | _SAFE)
    try:
        if require_regular(descriptor, path).st_size != end:
            raise ChangedFile("its size changed")
        write_all(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ChangedFile(OSError):
    """A file is not as it was left."""


def temporary(path: Path) -> Path:
    """The name under which a file is written before it takes its place."""
    return path.with_name(path.name + TEMPORARY)


def make_directory(path: Path) -> None:
    """Make a folder and those above it that are missing, each on the disk. Raises OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_directory(folder.parent)


def remove_quietly(path: Path) -> None:
    """Remove a file that may or may not be there; a leftover is harmless."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def damaged_name(path: Path) -> Path:
    """The first free ``NAME.damaged-N``: where what is damaged is kept."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    return aside
