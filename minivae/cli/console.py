"""What a command says: messages, progress, and its result as text or as one JSON object."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from minivae.messages import one_line, printable
from minivae.processes import own_rank

UNREAD = 141  # the exit code where nobody reads the output: 128 + SIGPIPE, as shells count


class Console:
    """Where words go: stdout, or stderr where stdout is kept for one JSON object."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet

    def say(self, text: str = "") -> None:
        """A message that --quiet leaves out."""
        if not self.quiet:
            print(lines(text), file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def warn(self, text: str) -> None:
        """A message that is always shown, on stderr; under mpiexec by rank 0 alone."""
        if own_rank() == 0:
            print(f"note: {one_line(text)}", file=sys.stderr, flush=True)

    def result(self, value: Mapping[str, Any], text: str) -> None:
        """The command's result: one JSON object, or its text."""
        if self.as_json:
            print(to_json(value), flush=True)
        else:
            print(lines(text), flush=True)


def lines(text: str) -> str:
    """The text with its lines kept, and what a terminal would obey (in a file's name) escaped."""
    return "\n".join(printable(line) for line in text.split("\n"))


def to_json(value: Any) -> str:
    """One line of strict JSON; NaN and infinities, which JSON has not, become null."""
    return json.dumps(plain(value), allow_nan=False)


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays as lists, paths as text, NaN as None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(v) for v in value]
    return str(value)


def version_text() -> str:
    """The project's name and version."""
    from minivae import __version__

    return f"minivae {__version__}"


@contextmanager
def counting(
    what: str, total: int, console: Console
) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar with the time left on a terminal's stderr; nothing elsewhere."""
    if console.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, _: bar.update(task, completed=done)
