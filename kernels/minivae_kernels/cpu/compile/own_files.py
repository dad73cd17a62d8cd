"""Files that nobody but this user (or root) can have written: the only ones whose code is run.

Machine code from the disk runs with all of the user's rights. So a folder or file counts only if
it belongs to the user or to root and nobody else may write to it; links, pipes and devices never
count. What is asked is asked of the opened file, not of its name, which could change in between.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

# Windows keeps a user's files apart by other means, and has none of these calls.
OWNED = hasattr(os, "geteuid") and os.open in os.supports_dir_fd
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def require_own(descriptor: int) -> None:
    """Raise PermissionError unless only this user (or root) could have written this."""
    state = os.fstat(descriptor)
    if state.st_uid not in (0, os.geteuid()) or state.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError("others may write to it")


@contextlib.contextmanager
def own_folder(path: Path) -> Iterator[int | None]:
    """The folder's descriptor, for calls with ``dir_fd`` (None on Windows).

    Raises OSError where it is absent, no folder, a link, or one that others may write to.
    """
    if not OWNED:
        yield None
        return
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        require_own(folder)
        yield folder
    finally:
        os.close(folder)


def make_own_folder(path: Path) -> None:
    """Make the folder, and those above it that are missing, for this user alone.

    Raises OSError where it cannot be made, or is there and others may write to it.
    """
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    with own_folder(path):
        pass


def read_own(path: Path) -> bytes:
    """The file's bytes. Raises OSError where it, or its folder, is not the user's own."""
    if not OWNED:
        return path.read_bytes()
    with own_folder(path.parent) as folder:
        # O_NONBLOCK: to open a pipe would else wait for a writer
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=folder)
        with open(descriptor, "rb") as stream:
            require_own(descriptor)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PermissionError("it is no file")
            return stream.read()


@contextlib.contextmanager
def _not_cut_short() -> Iterator[None]:
    """A signal that would end this process on the spot waits until this is done."""
    came: list[int] = []
    here = threading.current_thread() is threading.main_thread()  # no other may handle signals
    held = [n for n in _ENDINGS if here and signal.getsignal(n) == signal.SIG_DFL]
    for number in held:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, signal.SIG_DFL)
        for number in came:
            signal.raise_signal(number)


def write_own(path: Path, data: bytes) -> None:
    """Write the file whole or not at all, readable by this user alone. Raises OSError."""
    temporary = f"{path.name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with own_folder(path.parent) as folder, _not_cut_short():
        beside = "" if OWNED else f"{path.parent}{os.sep}"
        at: dict[str, int | None] = {"dir_fd": folder} if OWNED else {}
        both = {"src_dir_fd": folder, "dst_dir_fd": folder} if OWNED else {}
        try:
            with open(os.open(beside + temporary, flags, 0o600, **at), "wb") as stream:
                stream.write(data)
            os.replace(beside + temporary, beside + path.name, **both)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside + temporary, **at)
            raise
