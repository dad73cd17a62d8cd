"""Where a contestant runs: in this process, or in one of its own with a time limit."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minivae.racing.contestant import Contestant, Recipe
from minivae.racing.conversation import Conversation, StandError
from minivae.racing.lane import Block, Lane
from minivae.racing.problem import Problem

HERE = Path(__file__).resolve().parents[2]
CLOCK_SLACK = 0.1  # seconds by which the clocks of parent and worker may disagree in a block


class Stand(Protocol):
    """What a race asks of a contestant's place."""

    def warm(self) -> float: ...

    def block(self, number: int, state: str, share: float) -> Block: ...

    def seconds_used(self) -> float: ...

    def close(self) -> None: ...


class Here:
    """A contestant in this very process: any callable, no time limit, no protection."""

    def __init__(self, problem: Problem, contestant: Contestant, cache: int = 1 << 25) -> None:
        self.lane = Lane(problem, contestant, cache)

    def warm(self) -> float:
        """Seconds of a call."""
        return self.lane.warm()

    def block(self, number: int, state: str, share: float) -> Block:
        """One block of calls."""
        return self.lane.block(number, state, share)

    def seconds_used(self) -> float:
        """None beside this process's own."""
        return 0.0

    def close(self) -> None:
        """Nothing to end."""


class Apart(Conversation):
    """A contestant in a process of its own, stopped while others are timed.

    cores: those that it may use. limit: seconds after which a command that has not been answered
    ends the process. extra: environment variables.
    """

    rests = True

    def __init__(
        self, name: str, cores: list[int], limit: float, folder: Path,
        extra: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.cores, self.limit, self.folder = cores, limit, folder
        pin = f"import os; os.sched_setaffinity(0, {cores}); "
        start = pin if hasattr(os, "sched_setaffinity") else ""
        start += "from minivae.racing.worker import main; main()"
        command = [sys.executable, "-c", start]
        super().__init__(name, command, environment(len(cores), extra or {}))

    def patience(self, do: str) -> float:
        """The limit that was given."""
        return self.limit

    def load(self, problem: Recipe, contestant: Recipe, cache: int = 1 << 25) -> dict[str, Any]:
        """Build the problem and the contestant over there."""
        return self.ask("load", problem=asdict(problem), contestant=asdict(contestant), cache=cache)

    def warm(self) -> float:
        """Seconds of a call, once it is compiled."""
        return float(self.ask("warm")["seconds"])

    def block(self, number: int, state: str, share: float) -> Block:
        """One block of calls, its judged arrays read back; the clocks have to agree."""
        begin = time.perf_counter()
        told = self.ask("block", number=number, state=state, share=share, folder=str(self.folder))
        wall = time.perf_counter() - begin
        if not {"elapsed", "spent", "got", "before"} <= told.keys():
            raise StandError("something else wrote into its answers")
        if not (told["elapsed"] >= 0.5 * wall - CLOCK_SLACK and told["spent"] <= wall + 1e-3):
            raise StandError(f"its clock says {told['elapsed']:.3g} s where {wall:.3g} s went by")
        self._check_cores()
        got, before = ([np.load(self.folder / f"{what}-{k}.npy") for k in range(told[what])]
                       for what in ("got", "before"))  # fmt: skip
        return Block(told["seconds"], told["calls"], told["at"], told["spent"], got, before,
                     told["fault"])  # fmt: skip

    def call(self, recipe: Recipe) -> dict[str, Any]:
        """What a function answers over there."""
        return self.ask("call", recipe=asdict(recipe))

    def _check_cores(self) -> None:
        if not hasattr(os, "sched_getaffinity"):
            return
        for task in Path(f"/proc/{self.process.pid}/task").glob("*"):
            with contextlib.suppress(OSError, ProcessLookupError):
                if not os.sched_getaffinity(int(task.name)) <= set(self.cores):
                    raise StandError("it runs on cores that it was not given: see --threads")


def environment(threads: int, extra: dict[str, str]) -> dict[str, str]:
    """What a worker sees: its thread pools as large as asked for, and this very package.

    MINIVAE_RACING_PATH among `extra` is a place whose modules come first.
    """
    places = (extra.get("MINIVAE_RACING_PATH", ""), str(HERE), str(HERE / "kernels"),
              os.environ.get("PYTHONPATH", ""))  # fmt: skip
    path = os.pathsep.join(place for place in places if place)
    counts = {f"{pool}_NUM_THREADS": str(threads) for pool in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    return {**os.environ, **counts, "PYTHONPATH": path, **extra}
