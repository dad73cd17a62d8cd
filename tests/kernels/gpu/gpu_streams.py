"""Arrays and streams for the tests of the order of work."""

from __future__ import annotations

from typing import Any

import numpy as np
from fake_cupy import FakeCupy
from fake_streams import Stream


def array(cupy: FakeCupy, n: int = 4) -> Any:
    a, numbers = cupy.empty((n,), np.float32), np.arange(n, dtype=np.float32)
    a.set(numbers)
    cupy.default.synchronize()
    return a


def stream(cupy: FakeCupy, non_blocking: bool = True) -> Stream:
    return cupy.cuda.Stream(non_blocking=non_blocking)


def all_done(cupy: FakeCupy) -> None:
    """Forget a broken test's pending work."""
    cupy.order.faults.clear()
    cupy.order.host.update(cupy.order.done)
    for each in cupy.order.streams:
        each.recording = None
