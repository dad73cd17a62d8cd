"""An op's pieces, shared out by compiled code: all done once, by whoever is about, or alone."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from minivae_kernels.cpu.threads import count, crew, pool
from minivae_kernels.cpu.threads.barrier import SLEEPS, atomic_add
from minivae_kernels.cpu.threads.crew import JOBS_ALONE, LARGE, SHORT, SMALL
from minivae_kernels.cpu.threads.waking import (
    ALONE_FOR,
    BUSY,
    CALLED_AT,
    CALLS,
    SHARED_AT,
    SHORT_AT,
    SLEEPERS,
    TEAM,
)
from numba import njit

from tests.kernels.cpu.children import outcome


@njit(nogil=True)
def one_piece(k, member, done, who, turns):
    """Mark a piece as done, after a while."""
    for _ in range(turns):
        crew.pause()
    atomic_add(done, k, 1)
    who[k] = member


@njit(nogil=True)
def all_pieces(words, done, who, turns, work):
    crew.share_out(words, crew.laid_out(one_piece, (done, who, turns)), len(done), work)


@pytest.fixture(autouse=True)
def a_team_of_two() -> Any:
    count.set_threads(2)
    pool.CREW[ALONE_FOR] = 0
    yield
    pool.CREW[ALONE_FOR] = pool.CREW[SHARED_AT] = 0
    count.set_threads(2)


def shared(n: int, work: int, turns: int = 0) -> tuple[np.ndarray, np.ndarray]:
    done, who = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    all_pieces(count.crew_for(work), done, who, turns, work)
    return done, who


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_piece_is_done_once(n: int, threads: int) -> None:
    count.set_threads(threads)
    for _ in range(20):
        done, who = shared(n, LARGE)
        assert (done == 1).all()
        assert ((who >= 0) & (who < threads)).all()


def test_small_work_is_done_alone() -> None:
    for _ in range(50):
        _, who = shared(64, SMALL - 1, turns=100)
        assert (who == 0).all()


def test_large_work_is_shared() -> None:
    begun, helped = time.monotonic(), False
    while not helped and time.monotonic() - begun < 60:
        _, who = shared(64, LARGE, turns=20_000)
        helped = bool((who == 1).any())
    assert helped


def wait_until_all_sleep() -> None:
    begun = time.monotonic()
    while pool.CREW[SLEEPERS] < len(pool._members) and time.monotonic() - begun < 60:
        time.sleep(0.01)
    assert pool.CREW[SLEEPERS] == len(pool._members)


@pytest.mark.parametrize(("last_one", "calls"), [(0, 0), (2**62, 1)], ids=["single", "in a run"])
def test_a_short_job_wakes_nobody_for_itself_and_in_a_run_for_the_next(
    last_one: int, calls: int
) -> None:
    shared(64, LARGE)  # a team is there
    for _ in range(2):
        wait_until_all_sleep()
        pool.CREW[ALONE_FOR], before = 0, pool.CREW[CALLS]
        pool.CREW[SHORT_AT], pool.CREW[CALLED_AT] = last_one, 0
        _, who = shared(64, SHORT - 1, turns=1000)
        assert (who == 0).all()
        assert pool.CREW[CALLS] == before + (calls if SLEEPS else 0)
        assert pool.CREW[BUSY] == 0


def test_members_stay_awake_for_a_while_after_work_worth_waking_for() -> None:
    shared(64, LARGE)
    wait_until_all_sleep()
    if SLEEPS:
        pool.CREW[SHARED_AT] = 2**62
        crew.rouse(pool.CREW_AT)
        begun = time.monotonic()
        while pool.CREW[SLEEPERS] and time.monotonic() - begun < 60:
            time.sleep(0.01)
        time.sleep(0.1)
        assert pool.CREW[SLEEPERS] == 0
        pool.CREW[SHARED_AT] = 0
        wait_until_all_sleep()
    shared(64, SHORT)
    assert abs(pool.CREW[SHARED_AT] - time.monotonic_ns()) < 60e9 or not SLEEPS


def test_a_member_that_was_held_up_is_not_asked_for_a_while() -> None:
    pool.CREW[ALONE_FOR] = JOBS_ALONE
    _, who = shared(64, SMALL, turns=1000)
    assert (who == 0).all()
    assert pool.CREW[ALONE_FOR] == JOBS_ALONE - 1


def test_two_callers_at_once_are_both_served() -> None:
    """One of them has the crew; the other does its pieces alone, and neither waits for ever."""
    wrong: list[int] = []

    def call() -> None:
        for _ in range(300):
            done, _ = shared(50, LARGE)
            wrong.extend(int(k) for k in np.flatnonzero(done != 1))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=120)
        assert not caller.is_alive()
    assert not wrong


def test_members_sleep_when_nothing_is_asked_of_them() -> None:
    shared(64, LARGE)
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


def test_a_forked_child_works_alone_until_it_has_a_team() -> None:
    code = (
        "import os, sys, warnings\n"
        "if not hasattr(os, 'fork'): print('[1, 1]'); sys.exit()\n"
        "import numpy as np\n"
        "from minivae_kernels import load\n"
        "from minivae_kernels.cpu.threads import pool\n"
        "from minivae_kernels.cpu.threads.waking import TEAM, BUSY\n"
        "K = load('numba', 2)\n"
        "x = np.ones((2000, 600), np.float32)\n"
        "K['tanh_forward'](x)\n"
        "pool.CREW[BUSY] = 1  # another thread was at it when the process was forked\n"
        "warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    alone = int(pool.CREW[TEAM])\n"
        "    K['tanh_forward'](x)\n"
        "    os._exit(10 * alone + int(pool.CREW[TEAM]))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert outcome(code) == ["12"]


def test_the_number_of_threads_is_the_team() -> None:
    for threads in (3, 1, 2):
        count.set_threads(threads)
        count.crew_for(LARGE)
        assert pool.CREW[TEAM] == threads == count.team()
