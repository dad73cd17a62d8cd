"""Running code that is not ours: against a clock, in silence, its exceptions as one line."""

from __future__ import annotations

import contextlib
import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


class CannotRun(Exception):
    """A forward or backward that raised; the message is one line."""


def one_line(error: BaseException) -> str:
    """An exception as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Clock:
    """The wall-clock seconds that one check may take, and what a call of each kind has cost."""

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds, self.end = seconds, time.perf_counter() + seconds
        self.spare = 0.1 * seconds  # for small things, where a busy machine has eaten the time
        self.cost = {"forward": 0.0, "backward": 0.0, "complex": 0.0}
        self.kept = (2, 0)  # calls of forward and backward kept back for what is always run

    def left(self) -> float:
        """Seconds left; negative once the time is up."""
        return self.end - time.perf_counter()

    def timed(self, kind: str, function: Callable[..., Any], *args: Any) -> Any:
        """Calls a function and notes what such a call costs: quick to fall (a first may compile),
        slow to rise (a busy machine)."""
        start = time.perf_counter()
        result = function(*args)
        taken, known = time.perf_counter() - start, self.cost[kind]
        self.cost[kind] = min(0.5 * (taken + known), 4 * known) if 0 < known < taken else taken
        return result

    def price(self, forward: float = 0, backward: float = 0, complex: float = 0) -> float:
        """Seconds for so many calls; a kind not yet called is reckoned from the others."""
        once = self.cost["forward"]
        back, push = self.cost["backward"] or 2 * once, self.cost["complex"] or 3 * once
        return forward * once + backward * back + complex * push

    def fits(self, forward: float = 0, backward: float = 0, complex: float = 0) -> bool:
        """Whether so many calls, and those kept back, fit into the time left; or into the spare
        time, if they take less than a thousandth of the whole."""
        price = self.price(forward + self.kept[0], backward + self.kept[1], complex)
        if price <= self.left():
            return True
        small = price <= min(self.spare, 1e-3 * self.seconds)
        self.spare -= price * small
        return small


@functools.cache
def one_thread() -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """What holds BLAS to one thread, if threadpoolctl is there: small products are slow on many."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return contextlib.nullcontext
    return functools.partial(ThreadpoolController().limit, limits=1, user_api="blas")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings of the code under test, and one thread for BLAS."""
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"), one_thread()():
        yield
