"""The stand-in's race detector (fake_order.py) sees what CUDA leaves unordered, and no more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_cupy import CaptureError, FakeCupy, RaceError
from gpu_streams import all_done, array, stream

pytestmark = pytest.mark.parametrize("per_thread", [False, True], ids=["legacy", "per thread"])


def test_streams_that_do_not_wait_for_each_other(cupy: FakeCupy) -> None:
    a = array(cupy)
    one, two = stream(cupy), stream(cupy)
    with one:
        a += 1
    with two, pytest.raises(RaceError, match=r"reads .* wait for add on stream"):
        a + 1
    with two, pytest.raises(RaceError, match="reads"):
        a.get()
    one.synchronize()
    with two:
        assert a.get()[0] == 1


def test_a_write_waits_for_readers_too(cupy: FakeCupy) -> None:
    a = array(cupy)
    one, two = stream(cupy), stream(cupy)
    cupy.default.synchronize()
    with one:
        b = a + 1
    with two:
        c = a + 2  # two readers do not mind each other
        with pytest.raises(RaceError, match="writes"):
            a[...] = 0
    one.synchronize()
    with two:
        a[...] = 0
        two.synchronize()
    del b, c


def test_events_order_streams(cupy: FakeCupy) -> None:
    a = array(cupy)
    one, two = stream(cupy), stream(cupy)
    one.wait_event(cupy.default.record())
    with one:
        a += 1
    two.wait_event(one.record())
    with two:
        assert a.get()[0] == 1


@pytest.mark.parametrize("non_blocking", [False, True])
def test_only_blocking_streams_wait_for_the_legacy_stream(
    cupy: FakeCupy, non_blocking: bool
) -> None:
    a, other = array(cupy), stream(cupy, non_blocking)
    a += 1
    if cupy.default.legacy and not non_blocking:
        with other:
            a += 1
        assert a.get()[0] == 2
    else:
        with other, pytest.raises(RaceError):
            a += 1
        assert a.get()[0] == 1


def test_memory_given_back_too_early(cupy: FakeCupy) -> None:
    """The pool lends a block anew to the stream that it was allocated on, whoever still uses it."""
    a, other = array(cupy), stream(cupy)
    cupy.default.synchronize()
    with other:
        a += 1
    del a
    with pytest.raises(RuntimeError, match="was given back to the pool of stream"):
        cupy.pool.check()
    cupy.order.faults.clear()


def test_what_a_capture_forbids(cupy: FakeCupy) -> None:
    if cupy.default.legacy:
        with pytest.raises(RuntimeError, match="default"):
            cupy.default.begin_capture()
    a, other = array(cupy), stream(cupy)
    cupy.default.synchronize()
    with other:
        other.begin_capture()
        a += 1
        calls = [(cupy.empty, 3), (a.get,), (a.set, np.ones(4, np.float32)), (a.copy,)]
        for forbidden, *args in [*calls, (other.synchronize,), (cupy.matmul, a, a)]:
            with pytest.raises(CaptureError):
                forbidden(*args)
        graph = other.end_capture()
        assert a.get()[1] == 1
        graph.launch()
        graph.launch(other)
        assert a.get()[1] == 3
        del a, calls, forbidden, args
        with pytest.raises(CaptureError, match="given back"):
            graph.launch()


def test_a_blocking_streams_capture_forbids_the_legacy_stream(cupy: FakeCupy) -> None:
    a, other = array(cupy), stream(cupy, non_blocking=False)
    with other:
        other.begin_capture()
    if cupy.default.legacy:
        with pytest.raises(CaptureError, match="Implicit"):
            a.get()
    else:
        a.get()
    other.end_capture()


def test_branches_of_a_recording(cupy: FakeCupy) -> None:
    """A branch is held, at every launch, to wait for what it needs, byte by byte."""
    a, main, side = array(cupy, 8), stream(cupy), stream(cupy)
    cupy.default.synchronize()

    def recorded(touch: slice, *, wait: bool) -> Any:
        start, done = cupy.cuda.Event(), cupy.cuda.Event()
        with main:
            main.begin_capture()
            a[:4] += 1
            side.wait_event(main.record(start))
            with side:
                a[4:] *= 2
                side.record(done)
            if wait:
                main.wait_event(done)
            a[touch] += 1
            if not wait:
                main.wait_event(done)
            return main.end_capture()

    for graph in (recorded(slice(0, 4), wait=False), recorded(slice(4, 8), wait=True)):
        for _ in range(2):
            graph.launch(main)
    beside = recorded(slice(3, 5), wait=False)
    with pytest.raises(RaceError, match=r"add .* makes it wait for copy"):
        beside.launch(main)
    all_done(cupy)


def test_a_branch_left_open(cupy: FakeCupy) -> None:
    a, main, side = array(cupy), stream(cupy), stream(cupy)
    cupy.default.synchronize()
    with main:
        main.begin_capture()
        side.wait_event(main.record())
        with side:
            a += 1
        with pytest.raises(CaptureError, match="Unjoined"):
            main.end_capture()


def test_the_hosts_memory_while_it_is_copied(cupy: FakeCupy) -> None:
    """CuPy's `set` keeps no reference, and does not wait."""
    a, kept = cupy.empty((4,), np.float32), np.ones(4, np.float32)
    a.set(kept)
    kept[0] = 2
    cupy.default.synchronize()
    assert cupy.order.faults.pop().startswith("host memory was changed")
    a.set(np.ones(4, np.float32))
    assert cupy.order.faults.pop().startswith("host memory was given back")
    cupy.default.synchronize()
    ones = kept[:]
    a.set(ones)
    cupy.default.synchronize()
    kept[0] = 3
    del kept
    assert not cupy.order.faults
