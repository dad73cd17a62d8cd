"""What a user can mend, told in one line: errors of a command line, backends that cannot run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(ValueError):
    """Something the user can mend; printed as one line."""


@contextmanager
def user_errors(*errors: type[Exception]) -> Iterator[None]:
    """These errors as UserError: what the user can mend is one line, without a traceback."""
    try:
        yield
    except errors as error:
        raise UserError(str(error)) from None


@contextmanager
def unavailable() -> Iterator[None]:
    """A backend that cannot run here, and memory that ends, are such errors."""
    from minivae.backend import BackendUnavailable

    with user_errors(BackendUnavailable, MemoryError):
        yield


def backend_or_exit(
    name: str, threads: int | None = None, *, tf32: bool = False, bf16: bool = False
) -> None:
    """Before minutes of peers are timed for a race that ours cannot run in."""
    from minivae.backend import load_backend

    with unavailable():
        load_backend(name, threads, tf32=tf32, bf16=bf16)


def writable(option: str, *files: str) -> None:
    """UserError where a file cannot be written, before the work that is to fill it; "" is none."""
    for name in filter(None, files):
        path = Path(name)
        if not path.parent.is_dir():
            raise UserError(f"{option} {name}: there is no folder {path.parent}")
        if path.is_dir():
            raise UserError(f"{option} {name}: is a folder, not a file")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UserError(f"{option} {name}: may not be written")


PICTURES = (".svg", ".png", ".pdf")


def drawable(option: str, name: str) -> None:
    """UserError where a picture cannot be written to this file; "" is none."""
    if name and Path(name).suffix not in PICTURES:
        raise UserError(f"{option} {name}: a picture ends in {', '.join(PICTURES)}")
    writable(option, name)


def at_least_one(option: str, numbers: list[int]) -> None:
    """UserError unless all of them are from 1 on."""
    if min(numbers) < 1:
        raise UserError(f"{option} is {min(numbers)}; it must be at least 1")


def positive(option: str, seconds: float) -> None:
    """UserError unless it is above 0; NaN is not."""
    if not seconds > 0:
        raise UserError(f"{option} must be positive")
