"""How many threads the ops use: set once by `load`, and fewer where the work is small."""

from __future__ import annotations

from minivae_kernels.cpu.threads.pool import default_threads

_threads: list[int] = []
MOST = 1024  # threads; beyond, a number is a slip, and their stacks and scratch fill the memory
# Elements, or 16 multiply-adds, that one thread does by itself: some 0.3 ms. To wake a team takes
# 25 µs on a quiet machine, and a scheduler's turn on a busy one.
ALONE = 1 << 20


def set_threads(count: int | None) -> int:
    """Fix the number of threads; None: one for each core this process may use.

    Raises ValueError for a number below 1 or beyond MOST.
    """
    if count is not None and (not isinstance(count, int) or not 1 <= count <= MOST):
        raise ValueError(f"threads = {count!r}: must be a whole number from 1 to {MOST}")
    _threads[:] = [count or default_threads()]
    return _threads[0]


def threads() -> int:
    """The number that `load` fixed, or the default before it was called."""
    return _threads[0] if _threads else default_threads()


def team_for(work: float) -> int:
    """Threads for an op of so many elements' work."""
    if work < ALONE:
        return 1
    return threads()
