"""The lock of a run directory: held by the process, so that it vanishes with it.

It is the system's own (``flock``; on Windows a locked byte): after ``kill -9`` nothing has to be
removed by hand. The process's number is written into the file for people. The package filelock
(4.3) was tried and keeps less: on a file system without ``flock`` it goes over to a marker file,
which outlives its process, and it locks no folder.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from minivae.runs import files
from minivae.runs.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # anything else
    msvcrt = None  # type: ignore[assignment]

LOCK = "lock"
FAR = 2**30  # the byte that Windows locks: beyond the number, which others must be able to read


class RunLock:
    """The lock on one run directory; OSError where the directory or the file cannot be used.

    The folder itself is locked as well, where the system can: the file could be removed by hand,
    and a new one would belong to the next process.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file: int | None = None
        self._folder: int | None = None

    def take(self) -> None:
        """Take the lock, or raise RunError with the number of the process that has it."""
        self._file = files.open_own(self.directory / LOCK)
        try:
            _lock(self._file)
            if os.name == "posix":
                self._folder = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
                _lock_folder(self._folder)
        except BlockingIOError:
            number = os.read(self._file, 32).decode("ascii", errors="replace").strip()
            self.release()
            raise RunError(
                f"{self.directory} is in use by process {number or 'unknown'}; wait for it, stop "
                "it, or choose another --out directory"
            ) from None

    def sign(self) -> None:
        """Write this process's number into the lock."""
        assert self._file is not None
        if os.fstat(self._file).st_nlink == 1:  # a second name of a file that is not ours to change
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            files.write_all(self._file, f"{os.getpid()}\n".encode())

    def is_ours(self) -> bool:
        """Whether the directory at this path is still the one that was locked."""
        if self._folder is None:
            return self._file is not None
        with contextlib.suppress(OSError):
            return os.path.samestat(os.stat(self.directory), os.fstat(self._folder))
        return False

    def release(self) -> None:
        """Let go; nothing happens where it was not held."""
        for handle in (self._file, self._folder):
            if handle is not None:
                os.close(handle)
        self._file = self._folder = None


def _lock(descriptor: int) -> None:
    """Lock the file for this process alone; BlockingIOError where another has it."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        os.lseek(descriptor, FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)


def _lock_folder(descriptor: int) -> None:
    """Lock a folder for this process alone; where none can be locked, the file's lock is all."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass


def running_process(path: Path) -> int | None:
    """The process that a lock file names, where one of that number runs; nothing is locked."""
    try:
        number = int(files.read_file(path, 64).decode("ascii").strip() or 0)
        if number <= 0 or os.name != "posix":
            return None
        os.kill(number, 0)
    except PermissionError:  # another user's
        return number
    except (OSError, ValueError, OverflowError):
        return None
    return number
