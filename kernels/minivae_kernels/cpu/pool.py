"""One team of threads for everything: member 0 is the caller, the others wait for work.

A compiled function releases the GIL, so plain Python threads run it side by side; inside, the
members meet at barriers (sync.py) of 0.3 µs. That is why neither OpenMP nor TBB is asked for: a
barrier is cheaper than either's fork and join, it needs no library, and nothing is compiled for
it. Waking the team costs 33 µs (two Zen 4 cores, BLAS hushed), once for a block of updates.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .sync import ABORT, new_sync


def default_threads() -> int:
    """The cores that this process may run on."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)


class _Member:
    """A thread that runs what it is handed, one thing at a time."""

    def __init__(self, number: int) -> None:
        self.work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        name = f"minivae-kernels-{number}"
        self.thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            function, args = self.work.get()
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
    global _lock
    _members.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run(function: Callable[..., Any], threads: int, *args: Any) -> None:
    """Call function(member, threads, sync, *args) on every member at once and wait for all."""
    if threads == 1:
        function(0, 1, new_sync(), *args)
        return
    with _lock, quiet_blas():
        while len(_members) < threads - 1:
            _members.append(_Member(len(_members) + 1))
        _together(function, threads, args)


def _together(function: Callable[..., Any], threads: int, args: tuple[Any, ...]) -> None:
    sync, team = new_sync(), _members[: threads - 1]
    started: list[_Member] = []
    finished = False
    try:
        for number, member in enumerate(team, start=1):
            started.append(member)
            member.work.put((function, (number, threads, sync, *args)))
        function(0, threads, sync, *args)
        finished = True
    finally:
        if not finished:  # an interrupt before all had begun: let the others go
            sync[ABORT] = 1
        errors = [e for e in (member.done.get() for member in started) if e is not None]
    if errors:
        raise errors[0]


_controller: Any = None


@contextlib.contextmanager
def quiet_blas() -> Iterator[None]:
    """Hold BLAS to one thread: its idle threads would spin on the cores that the team needs."""
    controller = _find_controller()
    if not controller:
        yield
        return
    with controller.limit(limits=1, user_api="blas"):
        yield


def _find_controller() -> Any:
    global _controller
    if _controller is None:
        try:
            from threadpoolctl import ThreadpoolController

            _controller = ThreadpoolController()
        except ImportError:
            _controller = False
    return _controller
