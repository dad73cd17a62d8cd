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


@njit(nogil=True)
def pieces_for_some(words, members, done, who, turns):
    job = crew.at_most(crew.laid_out(one_piece, (done, who, turns)), members)
    crew.share_out(words, job, len(done), LARGE)


@njit(nogil=True)
def slower_for_members(k, member, who):
    """A piece that keeps a member hundreds of times longer than the caller."""
    for _ in range(400_000 if member else 2000):
        crew.pause()
    who[k] = member


@njit(nogil=True)
def pieces_that_end_late(words, who, work):
    crew.share_out(words, crew.laid_out(slower_for_members, (who,)), len(who), work)


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


@pytest.mark.skipif(not SLEEPS, reason="nobody sleeps here")
@pytest.mark.parametrize("work", [SHORT, LARGE])
def test_only_a_middling_job_that_ends_late_counts_as_held_up(work: int) -> None:
    """A large one's last piece may take its time, and says nothing of the next jobs."""
    helped, begun = 0, time.monotonic()
    while not pool.CREW[ALONE_FOR] and helped < 5 and time.monotonic() - begun < 60:
        who = np.zeros(64, np.int64)
        pieces_that_end_late(count.crew_for(work), who, work)
        helped += int((who == 1).any())
    assert helped
    assert bool(pool.CREW[ALONE_FOR]) == (work < LARGE)


@pytest.mark.parametrize("room", [1, 2])
def test_no_more_members_take_part_than_a_job_has_room_for(room: int) -> None:
    """Whatever the team is by then: a member beyond has no scratch."""
    count.set_threads(3)
    seen: set[int] = set()
    begun, calls = time.monotonic(), 0
    while (calls < 20 or len(seen) < room) and time.monotonic() - begun < 60:
        done, who = np.zeros(64, np.int64), np.full(64, -1, np.int64)
        pieces_for_some(count.crew_for(LARGE), room, done, who, 20_000)
        assert (done == 1).all()
        seen |= set(who.tolist())
        calls += 1
    assert seen == set(range(room))


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
        "from minivae_kernels.cpu.threads.waking import BUSY, CALLER_SLEEPS, SLEEPERS, TEAM\n"
        "K = load('numba', 2)\n"
        "x = np.ones((2000, 600), np.float32)\n"
        "K['tanh_forward'](x)\n"
        "pool.CREW[BUSY] = 1  # another thread was at it when the process was forked\n"
        "pool.CREW[SLEEPERS] = pool.CREW[CALLER_SLEEPS] = 3  # and others slept\n"
        "warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    alone = int(pool.CREW[TEAM])\n"
        "    if pool.CREW[SLEEPERS] or pool.CREW[CALLER_SLEEPS]: os._exit(99)\n"
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
