"""How many threads the ops use: set once by `load`, and fewer where the work is small."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minivae_kernels.cpu.threads import pool
from minivae_kernels.cpu.threads.crew import SMALL
from minivae_kernels.cpu.threads.waking import TEAM
from minivae_kernels.support import MOST_THREADS

_threads: list[int] = []


def set_threads(count: int | None) -> int:
    """Fix the number of threads; None: one for each core this process may use.

    Raises ValueError for a number below 1 or beyond MOST_THREADS.
    """
    _threads[:] = [pool.default_threads() if count is None else checked(count)]
    pool.is_up = False
    return _threads[0]


def checked(count: Any) -> int:
    """A number of threads that was asked for; ValueError below 1 or beyond MOST_THREADS."""
    try:
        number = 0 if isinstance(count, bool | np.bool_) else operator.index(count)
    except TypeError:  # neither Python's nor NumPy's whole numbers
        number = 0
    if not 1 <= number <= MOST_THREADS:
        raise ValueError(f"threads = {count!r}: must be a whole number from 1 to {MOST_THREADS}")
    return number


def threads() -> int:
    """The number that `load` fixed, or the default before it was called."""
    return _threads[0] if _threads else pool.default_threads()


def crew_for(work: float) -> int:
    """The words of the team, with all its members there where the work is worth sharing."""
    return pool.crew(threads()) if work >= SMALL else pool.CREW_AT


def team() -> int:
    """How many may be at a piece of work, the caller among them."""
    return int(pool.CREW[TEAM])
