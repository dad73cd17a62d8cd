"""The run directory: its files, its lock, and what is checked before a run may use it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from minivae.runs import files
from minivae.runs.config_file import CONFIG, encode_config, read_config, unaltered_config
from minivae.runs.errors import RunError, describe_os_error
from minivae.runs.hints import quoted, whole
from minivae.runs.lock import LOCK, RunLock
from minivae.runs.metrics_log import MetricsLog
from minivae.runs.store import CheckpointStore

METRICS, CHECKPOINTS, PICTURES = "metrics.jsonl", "checkpoints", "pictures"
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

    The lock vanishes with the process, ``kill -9`` included, so no stale lock ever needs removing
    by hand. A new run's directory is claimed on entering; one to resume only by `claim`, so that a
    resume refused in between changes nothing in it.
    """

    def __init__(self, path: Path | str, *, resume: bool, keep: int = 3) -> None:
        self.path = Path(path)
        self.resume = resume
        self.checkpoints = CheckpointStore(self.path / CHECKPOINTS, keep)
        self.pictures = self.path / PICTURES
        self.metrics = MetricsLog(self.path / METRICS)
        self.lock = RunLock(self.path)
        self._config = b""  # as this process wrote it
        self._set_aside: Path | None = None  # where a damaged configuration is kept
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
            fix = "make it writable, or copy the run" if self.resume else "choose another --out"
            raise RunError(f"{parent} is not writable; {fix}")
        more = max(2, self.checkpoints.keep + 2 - len(self.checkpoints.numbered()))
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
            again = quoted(whole(self.path))
            raise RunError(
                f"{self.path} is not empty; continue that run with --resume {again}, or choose "
                "another --out directory"
            )

    def _is_empty(self) -> bool:
        """Nothing to lose: what a process leaves that is killed before its first record."""
        return not is_begun(self.path)

    def _existing_parent(self) -> Path:
        parent = self.path
        while not parent.exists():
            parent = parent.parent
        return parent

    def __enter__(self) -> RunDirectory:
        self._created = not self.path.exists()
        try:
            files.make_directory(self.path)
            self.lock.take()
            self._check_occupied()  # again, now that nobody else can fill it
            if not self.resume:
                self._prepare()
        except OSError as error:
            self.lock.release()
            self._undo()
            raise self._unusable(error) from error
        except BaseException:  # an interrupted notebook must be able to start it again
            self.lock.release()
            raise
        return self

    def claim(self, note: Callable[[str], None]) -> None:
        """Make the run to resume this process's own; RunError where it cannot be written.

        What a killed process left is removed; `note` is told where it is more than half a file.
        """
        try:
            self._prepare()
            self.checkpoints.drop_headless(note)
        except OSError as error:
            raise self._unusable(error) from error

    def _prepare(self) -> None:
        """Write this process's number into the lock, make the folders, and try the disk."""
        self.lock.sign()
        self.checkpoints.directory.mkdir(exist_ok=True)
        self.pictures.mkdir(exist_ok=True)
        self._probe()

    def _unusable(self, error: OSError) -> RunError:
        why, name = describe_os_error(error), error.filename
        which = name if name and Path(os.fsdecode(name)) != self.path else ""
        fix = f"look at {which}, or " if which else ""
        return RunError(f"cannot use {self.path}: {why}; {fix}choose another --out directory")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock.release()
        if isinstance(error, MemoryError) and not self.checkpoints.numbered():
            self._undo()

    def _undo(self) -> None:
        """A run that could not start leaves nothing behind."""
        if self._created:
            shutil.rmtree(self.path, ignore_errors=True)

    def _probe(self) -> None:
        """Write a little and remove it: a read-only or full disk shows before training."""
        self.checkpoints.clean()
        for leftover in self.path.iterdir():
            if is_leftover(leftover):
                leftover.unlink()
        probe = self.checkpoints.directory / ("probe" + files.TEMPORARY)
        try:
            files.write_synced(probe, b"\0" * 4096)
        finally:
            files.remove_quietly(probe)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json (settings, data, versions, environments) and its own sha256."""
        self._config = encode_config(config)
        if self._set_aside is not None:
            with contextlib.suppress(OSError):
                os.rename(self.path / CONFIG, self._set_aside)
            self._set_aside = None
        files.write_atomically(self.path / CONFIG, self._config)

    def restore_config(self) -> bool:
        """Write config.json again from memory where it is not as this process left it."""
        with contextlib.suppress(OSError):
            if files.read_file(self.path / CONFIG) == self._config:
                return False
        files.write_atomically(self.path / CONFIG, self._config)
        return True

    def require_ours(self) -> None:
        """RunError where the directory was removed or replaced: nothing is written into another."""
        if not self.lock.is_ours():
            raise RunError(
                f"{self.path} was removed or replaced while the run went on; what was trained "
                "since its last checkpoint is lost"
            )

    def read_config(self) -> dict[str, Any] | None:
        """config.json, or None if the run was stopped before it was written."""
        return read_config(self.path)

    def written_config(self, note: Callable[[str], None]) -> dict[str, Any] | None:
        """config.json as it was written; None, and a note, where it is damaged or was edited.

        What it said is known otherwise when a run is resumed, and the checkpoints say it again.
        """
        try:
            return unaltered_config(self.path)
        except RunError as fault:
            self._set_aside = files.damaged_name(self.path / CONFIG)
            note(f"{fault}; it is kept as {self._set_aside.name} and written again")
            return None


def is_begun(path: Path) -> bool:
    """Whether a run directory holds anything to go on with or to lose."""
    return path.is_dir() and any(is_content(entry) for entry in path.iterdir())


def is_content(entry: Path) -> bool:
    """Whether an entry of a run directory is more than a kill leaves before the first record.

    That is a lock, half-written files, and folders that hold nothing else.
    """
    if entry.is_dir() and not entry.is_symlink():
        return any(not inner.name.endswith(files.TEMPORARY) for inner in entry.iterdir())
    return entry.name != LOCK and not is_leftover(entry)


def is_leftover(entry: Path) -> bool:
    """Whether this is a file of ours that a kill left half-written."""
    return entry.name.startswith((CONFIG, METRICS)) and entry.name.endswith(files.TEMPORARY)
