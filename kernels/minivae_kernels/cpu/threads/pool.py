"""One team of threads for everything: member 0 is the caller, the others wait for work.

A compiled function releases the GIL, so plain Python threads run it side by side. Two kinds of
work come to them: a block of updates, handed over by `run`, inside of which the members meet at
barriers (barrier.py) of 0.3 µs; and an op's pieces (crew.py), which compiled code hands out
itself. That is why neither OpenMP nor TBB is asked for: a barrier is cheaper than either's fork and
join, it needs no library, and nothing is compiled for it. Waking the team costs 25 µs (two Zen 4
cores, BLAS held to one thread), once for a block of updates.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minivae_kernels.cpu.threads.barrier import ABORT, GENERATION, TAKEN, new_sync
from minivae_kernels.cpu.threads.crew import attend, new_crew, rouse
from minivae_kernels.cpu.threads.waking import BUSY, OPEN, STATE, TEAM

# What compiled code knows of the team, and where: one for good, since the address is handed out.
CREW = new_crew()
CREW_AT = int(CREW.ctypes.data)
is_up = False  # whether the team has the number of threads that was last asked for


def default_threads() -> int:
    """The cores that this process may run on."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)


class _Member:
    """A thread that runs what it is handed, one thing at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.posted = np.zeros(16, dtype=np.int64)
        self.done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        name = f"minivae-kernels-{number}"
        self.thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self.thread.start()

    def post(self, function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
        """Hand it a function and its arguments -> the slip that it takes when it begins."""
        slip = [(function, args)]
        self.work.put(slip)
        self.posted[0] += 1
        rouse(CREW_AT)
        return slip

    def _serve(self) -> None:
        for done in itertools.count():
            attend(CREW_AT, self.number, self.posted, done)
            slip = self.work.get()
            with contextlib.suppress(IndexError):  # taken back: the others did it all
                function, args = slip.pop()
                error: BaseException | None = None
                try:
                    function(*args)
                except BaseException as e:
                    error = e
                self.done.put(error)
                del function, args, error


_members: list[_Member] = []
_lock = threading.Lock()


def _after_fork() -> None:
    """A forked child has none of its parent's threads."""
    global _lock, is_up
    is_up = False
    _members.clear()
    _lock = threading.Lock()
    CREW[TEAM], CREW[BUSY], CREW[STATE] = 1, 0, CREW[STATE] // OPEN * OPEN & ~OPEN


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run(function: Callable[..., Any], threads: int, *args: Any) -> None:
    """Call function(member, threads, sync, *args) on every member at once and wait for all.

    No member is tied to a core: one that wakes from a barrier is put where there is room.
    """
    if threads == 1:
        function(0, 1, _sync_for_one(), *args)
        return
    with _lock:
        _enlist(threads)
        with quiet_blas():
            _together(function, threads, args)


def crew(threads: int) -> int:
    """The words of a team of so many, for compiled code that shares out pieces."""
    global is_up
    if CREW[TEAM] != threads:
        with _lock:
            _enlist(threads)
            CREW[TEAM] = threads
    is_up = True
    return CREW_AT


def _enlist(threads: int) -> None:
    if not _members and threads > 1:
        attend(CREW_AT, 0, np.ones(1, dtype=np.int64), 0)  # compiled here, not in a thread
        rouse(CREW_AT)
    while len(_members) < threads - 1:
        _members.append(_Member(len(_members) + 1))


class _Kept(threading.local):
    """What a calling thread uses over and over: to make it anew costs 1 µs."""

    def __init__(self) -> None:
        self.sync = new_sync(1)


_kept = _Kept()


def _sync_for_one() -> np.ndarray:
    """The words of a team of one, as if new."""
    sync = _kept.sync
    sync[GENERATION] = sync[TAKEN] = 0
    return sync


def _together(function: Callable[..., Any], threads: int, args: tuple[Any, ...]) -> None:
    sync, team = new_sync(threads), _members[: threads - 1]
    slips: list[list[Any]] = []
    finished = False
    try:
        for number, member in enumerate(team, start=1):
            slips.append(member.post(function, (number, threads, sync, *args)))
        function(0, threads, sync, *args)
        finished = True
    finally:
        if not finished:  # an interrupt before all had begun: let the others go
            sync[ABORT] = 1
        begun = [member for member, slip in zip(team, slips, strict=False) if not _took(slip)]
        errors = [e for e in (member.done.get() for member in begun) if e is not None]
    if errors:
        raise errors[0]


def _took(slip: list[Any]) -> bool:
    """Whether the work could be taken back: its member has not begun, and nothing waits for it."""
    try:
        slip.pop()
    except IndexError:
        return False
    return True


_controllers: dict[int, Any] = {}


@contextlib.contextmanager
def quiet_blas() -> Iterator[None]:
    """Hold BLAS to one thread: its idle threads would spin on the cores that the team needs."""
    controller = _find_controller()
    if controller is None:
        yield
        return
    with controller.limit(limits=1, user_api="blas"):
        yield


def _find_controller() -> Any:
    """threadpoolctl's view of the loaded libraries, looked up anew after further imports."""
    modules = len(sys.modules)
    if modules not in _controllers:
        _controllers.clear()
        try:
            from threadpoolctl import ThreadpoolController

            modules = len(sys.modules)
            _controllers[modules] = ThreadpoolController()
        except ImportError:
            _controllers[modules] = None
    return _controllers[modules]
