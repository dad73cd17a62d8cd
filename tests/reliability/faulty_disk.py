"""A disk that fails, tears a write or loses its process at a chosen operation.

Every call of the system that changes something below a folder is counted. The n-th one fails once
or from then on, is done by half, or is the moment at which the process dies: from there on no call
reaches the disk, so that no clean-up of a dying process tidies what a real one would leave.
"""

from __future__ import annotations

import errno
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
        "ftruncate",
    )
}  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Died(BaseException):
    """The process is gone; nothing but the test may catch it."""


class Operation(NamedTuple):
    """One change of the disk, as it was asked for."""

    kind: str  # open, write, fsync, sync-folder, replace, link, unlink, mkdir, truncate
    path: str
    data: bytes = b""
    target: str = ""


class FaultyDisk:
    """Counts and records the operations below `root`; `at` and `fault` say what goes wrong.

    fault: "once" and "for good" raise EIO or ENOSPC, "torn" does half a write (or all of another
    operation) and dies, "dies" dies before it.
    """

    def __init__(self, root: Path, at: int = -1, fault: str = "dies") -> None:
        self.root, self.at, self.fault = os.fspath(root), at, fault
        self.log: list[Operation] = []
        self.dead = False
        self._paths: dict[int, tuple[str, bool]] = {}  # descriptor -> path, whether a folder

    def _do(self, operation: Operation, real: Callable[[], Any]) -> Any:
        """Let an operation through, or not."""
        if self.dead:
            raise Died
        number = len(self.log)
        self.log.append(operation)
        if number != self.at and not (self.fault == "for good" and number > self.at >= 0):
            return real()
        if self.fault == "dies":
            self.dead = True
            raise Died
        if self.fault == "torn":
            self.dead = True
            if operation.kind != "write":
                real()
            raise Died
        code = errno.EIO if self.fault == "once" else errno.ENOSPC
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
            descriptor = int(REAL["open"](path, flags, mode))
            if folder:
                self._paths[descriptor] = ours, True
            return descriptor
        kind = "create" if flags & os.O_CREAT and not os.path.lexists(ours) else "open"
        real = lambda: REAL["open"](path, flags, mode)  # noqa: E731
        descriptor = real() if kind == "open" else self._do(Operation("create", ours), real)
        self._paths[descriptor] = ours, False
        return int(descriptor)

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        REAL["close"](descriptor)

    def write(self, descriptor: int, data: Any) -> int:
        if descriptor not in self._paths:
            return int(REAL["write"](descriptor, data))
        path, whole = self._paths[descriptor][0], bytes(data)
        before = self.dead
        try:
            return int(
                self._do(Operation("write", path, whole), lambda: REAL["write"](descriptor, data))
            )
        except Died:
            if self.fault == "torn" and not before:
                REAL["write"](descriptor, whole[: len(whole) // 2])
            raise

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
        }  # fmt: skip
        with mock.patch.multiple(os, **ours):
            yield self
