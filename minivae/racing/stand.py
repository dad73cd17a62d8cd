"""Where a contestant runs: in this process, or in one of its own with a time limit."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minivae.racing import channel
from minivae.racing.contestant import Contestant, Recipe
from minivae.racing.conversation import Conversation, StandError, said
from minivae.racing.lane import Block, Lane
from minivae.racing.load import family
from minivae.racing.problem import Problem

HERE = Path(__file__).resolve().parents[2]
CLOCK_SLACK = 0.1  # seconds by which the clocks of parent and worker may disagree in a block
MORE = 1.15  # processor time over wall time, by which a contestant may exceed its cores
TOLD = frozenset(
    ("elapsed", "spent", "got", "moves", "seconds", "calls", "at", "fault", "new", "again")
)
MEDDLED = "something else wrote into its answers"
#: what a thread may be scheduled as; others go before everybody
POLICIES = tuple(getattr(os, f"SCHED_{name}", -1) for name in ("OTHER", "BATCH", "IDLE"))
RESET_ON_FORK = getattr(os, "SCHED_RESET_ON_FORK", 0)  # a flag beside the policy


class Stand(Protocol):
    """What a race asks of a contestant's place."""

    def warm(self) -> float: ...

    def block(self, number: int, state: str) -> Block: ...

    def seconds_used(self) -> float: ...

    def close(self) -> None: ...


class Here:
    """A contestant in this very process: any callable, no time limit, little protection."""

    def __init__(self, problem: Problem, contestant: Contestant, cache: int = 1 << 25) -> None:
        self.lane = Lane(problem, contestant, cache)

    def warm(self) -> float:
        """Seconds of a call."""
        return self._sheltered(self.lane.warm)

    def block(self, number: int, state: str) -> Block:
        """One block of calls."""
        found: Block = self._sheltered(self.lane.block, number, state)
        if not np.float32(1e-40) * np.float32(1):  # the next ones would compute with it
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL(None).fesetenv(ctypes.c_void_p(-1))  # the C library's FE_DFL_ENV
            found.fault = "it leaves the processor rounding subnormal numbers to zero"
        return found

    def _sheltered(self, act: Callable[..., Any], *args: Any) -> Any:
        """Whatever it raises is a StandError, and what it tells NumPy about errors is undone."""
        try:
            with np.errstate():
                return act(*args)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise StandError(said(error)) from None

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
        self.wall = self.taken = 0.0  # seconds of all blocks, by the wall's clock and its own
        self.left = math.inf  # its processor time when it last rested
        self.entered: tuple[Recipe, Recipe, int] | None = None  # what `warm` has still to build
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
        given = {"problem": asdict(problem), "contestant": asdict(contestant), "cache": cache}
        answer = self.ask("load", **given)
        self.left = self.seconds_used()
        return answer

    def warm(self) -> float:
        """Seconds of a call, once it is built and compiled."""
        if self.entered:
            self.load(*self.entered)
            self.entered = None
        seconds = float(self.ask("warm")["seconds"])
        self.left = self.seconds_used()
        return seconds

    def block(self, number: int, state: str) -> Block:
        """One block of calls, its judged arrays read back.

        The clocks have to agree; a system that is busy enough to come between them for so long does
        not do so three times.
        """
        if self.seconds_used() - self.left > CLOCK_SLACK:
            raise StandError("it works while others are timed")
        for last in (False, False, True):
            used = self.seconds_used()
            begin = time.perf_counter()
            told = self.ask("block", number=number, state=state, folder=str(self.folder))
            wall = time.perf_counter() - begin
            self.left = self.seconds_used()
            self._check_share(wall, self.left - used)
            if not told.keys() >= TOLD:
                raise StandError(MEDDLED)
            elapsed = float(told.pop("elapsed"))
            if elapsed >= 0.5 * wall - CLOCK_SLACK and told["spent"] <= wall + 1e-3:
                break
            if last:
                raise StandError(f"its clock says {elapsed:.3g} s where {wall:.3g} s went by")
        told["got"] = [channel.load(self.folder / f"got-{k}", saved)
                       for k, saved in enumerate(told["got"])]  # fmt: skip
        told["moves"] = channel.load(self.folder / "moves", told["moves"])
        return Block(**told)

    def call(self, recipe: Recipe) -> dict[str, Any]:
        """What a function answers over there."""
        return self.ask("call", recipe=asdict(recipe))

    def _check_share(self, wall: float, used: float) -> None:
        """StandError where it takes more of the machine than it was given."""
        self.wall, self.taken = self.wall + wall, self.taken + used
        allowed = MORE * len(self.cores) * self.wall + CLOCK_SLACK
        if self.taken > allowed:
            raise StandError(f"it used {self.taken / self.wall:.1f} cores where it was given "
                             f"{len(self.cores)}: see --threads")  # fmt: skip
        for process in family(self.process.pid):
            for task in Path(f"/proc/{process}/task").glob("*"):
                with contextlib.suppress(OSError):
                    self._check_thread(int(task.name))

    def _check_thread(self, thread: int) -> None:
        """StandError where a thread is not where it was put, or goes before others."""
        if not os.sched_getaffinity(thread) <= set(self.cores):
            raise StandError("it runs on cores that it was not given: see --threads")
        its, ours = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (thread, 0))
        policy = os.sched_getscheduler(thread) & ~RESET_ON_FORK
        if its < ours or policy not in (*POLICIES, os.sched_getscheduler(0) & ~RESET_ON_FORK):
            raise StandError("it raises its own priority")


def environment(threads: int, extra: dict[str, str]) -> dict[str, str]:
    """What a worker sees: its thread pools as large as asked for, and this very package.

    MINIVAE_RACING_PATH among `extra` is a place whose modules come first. The current folder is
    none: a queue.py there is not Python's; a raced file's own folder is added with the file.
    """
    places = (extra.get("MINIVAE_RACING_PATH", ""), str(HERE), str(HERE / "kernels"),
              os.environ.get("PYTHONPATH", ""))  # fmt: skip
    path = os.pathsep.join(place for place in places if place)
    counts = {f"{pool}_NUM_THREADS": str(threads) for pool in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    return {**os.environ, **counts, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **extra}
