"""How many threads the ops use: set once by `load`, and fewer where the work is small."""

from __future__ import annotations

from minivae_kernels.cpu.threads import pool
from minivae_kernels.cpu.threads.crew import SMALL
from minivae_kernels.cpu.threads.waking import TEAM

_threads: list[int] = []
MOST = 1024  # threads; beyond, a number is a slip, and their stacks and scratch fill the memory


def set_threads(count: int | None) -> int:
    """Fix the number of threads; None: one for each core this process may use.

    Raises ValueError for a number below 1 or beyond MOST.
    """
    if count is not None and (not isinstance(count, int) or not 1 <= count <= MOST):
        raise ValueError(f"threads = {count!r}: must be a whole number from 1 to {MOST}")
    _threads[:] = [count or pool.default_threads()]
    pool.is_up = False
    return _threads[0]


def threads() -> int:
    """The number that `load` fixed, or the default before it was called."""
    return _threads[0] if _threads else pool.default_threads()


def crew_for(work: float) -> int:
    """The words of the team, with all its members there where the work is worth sharing."""
    return pool.crew(threads()) if work >= SMALL else pool.CREW_AT


def team() -> int:
    """How many may be at a piece of work, the caller among them."""
    return int(pool.CREW[TEAM])
