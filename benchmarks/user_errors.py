"""What a user can mend, told in one line: errors of a command line, backends that cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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


def backend_or_exit(name: str, *, tf32: bool = False, bf16: bool = False) -> None:
    """Before minutes of peers are timed for a race that ours cannot run in."""
    from minivae.backend import load_backend

    with unavailable():
        load_backend(name, tf32=tf32, bf16=bf16)
