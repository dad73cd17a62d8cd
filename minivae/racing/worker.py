"""One contestant in a process of its own: reads commands as JSON lines, answers in kind.

Separate processes keep thread pools apart, and a contestant that crashes or hangs takes nobody
with it. Arrays travel as .npy files, since the parent is the judge.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from minivae.racing import contestant, gate, lane, problem
from minivae.racing.contestant import Recipe

HARNESS = (lane, contestant, gate, problem, time, np, np.random)


def fingerprint() -> dict[tuple[str, str], int]:
    """Which objects the clock, NumPy and the harness consist of."""
    return {(m.__name__, key): id(value) for m in HARNESS for key, value in vars(m).items()
            if callable(value)}  # fmt: skip


class Worker:
    """The commands a parent may send; each returns a dict that becomes the answer."""

    def load(
        self, problem: dict[str, Any], contestant: dict[str, Any], cache: int
    ) -> dict[str, Any]:
        """Build both; a file's code runs here for the first time."""
        begin = lane.clock()
        self.problem = Recipe(**problem).build()
        before = fingerprint()
        self.lane = lane.Lane(self.problem, Recipe(**contestant).build(), cache)
        self.before = before
        return {"import_s": (lane.clock() - begin) / 1e9}

    def warm(self) -> dict[str, Any]:
        """The first call, which compiles, and the seconds of a second one."""
        begin = lane.clock()
        seconds = self.lane.warm()
        return {"seconds": seconds, "first_s": (lane.clock() - begin) / 1e9}

    def block(self, number: int, state: str, share: float, folder: str) -> dict[str, Any]:
        """One block of calls; the judged call's arrays are left in `folder`."""
        begin = lane.clock()
        found = self.lane.block(number, state, share)
        changed = [key for key, value in fingerprint().items()
                   if self.before.get(key, value) != value]  # fmt: skip
        if changed:
            found.fault = f"it replaces {'.'.join(changed[0])}"
        for name, arrays in (("got", found.got), ("before", found.before)):
            for k, a in enumerate(arrays):
                np.save(Path(folder) / f"{name}-{k}.npy", a, allow_pickle=False)
        return {
            "seconds": found.seconds, "calls": found.calls, "at": found.at, "spent": found.spent,
            "fault": found.fault, "got": len(found.got), "before": len(found.before),
            "elapsed": (lane.clock() - begin) / 1e9,
        }  # fmt: skip

    def call(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Anything else that answers with a dict: the measured roofs, for one."""
        answer: dict[str, Any] = Recipe(**recipe).build()
        return answer


def serve(worker: Any, lines: Any, out: Any) -> None:
    """Answer every line until the input ends. A failed command answers with its error."""
    for line in lines:
        message = json.loads(line)
        command = message.pop("do")
        try:
            answer = getattr(worker, command)(**message)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            text = " ".join(str(error).split()) or "no message"
            answer = {"error": f"{type(error).__name__}: {text}"}
        print(json.dumps(answer), file=out, flush=True)


def converse(worker: Any) -> None:
    """Answer the parent; the answers' channel stays ours: what anybody prints goes to stderr."""
    warnings.simplefilter("ignore")
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(worker, sys.stdin, channel)


def main() -> None:
    """A contestant of a race."""
    converse(Worker())


if __name__ == "__main__":
    main()
