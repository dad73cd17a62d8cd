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
import ctypes
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minivae_kernels.cores import allowed_cores
from minivae_kernels.cpu.threads.barrier import ABORT, GENERATION, TAKEN, new_sync
from minivae_kernels.cpu.threads.crew import attend, new_crew, rouse
from minivae_kernels.cpu.threads.waking import BUSY, CALLER_SLEEPS, OPEN, SLEEPERS, STATE, TEAM
from minivae_kernels.support import MOST_THREADS

# What compiled code knows of the team, and where: one for good, since the address is handed out.
CREW = new_crew()
CREW_AT = int(CREW.ctypes.data)
# Members read it until the process is gone, later than Python frees what its modules hold: never.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(CREW))
is_up = False  # whether the team has the number of threads that was last asked for


def default_threads() -> int:
    """As many as there are cores for this process, and no more than may be asked for."""
    return min(allowed_cores(), MOST_THREADS)


class _Slip:
    """Work for one member, its own or the caller's again: whoever lays hands on it first has it.

    An interrupt may end what the caller does between any two steps: each of them can be done again,
    and nothing that one call leaves unread is taken for another's.

    sync: the words on which others meet whoever does it, if there are any.
    """

    __slots__ = ("ended", "error", "is_done", "owner", "sync", "work")

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], sync: np.ndarray | None = None
    ) -> None:
        self.work: tuple[Callable[..., Any], tuple[Any, ...]] | None = (function, args)
        self.sync = sync
        self.owner: dict[str, str] = {}
        self.error: BaseException | None = None
        self.is_done, self.ended = False, threading.Lock()
        self.ended.acquire()

    def _is_for(self, who: str) -> bool:
        return self.owner.setdefault("owner", who) == who  # indivisible

    def take_back(self) -> bool:
        """Whether no member has begun it: then none will, and nothing waits for it."""
        mine = self._is_for("caller")
        if mine:
            self.work = None  # its arrays are the caller's to free
        return mine

    def do(self) -> None:
        """What a member does with it: nothing where it was taken back."""
        if not self._is_for("member") or self.work is None:
            return
        function, args = self.work
        try:
            function(*args)
        except BaseException as error:
            self.error = error
            if self.sync is not None:
                self.sync[ABORT] = 1  # nobody waits at a barrier for who does not come
        self.work = None
        del function, args
        self.is_done = True
        self.ended.release()

    def wait(self) -> None:
        """Until the member that has begun it is done."""
        while not self.is_done:
            self.ended.acquire()


class _Member:
    """A thread that does what is on the slips it is handed, one at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.work: queue.SimpleQueue[_Slip] = queue.SimpleQueue()
        self.posted = np.zeros(16, dtype=np.int64)
        name = f"minivae-kernels-{number}"
        self.thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self.thread.start()

    def post(self, slip: _Slip) -> None:
        """Hand it a slip, and wake it."""
        self.work.put(slip)
        self.posted[0] += 1
        rouse(CREW_AT)

    def _serve(self) -> None:
        seen = 0
        while True:
            attend(CREW_AT, self.number, self.posted, seen)
            seen = int(self.posted[0])
            while not self.work.empty():  # one more than was counted, after an interrupt
                self.work.get().do()


_members: list[_Member] = []
_lock = threading.Lock()


def _after_fork() -> None:
    """A forked child has none of its parent's threads."""
    global _lock, is_up
    is_up = False
    _members.clear()
    _lock = threading.Lock()
    CREW[TEAM], CREW[STATE] = 1, CREW[STATE] // OPEN * OPEN & ~OPEN
    CREW[BUSY] = CREW[SLEEPERS] = CREW[CALLER_SLEEPS] = 0


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
    given = [(number, threads, sync, *args) for number in range(1, threads)]
    slips = [_Slip(function, each, sync) for each in given]
    finished = False
    try:
        for member, slip in zip(team, slips, strict=True):
            member.post(slip)
        function(0, threads, sync, *args)
        finished = True
    finally:
        try:
            if not finished:  # an interrupt before all had begun: let the others go
                sync[ABORT] = 1
            _end(slips)
        except BaseException:  # another interrupt: all the same
            sync[ABORT] = 1
            _end(slips)
            raise
    for slip in slips:
        if slip.error is not None:
            raise slip.error


def _end(slips: list[_Slip]) -> None:
    """Take back what no member has begun, and wait for the rest."""
    for slip in [slip for slip in slips if not slip.take_back()]:
        slip.wait()


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
