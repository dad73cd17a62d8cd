"""Ctrl-C and SIGTERM: the first asks the loop to save and stop, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

# SIGHUP is what a closed terminal sends; not every system has it.
WATCHED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class StopSignals:
    """Within ``with StopSignals() as stop``, ``stop.number`` is the signal that came, or None.

    watched: the signals; again: what a second one raises, SystemExit where None.

    Outside the main thread Python allows no handlers; there the block changes nothing.
    """

    def __init__(
        self, watched: tuple[int, ...] = WATCHED, again: BaseException | None = None
    ) -> None:
        self.watched, self.again = watched, again
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in self.watched:
                before = signal.getsignal(number)
                # nohup has SIGHUP ignored: then a closed terminal is to change nothing
                if number == getattr(signal, "SIGHUP", None) and before == signal.SIG_IGN:
                    continue
                self._before[number] = before
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before if before is not None else signal.SIG_DFL)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:  # asked twice: leave now; the last checkpoint is whole
            raise self.again or SystemExit(128 + number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells count."""
        return 128 + (self.number or 0)

    @property
    def name(self) -> str:
        """The signal in words."""
        if self.number == signal.SIGINT:
            return "Ctrl-C"
        return signal.Signals(self.number).name if self.number else "nothing"
