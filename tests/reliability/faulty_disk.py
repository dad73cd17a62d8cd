"""A disk that fails, tears a write or loses its process at a chosen operation.

Every call of the system that reads or changes something below a folder is counted. The n-th one
fails once or from then on, is done by half, or is the moment at which the process dies: from there
on no call reaches the disk, so that no clean-up of a dying process tidies what a real one would
leave. Python's own files (`open`, `Path.read_bytes`, `np.save`) go through the same calls within
the block: they are those of `_pyio`, which asks `os` for all it does.
"""

from __future__ import annotations

import _pyio
import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

REAL = {
    name: getattr(os, name)
    for name in (
        "open", "close", "write", "fsync", "replace", "rename", "link", "unlink", "mkdir",
        "ftruncate", "read", "listdir", "scandir", "lseek",
    )
}  # fmt: skip
READING = ("look", "read", "list")  # kinds that change nothing
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Died(BaseException):
    """The process is gone; nothing but the test may catch it."""


class Operation(NamedTuple):
    """One call, as it was asked for."""

    # create, open, write, fsync, sync-folder, replace, link, unlink, mkdir, truncate; look (open
    # to read), read, list
    kind: str
    path: str
    data: bytes = b""
    target: str = ""
    offset: int = 0  # of a write


class FaultyDisk:
    """Counts and records the operations below `root`; `at` and `fault` say what goes wrong.

    fault: "once" and "for good" raise EIO or ENOSPC, "torn" does half a write (or all of another
    operation) and dies, or reads half of what there is and lives; "dies" dies before it.
    reads: whether reading is counted, and may fail, as well.
    """

    def __init__(
        self, root: Path, at: int = -1, fault: str = "dies", *, reads: bool = False
    ) -> None:
        self.root, self.at, self.fault, self.reads = os.fspath(root), at, fault, reads
        self.log: list[Operation] = []
        self.dead = False
        self._paths: dict[int, tuple[str, bool]] = {}  # descriptor -> path, whether a folder
        self._appending: set[int] = set()

    def _do(self, operation: Operation, real: Callable[[], Any]) -> Any:
        """Let an operation through, or not."""
        if self.dead:
            raise Died
        number = len(self.log)
        self.log.append(operation)
        if number != self.at and not (self.fault == "for good" and number > self.at >= 0):
            return real()
        if operation.kind in READING and self.fault == "torn":
            return real()
        if self.fault == "dies":
            self.dead = True
            raise Died
        if self.fault == "torn":
            self.dead = True
            if operation.kind != "write":
                real()
            raise Died
        lasting = errno.EIO if operation.kind in READING else errno.ENOSPC
        code = errno.EIO if self.fault == "once" else lasting
        raise OSError(code, os.strerror(code), operation.path)

    def _ours(self, path: Any) -> str | None:
        if isinstance(path, int):
            return None
        text = os.path.abspath(os.fsdecode(path))
        return text if text == self.root or text.startswith(self.root + os.sep) else None

    def open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        ours = self._ours(path) if not more else None
        if ours is None:
            return int(REAL["open"](path, flags, mode, **more))
        folder = os.path.isdir(ours)
        if not flags & WRITES:
            look = lambda: REAL["open"](path, flags, mode)  # noqa: E731
            counted = self.reads and not folder and os.path.lexists(ours)
            descriptor = int(self._do(Operation("look", ours), look) if counted else look())
            self._paths[descriptor] = ours, folder
            return descriptor
        kind = "create" if flags & os.O_CREAT and not os.path.lexists(ours) else "open"
        real = lambda: REAL["open"](path, flags, mode)  # noqa: E731
        descriptor = real() if kind == "open" else self._do(Operation("create", ours), real)
        self._paths[descriptor] = ours, False
        if flags & os.O_APPEND:
            self._appending.add(descriptor)
        return int(descriptor)

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        self._appending.discard(descriptor)
        REAL["close"](descriptor)

    def write(self, descriptor: int, data: Any) -> int:
        if descriptor not in self._paths:
            return int(REAL["write"](descriptor, data))
        path, whole = self._paths[descriptor][0], bytes(data)
        before = self.dead
        end = os.SEEK_END if descriptor in self._appending else os.SEEK_CUR
        asked = Operation("write", path, whole, offset=REAL["lseek"](descriptor, 0, end))
        try:
            return int(self._do(asked, lambda: REAL["write"](descriptor, data)))
        except Died:
            if self.fault == "torn" and not before:
                REAL["write"](descriptor, whole[: len(whole) // 2])
            raise

    def read(self, descriptor: int, size: int) -> bytes:
        if descriptor not in self._paths or not self.reads:
            return bytes(REAL["read"](descriptor, size))
        number = len(self.log)
        real = lambda: REAL["read"](descriptor, size)  # noqa: E731
        found = bytes(self._do(Operation("read", self._paths[descriptor][0]), real))
        if number != self.at or self.fault != "torn" or len(found) < 2:
            return found
        half = len(found) // 2  # as the system may: who reads has to ask for the rest
        REAL["lseek"](descriptor, half - len(found), os.SEEK_CUR)
        return found[:half]

    def _listed(self, name: str) -> Callable[..., Any]:
        def call(path: Any = ".", *rest: Any) -> Any:
            ours = self._ours(path) if self.reads else None
            done = lambda: REAL[name](path, *rest)  # noqa: E731
            return done() if ours is None else self._do(Operation("list", ours), done)

        return call

    def fsync(self, descriptor: int) -> None:
        """Nothing reaches a real disk: the tests judge what was asked for."""
        if descriptor in self._paths:
            path, folder = self._paths[descriptor]
            self._do(Operation("sync-folder" if folder else "fsync", path), lambda: None)

    def ftruncate(self, descriptor: int, size: int) -> None:
        real = lambda: REAL["ftruncate"](descriptor, size)  # noqa: E731
        if descriptor in self._paths:
            self._do(Operation("truncate", self._paths[descriptor][0]), real)
        else:
            real()

    def _named(self, kind: str, real: str) -> Callable[..., Any]:
        def call(path: Any, *rest: Any, **more: Any) -> Any:
            ours = self._ours(path) if not more.get("dir_fd") else None
            done = lambda: REAL[real](path, *rest, **more)  # noqa: E731
            if ours is None:
                return done()
            if real in ("unlink", "mkdir") and os.path.lexists(ours) == (real == "mkdir"):
                return done()  # it will be refused, and changes nothing
            target = os.path.abspath(os.fsdecode(rest[0])) if kind in ("replace", "link") else ""
            return self._do(Operation(kind, ours, target=target), done)

        return call

    @contextmanager
    def below(self) -> Iterator[FaultyDisk]:
        """Within the block the system's calls go through this disk."""
        ours = {
            "open": self.open, "close": self.close, "write": self.write, "fsync": self.fsync,
            "ftruncate": self.ftruncate, "replace": self._named("replace", "replace"),
            "rename": self._named("replace", "rename"), "link": self._named("link", "link"),
            "unlink": self._named("unlink", "unlink"), "mkdir": self._named("mkdir", "mkdir"),
            "read": self.read, "listdir": self._listed("listdir"),
            "scandir": self._listed("scandir"),
        }  # fmt: skip
        with (
            mock.patch.multiple(os, **ours), mock.patch.object(builtins, "open", _pyio.open),
            mock.patch.object(io, "open", _pyio.open),
        ):  # fmt: skip
            yield self
