"""The run directory: its files, its lock, and what is checked before a run may use it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from minivae.runs.checkpoint import TEMPORARY, encode_json, write_atomically
from minivae.runs.errors import RunError, describe_os_error
from minivae.runs.hints import quoted
from minivae.runs.metrics_log import MetricsLog
from minivae.runs.store import CheckpointStore

try:
    import fcntl
except ImportError:  # Windows has none: there two writers are not told apart
    fcntl = None  # type: ignore[assignment]

CONFIG, METRICS, CHECKPOINTS, PICTURES, LOCK = (
    "config.json",
    "metrics.jsonl",
    "checkpoints",
    "pictures",
    "lock",
)
MARGIN_BYTES = 8 * 2**20  # metrics and pictures


def next_run_path(dataset: str, root: Path | str = "runs") -> Path:
    """The first unused ``root/<dataset>-<n>``; nothing is created."""
    root = Path(root)
    number = 1
    while (root / f"{dataset}-{number}").exists():
        number += 1
    return root / f"{dataset}-{number}"


class RunDirectory:
    """A run's directory, held under its lock from ``with RunDirectory(...)`` to the end.

    The lock is the kernel's (``flock``): it vanishes with the process, ``kill -9`` included, so
    no stale lock ever needs removing by hand. A new run's directory is claimed on entering; one to
    resume only by `claim`, so that a resume refused in between changes nothing in it.
    """

    def __init__(self, path: Path | str, *, resume: bool, keep: int = 3) -> None:
        self.path = Path(path)
        self.resume = resume
        self.checkpoints = CheckpointStore(self.path / CHECKPOINTS, keep)
        self.pictures = self.path / PICTURES
        self.metrics = MetricsLog(self.path / METRICS)
        self._lock: int | None = None
        self._created = False

    def check(self, checkpoint_bytes: int) -> None:
        """Refuse, changing nothing, what is known to fail: occupied, unwritable or full places.

        Raises RunError with one line that names the fix.
        """
        self._check_occupied()
        parent = self._existing_parent()
        if not parent.is_dir():
            raise RunError(f"{parent} is a file; choose another --out directory")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise RunError(f"{parent} is not writable; choose another --out directory")
        more = max(2, self.checkpoints.keep + 2 - len(self.checkpoints.keys()))
        needed = checkpoint_bytes * more + MARGIN_BYTES
        free = shutil.disk_usage(parent).free
        if free < needed:
            raise RunError(
                f"{parent} has {free / 1e6:.1f} MB free and this run needs {needed / 1e6:.1f} MB; "
                "free some space, --keep fewer checkpoints, or choose another --out directory"
            )

    def _check_occupied(self) -> None:
        if not self.path.exists():
            if self.resume:
                raise RunError(f"{self.path} does not exist; there is no run to resume")
            return
        if not self.path.is_dir():
            raise RunError(f"{self.path} is a file; choose another --out directory")
        if not self.resume and not self._is_empty():
            raise RunError(
                f"{self.path} is not empty; continue that run with --resume {quoted(self.path)}, "
                "or choose another --out directory"
            )

    def _is_empty(self) -> bool:
        """No file but a lock, and no folder with something in it: nothing to lose."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not any(entry.iterdir()):
                continue
            if entry.name != LOCK:
                return False
        return True

    def _existing_parent(self) -> Path:
        parent = self.path
        while not parent.exists():
            parent = parent.parent
        return parent

    def __enter__(self) -> RunDirectory:
        self._created = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._check_occupied()  # again, now that nobody else can fill it
            if not self.resume:
                self._prepare()
        except OSError as error:
            self._release()
            self._undo()
            raise self._unusable(error) from error
        except RunError:
            self._release()
            raise
        return self

    def claim(self) -> None:
        """Make the run to resume this process's own; RunError where it cannot be written."""
        try:
            self._prepare()
        except OSError as error:
            raise self._unusable(error) from error

    def _prepare(self) -> None:
        """Write this process's number into the lock, make the folders, and try the disk."""
        assert self._lock is not None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        self.checkpoints.directory.mkdir(exist_ok=True)
        self.pictures.mkdir(exist_ok=True)
        self._probe()

    def _unusable(self, error: OSError) -> RunError:
        why = describe_os_error(error)
        return RunError(f"cannot use {self.path}: {why}; choose another --out directory")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()
        if isinstance(error, MemoryError) and not self.checkpoints.keys():
            self._undo()

    def _undo(self) -> None:
        """A run that could not start leaves nothing behind."""
        if self._created:
            shutil.rmtree(self.path, ignore_errors=True)

    def _take_lock(self) -> None:
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        if fcntl is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            self._lock = None
            raise RunError(
                f"{self.path} is in use by process {pid}; wait for it, stop it, "
                "or choose another --out directory"
            ) from None

    def _probe(self) -> None:
        """Write a little and remove it: a read-only or full disk shows before training."""
        self.checkpoints.clean()
        for leftover in self.path.glob("*" + TEMPORARY):
            leftover.unlink()
        probe = self.checkpoints.directory / ("probe" + TEMPORARY)
        try:
            with open(probe, "wb") as file:
                file.write(b"\0" * 4096)
                file.flush()
                os.fsync(file.fileno())
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json (configurations, data, versions, threads)."""
        write_atomically(self.path / CONFIG, encode_json(config))

    def read_config(self) -> dict[str, Any] | None:
        """config.json, or None if the run was stopped before it was written."""
        return read_config(self.path)


def read_config(path: Path | str) -> dict[str, Any] | None:
    """A run directory's config.json; None if there is none, RunError if it is unreadable."""
    file = Path(path) / CONFIG
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read {file}: {describe_os_error(error)}") from error
    except ValueError:
        raise RunError(f"{file} is damaged (not JSON); it cannot be used") from None
    if not isinstance(config, dict):
        raise RunError(f"{file} is no run configuration")
    return config
