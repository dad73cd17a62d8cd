"""The team of threads: errors and interrupts, forks, cores, and who else has threads."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from minivae_kernels import MOST_THREADS
from minivae_kernels.cpu.threads import pool
from minivae_kernels.cpu.threads.barrier import SLEEPS, barrier, new_sync, share
from minivae_kernels.cpu.threads.count import checked
from numba import njit

from tests.kernels.cpu.children import outcome


@njit(nogil=True)
def copy_together(member, team, sync, x, y):
    """A region with a barrier: each member copies its share."""
    if barrier(sync, team):
        low, high = share(len(x), member, team)
        for i in range(low, high):
            y[i] = x[i]


def test_errors_in_a_member_reach_the_caller() -> None:
    meet = threading.Barrier(2, timeout=60)

    def fail(member: int, team: int, sync: Any) -> None:
        meet.wait()
        if member == 1:
            raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        pool.run(fail, 2)


def test_who_waits_for_a_member_that_fails_is_let_go(K: Any) -> None:
    x = np.zeros(8, dtype=np.float32)
    copy_together(0, 1, new_sync(1), x, x)
    said: list[str] = []

    def fail(member: int, team: int, sync: Any) -> None:
        if member == 1:
            raise KeyError("too early")
        copy_together(member, team, sync, x, x)

    def call() -> None:
        try:
            pool.run(fail, 3)
        except KeyError as error:
            said.append(str(error))

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    caller.join(timeout=60)
    assert said == ["'too early'"]


def test_all_members_that_are_waited_for_take_part() -> None:
    meet = threading.Barrier(4, timeout=60)
    seen: list[int] = []

    def look(member: int, team: int, sync: Any) -> None:
        meet.wait()
        seen.append(member)

    pool.run(look, 4)
    assert sorted(seen) == [0, 1, 2, 3]


def test_a_member_that_has_not_begun_is_not_waited_for() -> None:
    """On a busy machine it may come much later; its work is taken back when all is done."""
    busy = threading.Event()
    pool.run(lambda member, team, sync: None, 2)
    (first, *_) = pool._members
    held_up = pool._Slip(lambda: busy.wait(60), ())  # another program has its core
    first.post(held_up)
    seen: list[int] = []
    begun = time.monotonic()
    pool.run(lambda member, team, sync: seen.append(member), 2)
    assert time.monotonic() - begun < 30
    busy.set()
    held_up.wait()
    time.sleep(0.05)
    assert seen == [0]


def test_an_interrupt_before_the_start_lets_all_go(K: Any) -> None:
    """Members that wait for one that never comes must not wait for ever."""
    x = np.zeros(8, dtype=np.float32)
    copy_together(0, 1, new_sync(1), x, x)

    def start(member: int, team: int, sync: Any) -> None:
        if member == 0:
            raise KeyboardInterrupt
        copy_together(member, team, sync, x, x)

    with pytest.raises(KeyboardInterrupt):
        pool.run(start, 3)
    assert K.relu_forward(np.full((700, 700), 3, np.float32)).sum() == 3 * 700 * 700


def run_interrupted(number: int, begun: list[int], ended: list[int]) -> bool:
    """A call with Ctrl-C after its so many-th step in pool.py -> whether it had so many."""
    steps = itertools.count()

    def work(member: int, team: int, sync: Any) -> None:
        begun.append(member)
        time.sleep(0.002 * member)
        ended.append(member)

    def press(frame: Any, event: str, arg: Any) -> None:
        here = frame.f_code.co_filename == pool.__file__ and event in ("call", "return", "c_return")
        if here and next(steps) == number:
            raise KeyboardInterrupt

    sys.setprofile(press)
    try:
        pool.run(work, 3)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def test_an_interrupt_at_any_step_lets_no_call_return_before_its_members() -> None:
    pool.run(lambda member, team, sync: None, 3)
    for number in itertools.count():
        begun: list[int] = []
        ended: list[int] = []
        if not run_interrupted(number, begun, ended):
            break
        assert sorted(begun) == sorted(ended), number
        for _ in range(3):  # a result left unread would be found by these
            meet, done = threading.Barrier(3, timeout=60), []

            def together(member: int, team: int, sync: Any, meet: Any, done: Any) -> None:
                meet.wait()
                time.sleep(0.002 * (member > 0))
                done.append(member)

            pool.run(together, 3, meet, done)
            assert sorted(done) == [0, 1, 2], number
    assert number > 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own_team() -> None:
    code = (
        "import os, warnings, numpy as np\n"
        "from minivae_kernels import load\n"
        "K = load('numba', 2)\n"
        "x = np.ones((600, 600), np.float32)\n"
        "K['tanh_forward'](x)\n"
        "warnings.simplefilter('ignore')  # of forking beside threads, which is the point\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if abs(K['tanh_forward'](x)[0, 0] - 0.7615942) < 1e-6 else 1)\n"
        "print(os.waitpid(child, 0)[1])"
    )
    assert outcome(code) == ["0"]


def test_what_members_read_outlives_python() -> None:
    code = (
        "import ctypes, os, weakref\n"
        "from minivae_kernels.cpu.threads import pool\n"
        "watch = weakref.ref(pool.CREW, lambda _, say=os.write: say(1, b'freed '))\n"
        "ctypes.pythonapi.Py_IncRef(ctypes.py_object(watch))\n"
        "print('ended', flush=True)"
    )
    assert outcome(code) == ["ended"]


def test_the_default_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((3, 3), (4096, MOST_THREADS)):
        monkeypatch.setattr(pool, "allowed_cores", lambda cores=cores: cores)
        assert pool.default_threads() == checked(threads) == threads


def test_blas_is_held_to_one_thread() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    inside: list[int] = []

    def look(member: int, team: int, sync: Any) -> None:
        if member == 0:
            found = threadpoolctl.threadpool_info()
            inside.extend(lib["num_threads"] for lib in found if lib["user_api"] == "blas")

    pool.run(look, 2)
    assert inside
    assert set(inside) == {1}


@pytest.mark.skipif(not SLEEPS, reason="waiting threads yield here, they do not sleep")
def test_a_member_that_waits_long_leaves_its_core() -> None:
    """0.3 s at a barrier must cost next to no processor time, and end when the other comes."""
    x = np.zeros(8, dtype=np.float32)
    copy_together(0, 1, new_sync(1), x, x)
    used: list[float] = []

    def wait(member: int, team: int, sync: Any) -> None:
        if member == 1:
            time.sleep(0.3)
        before, begun = time.thread_time(), time.monotonic()
        copy_together(member, team, sync, x, x)
        if member == 0:
            used.extend((time.thread_time() - before, time.monotonic() - begun))

    pool.run(wait, 2)
    assert used[0] < 0.05
    assert used[1] < 5


def test_more_threads_than_cores_still_meet() -> None:
    """Every barrier of every phase has sleepers then; none may be forgotten."""
    x = np.arange(1000, dtype=np.float32)
    y = np.zeros_like(x)
    copy_together(0, 1, new_sync(1), x, y)
    team = 4 * pool.default_threads()
    for _ in range(200):
        y[:] = 0
        pool.run(copy_together, team, x, y)
        assert (y == x).all()
