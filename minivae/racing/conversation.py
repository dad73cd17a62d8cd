"""A process of our own that answers commands: JSON lines there and back, with a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import time
from collections import deque
from pathlib import Path
from threading import Thread
from typing import Any

from minivae.racing.load import family, seconds_of

LONGEST = 300  # characters of somebody's error
LONGEST_ANSWER = 1 << 26  # bytes


class StandError(RuntimeError):
    """A contestant that could not be run; the message says why, in one line."""


def said(error: BaseException) -> str:
    """An error's kind and text in one line of bounded length, whatever its text does."""
    try:
        text = " ".join(str(error).split()) or "no message"
    except Exception:
        text = "its message cannot be read"
    return f"{type(error).__name__}: {text}"[:LONGEST]


class Conversation:
    """The parent's side. What the process prints goes to its stderr, whose end is kept.

    rests: whether the process is stopped while it is not being asked, so that its threads take
    nothing from those that are.
    """

    rests = False

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], folder: Path | None = None
    ) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command, env=env, cwd=folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            process_group=0 if os.name == "posix" else None,
        )  # fmt: skip
        self.tail: deque[str] = deque(maxlen=30)
        self.stopped = False
        self.used: float | None = None  # processor time, once it has been ended
        Thread(target=self._drain, daemon=True).start()

    def patience(self, do: str) -> float:
        """Seconds after which a command that has not been answered ends the process."""
        raise NotImplementedError

    def ask(self, do: str, **message: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; StandError with the contestant's own error."""
        process, token = self.process, secrets.token_hex(8)
        assert process.stdin is not None and process.stdout is not None
        self.rest(False)
        try:
            process.stdin.write(json.dumps({"do": do, "token": token, **message}).encode() + b"\n")
            process.stdin.flush()
            line = self._answer(do)
        except (BrokenPipeError, OSError):
            line = b""
        if not line:
            raise StandError(self._death(do))
        self.rest(True)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.pop("token", None) != token:
            text = line.strip()[:60].decode(errors="replace")
            raise StandError(f"something else wrote into its answers: {text!r}")
        if "error" in answer:
            raise StandError(str(answer["error"]))
        return answer

    def rest(self, wanted: bool) -> None:
        """Stop all its threads while others are timed; let them go on when it is its turn."""
        if not self.rests or os.name != "posix" or wanted == self.stopped:
            return
        self._signal(signal.SIGSTOP if wanted else signal.SIGCONT)
        self.stopped = wanted

    def _signal(self, number: int) -> None:
        """To the process, to its group, and to what it has started in groups of their own."""
        strays = family(self.process.pid)[1:]
        for send, pid in ((os.killpg, self.process.pid), *((os.kill, pid) for pid in strays)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(pid, number)

    def seconds_used(self) -> float:
        """Processor time so far, of the process and of all that it has started."""
        if self.used is not None:
            return self.used
        return sum(map(seconds_of, family(self.process.pid)))

    def close(self) -> None:
        """End the process, and whatever it has started; how much time it took stays known."""
        if self.used is None:
            self.used = self.seconds_used()
        if os.name == "posix":
            self._signal(signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _answer(self, do: str) -> bytes:
        """One line, in whatever pieces it comes; b"" where the process has ended."""
        assert self.process.stdout is not None
        pipe, limit, line = self.process.stdout, self.patience(do), b""
        if os.name != "posix":  # elsewhere only sockets can be waited for
            return pipe.readline()
        until = time.monotonic() + limit
        while not line.endswith(b"\n") and len(line) < LONGEST_ANSWER:
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                self.close()
                raise StandError(f"it did not finish {do!r} within {limit:g} s")
            piece = os.read(pipe.fileno(), 1 << 16)
            if not piece:
                return b""
            line += piece
        return line

    def _death(self, do: str) -> str:
        used = self.seconds_used()  # the system forgets it once the process has been waited for
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
            self.used = used
        code = self.process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code)
            text = signal.strsignal(-code) or name.name
            return f"it crashed the interpreter during {do!r}: {text} ({name.name})"
        last = f": {self.tail[-1]}" if self.tail else ""
        return f"it ended the interpreter during {do!r}, exit code {code}{last}"

    def _drain(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stderr:
                self.tail.append(line[:1000].decode(errors="replace").rstrip()[:300])
