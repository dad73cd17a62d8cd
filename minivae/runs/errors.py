"""The ways a run can end other than well, each with one clear line and an exit code."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from minivae.messages import one_line


class RunError(RuntimeError):
    """A run cannot start, go on or be read: what, where, and what to do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))  # names and values in it come from files


class CheckpointError(RunError):
    """A checkpoint is missing, damaged, or belongs to another model or other data."""


class Diverged(RunError):
    """A step produced NaN or infinity; the last good state was kept."""

    exit_code = 1

    def __init__(self, message: str, run_dir: Path | None = None) -> None:
        super().__init__(message)
        self.run_dir = run_dir


class Interrupted(RunError):
    """The run was stopped from outside after its state was saved.

    ``code`` is the exit status a shell expects (130 for Ctrl-C, 143 for SIGTERM, 141 for output
    that nobody reads).
    """

    def __init__(self, message: str, code: int, run_dir: Path | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = code
        self.run_dir = run_dir


def describe_os_error(error: OSError) -> str:
    """The system's own words for ``error``, without the number and the path."""
    if error.errno == errno.ELOOP:
        return "it is a symbolic link; remove it"
    if error.errno:
        return os.strerror(error.errno).lower()
    return str(error.args[0]) if error.args else type(error).__name__
