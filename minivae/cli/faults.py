"""A fault as one line on stderr, and the exit code that goes with it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from typing import Any

from minivae.messages import one_line
from minivae.processes import own_rank, processes

NAMED = 3  # names in a message
WAYS_OUT = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.EACCES: "check its rights, or choose another place",
    errno.EPERM: "check its rights, or choose another place",
    errno.EROFS: "choose another place",
    errno.EIO: "check the disk",
}
FOUND_BY_ALL = "found_by_all"  # marks a fault that every process of an mpiexec has
# Faults of the user's input, by class name, so that no heavy module need be imported to know them.
USAGE_FAULTS = (
    "ConfigError",
    "DataError",
    "UsageError",
    "BackendUnavailable",
    "Unavailable",
    "OutOfDeviceMemory",
    "OutOfMemoryError",  # CuPy's own
    "CheckpointError",
    "RunError",
    "ValueError",
    "FileNotFoundError",
    "IsADirectoryError",
    "NotADirectoryError",
)


def complain(text: str) -> None:
    """Print a line on stderr, where that can be written; under mpiexec, rank 0 alone does."""
    if own_rank() > 0:
        return
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def report_fault(fault: Exception) -> int:
    """Print a fault as one line on stderr and return its exit code."""
    if type(fault).__name__ == "NoArgsIsHelpError":  # Typer's way to show the help
        complain(str(getattr(fault, "message", fault)))
        return 2
    if type(fault).__name__ == "Abort":
        complain("stopped")
        return 130
    if type(fault).__name__ == "Interrupted":  # no fault: the state is saved, and it says where
        complain(describe(fault))
        return exit_code(fault)
    if os.environ.get("MINIVAE_DEBUG"):
        traceback.print_exception(fault)
    code = exit_code(fault)
    rank = "rank 0: " if processes() > 1 and not hasattr(fault, FOUND_BY_ALL) else ""
    complain(f"error: {rank}{describe(fault)}")
    return code


def describe(fault: Any) -> str:
    """The fault's message on one printable line; its class's name where it carries no message."""
    text = one_line(fault.format_message() if hasattr(fault, "format_message") else fault)
    if text.startswith("Got unexpected extra argument"):
        return _too_many(text)
    if not text and not isinstance(fault, MemoryError):
        return f"{type(fault).__name__} without a message; MINIVAE_DEBUG=1 shows where"
    if type(fault).__name__ == "OutOfDeviceMemory":  # names its own fix
        return text
    if isinstance(fault, MemoryError):
        of_what = f" ({text})" if text else ""
        return f"not enough memory{of_what}; ask for smaller sizes, a smaller batch or fewer draws"
    if isinstance(fault, OSError) and fault.strerror:  # without its number
        why = fault.strerror.lower()
        way_out = WAYS_OUT.get(fault.errno or 0, "check the path, or choose another place")
        if fault.filename is None:
            return f"{why}, while reading or writing; {way_out}"
        name = os.fsdecode(fault.filename).removesuffix(".tmp")  # which is written first
        return f"{one_line(name, 400)}: {why}; {way_out}"
    if isinstance(fault, (ValueError, OSError, RuntimeError)) or hasattr(fault, "format_message"):
        return text
    return f"{type(fault).__name__}: {text} (MINIVAE_DEBUG=1 shows where)"


def _too_many(text: str) -> str:
    """Names given beyond those taken: a name with spaces, or what a shell made of *.png."""
    names = text.partition(" (")[2].rstrip(")").split()
    more = " and more" if len(names) > NAMED else ""
    folder = "give the folder where they are pictures of one; " if more else ""
    return (
        f"takes no more names, but got {', '.join(names[:NAMED])}{more}; {folder}quote names with "
        "spaces; --help says what the command takes"
    )


def exit_code(fault: Exception) -> int:
    """2 for wrong usage and bad input, 130 / 143 for signals, 1 for anything else."""
    code = getattr(fault, "exit_code", None)
    if isinstance(code, int):
        return code
    if isinstance(fault, OSError) and fault.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return 2  # a name that no file can have
    names = {cls.__name__ for cls in type(fault).__mro__}
    return 2 if names & set(USAGE_FAULTS) else 1
