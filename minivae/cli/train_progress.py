"""How `minivae train` shows where it is: lines, a bar, or notes alone."""

from __future__ import annotations

import contextlib
import sys

from minivae.cli.console import Console
from minivae.messages import as_it_stands, one_line, printable
from minivae.runs.errors import describe_os_error
from minivae.training.progress import (
    NullReporter,
    PlainReporter,
    Reporter,
    RichReporter,
    Start,
)


class Lines(PlainReporter):
    """A line per epoch, after one that says where the run is kept; as long as they are read."""

    unread: OSError | None = None  # what kept a line from being written

    def _line(self, text: str) -> None:
        try:
            if self.unread is None:
                super()._line(text)
        except OSError as error:  # the pipe's reader (head, a pager) went away, or a full disk
            self.unread = error

    @property
    def why_unread(self) -> str:
        """What kept a line from being written, in words."""
        if isinstance(self.unread, BrokenPipeError):
            return "nobody reads its output"
        return f"its output cannot be written ({describe_os_error(self.unread or OSError())})"

    def start(self, start: Start) -> None:
        self._line(f"run      {start.run_dir}")
        super().start(start)


class Bar(RichReporter):
    """A progress bar, after a line that says where the run is kept."""

    def start(self, start: Start) -> None:
        self.console.print(as_it_stands(f"run      {printable(str(start.run_dir))}"))
        super().start(start)


class Notes(NullReporter):
    """What --quiet leaves: notes, on stderr, such as that a damaged checkpoint is passed over."""

    def note(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a run goes on without its notes
            print(f"note: {one_line(text)}", file=sys.stderr, flush=True)


def reporter_for(console: Console) -> Reporter:
    """A bar on a terminal, lines elsewhere, notes with --quiet; stdout kept free for --json."""
    if console.quiet:
        return Notes()
    if sys.stderr.isatty() and (console.as_json or sys.stdout.isatty()):
        return Bar()
    return Lines(sys.stderr if console.as_json else sys.stdout)
