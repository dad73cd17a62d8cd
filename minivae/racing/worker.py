"""One contestant in a process of its own: reads commands as JSON lines, answers in kind.

Separate processes keep thread pools apart, and a contestant that crashes or hangs takes nobody
with it. Arrays travel as .npy files, since the parent is the judge.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from minivae.racing import buffers, contestant, lane, load, problem, watch
from minivae.racing.contestant import FileFault, Recipe
from minivae.racing.conversation import said
from minivae.racing.problem import ProblemError

HARNESS = (lane, buffers, contestant, problem, watch, load, sys.modules[__name__])


class Worker:
    """The commands a parent may send; each returns a dict that becomes the answer."""

    def __init__(self) -> None:
        self.audit = watch.Audit()
        watch.hold(self)

    def load(
        self, problem: dict[str, Any], contestant: dict[str, Any], cache: int
    ) -> dict[str, Any]:
        """Build both; a file's code runs here for the first time."""
        begin = lane.clock()
        asked = Recipe(**problem).build()
        self.watch = watch.Watch(*HARNESS)
        entered = lane.alone(Recipe(**contestant).build)
        self._refuse()
        self.lane = lane.Lane(asked, entered, cache, self._meddled)
        return {"import_s": (lane.clock() - begin) / 1e9}

    def warm(self) -> dict[str, Any]:
        """The first call, which compiles, and the seconds of a second one."""
        begin = lane.clock()
        with self._watched(strict=False):  # compilers look at frames, and there are none of ours
            seconds = self.lane.warm()
        return {"seconds": seconds, "first_s": (lane.clock() - begin) / 1e9}

    def block(self, number: int, state: str, folder: str) -> dict[str, Any]:
        """One block of calls; the judged call's arrays are left in `folder`."""
        begin = lane.clock()
        with self._watched():
            found = self.lane.block(number, state)
        for k, a in enumerate(found.got):
            np.save(Path(folder) / f"got-{k}.npy", a, allow_pickle=False)
        np.save(Path(folder) / "moves.npy", found.moves)
        told = {f.name: getattr(found, f.name) for f in fields(found) if f.name != "moves"}
        return {**told, "got": len(found.got), "elapsed": (lane.clock() - begin) / 1e9}

    def call(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Anything else that answers with a dict: the measured roofs, for one."""
        answer: dict[str, Any] = Recipe(**recipe).build()
        return answer

    def _meddled(self) -> str:
        return self.audit.seen or self.watch.changed()

    @contextlib.contextmanager
    def _watched(self, *, strict: bool = True) -> Iterator[None]:
        """Calls of the contestant; whatever it meddled with, before or meanwhile, is an error."""
        self._refuse()
        self.audit.strict = strict
        try:
            yield
        finally:
            self.audit.strict = False
        self._refuse()

    def _refuse(self) -> None:
        if meddled := self._meddled():
            raise Meddled(meddled)


class Meddled(RuntimeError):
    """A contestant that does not leave the race alone; the message says what it does."""


def serve(worker: Any, lines: Any, out: Any) -> None:
    """Answer every line until the input ends. A failed command answers with its error."""
    known = {name: getattr(worker, name) for name in dir(worker) if name[0] != "_"}
    for line in lines:
        message = json.loads(line)
        command, token = message.pop("do"), message.pop("token", "")
        try:
            answer = known[command](**message)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            traceback.print_exc()
            ours = isinstance(error, (Meddled, FileFault, ProblemError))
            answer = {"error": str(error) if ours else said(error)}
        print(json.dumps({**answer, "token": token}), file=out, flush=True)


def converse(worker: Any) -> None:
    """Answer the parent; both channels stay ours: what anybody prints goes to stderr.

    Whoever reads from the standard input finds its end, and not the parent's next command.
    """
    warnings.simplefilter("ignore")
    lines, channel = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(worker, lines, channel)


def main() -> None:
    """A contestant of a race."""
    with contextlib.suppress(OSError, AttributeError):  # Linux: what it starts stays below it
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    converse(Worker())


if __name__ == "__main__":
    main()
