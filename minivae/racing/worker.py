"""One contestant in a process of its own: reads commands as JSON lines, answers in kind.

Separate processes keep thread pools apart, and a contestant that crashes or hangs takes nobody
with it. Arrays travel as files, since the parent is the judge.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import warnings
from typing import Any

from minivae.racing import buffers, channel, contestant, lane, load, problem, watch
from minivae.racing.contestant import FileFault, Recipe
from minivae.racing.conversation import said
from minivae.racing.problem import ProblemError

HARNESS = (lane, buffers, channel, contestant, problem, watch, load, sys.modules[__name__])


class Worker:
    """The commands a parent may send; each returns a dict that becomes the answer."""

    def __init__(self) -> None:
        self.audit = watch.Audit()
        watch.hold(self)

    def load(
        self, problem: dict[str, Any], contestant: dict[str, Any], cache: int
    ) -> dict[str, Any]:
        """Build both; a file's code runs here for the first time."""
        begin, self.audit.strict = lane.clock(), False
        asked = Recipe(**problem).build()
        self.watch = watch.Watch(*HARNESS)
        entered = lane.alone(Recipe(**contestant).build)
        self._refuse()
        self.lane = lane.Lane(asked, entered, cache, self._meddled)
        return {"import_s": (lane.clock() - begin) / 1e9}

    def warm(self) -> dict[str, Any]:
        """The first call, which compiles, and the seconds of a second one."""
        begin, self.audit.strict = lane.clock(), False  # compilers look at frames: none of ours
        self._refuse()
        seconds = self.lane.warm()
        self._refuse()
        return {"seconds": seconds, "first_s": (lane.clock() - begin) / 1e9}

    def block(self, number: int, state: str, folder: str) -> dict[str, Any]:
        """One block of calls; the judged call's arrays are left in `folder`.

        Whatever the contestant meddled with, before or meanwhile, is an error. Frames stay its
        caller's own until the answer is written, which is after this.
        """
        begin, self.audit.strict = lane.clock(), True
        self._refuse()
        found = self.lane.block(number, state)
        self._refuse()
        save = channel.save
        got = [save(f"{folder}/got-{k}", a) for k, a in enumerate(found.got)]
        return {
            "got": got, "moves": save(f"{folder}/moves", found.moves), "at": found.at,
            "seconds": found.seconds, "calls": found.calls, "spent": found.spent,
            "fault": found.fault, "new": found.new, "again": found.again,
            "elapsed": (lane.clock() - begin) / 1e9,
        }  # fmt: skip

    def call(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Anything else that answers with a dict: the measured roofs, for one."""
        answer: dict[str, Any] = Recipe(**recipe).build()
        return answer

    def _meddled(self) -> str:
        return self.audit.seen or self.watch.changed()

    def _refuse(self) -> None:
        if meddled := self._meddled():
            raise Meddled(meddled)


class Meddled(RuntimeError):
    """A contestant that does not leave the race alone; the message says what it does."""


def serve(worker: Any, lines: Any, out: Any) -> None:
    """Answer every line until the input ends. A failed command answers with its error.

    lines, out: of bytes. Nothing here asks for what a contestant could have replaced.
    """
    known = {name: getattr(worker, name) for name in dir(worker) if name[0] != "_"}
    parse, written = channel.parse, channel.written
    for line in lines:
        message, _ = parse(line.decode(), 0)
        command, token = message.pop("do"), message.pop("token", "")
        try:
            answer = known[command](**message)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            ours = isinstance(error, (Meddled, FileFault, ProblemError))
            answer = {"error": str(error) if ours else said(error)}
        out.write(written({**answer, "token": token}))
        out.flush()


def converse(worker: Any) -> None:
    """Answer the parent; both channels stay ours: what anybody prints goes to stderr.

    Whoever reads from the standard input finds its end, and not the parent's next command.
    """
    warnings.simplefilter("ignore")
    lines, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(worker, lines, answers)


def main() -> None:
    """A contestant of a race."""
    with contextlib.suppress(OSError, AttributeError):  # Linux: what it starts stays below it
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    converse(Worker())


if __name__ == "__main__":
    main()
