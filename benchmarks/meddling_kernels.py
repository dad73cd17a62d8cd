"""Kernels that meddle with the race or its process, and right ones that are only awkward.

Each runs in a process of its own, as anybody's file does. `HONEST` are right, however awkward.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import sys
import threading
import time
import warnings
from typing import Any

import numpy as np

from minivae import ops
from minivae.racing import buffers, lane, watch, worker

HONEST = (
    "sigmoid_forward_prints_in_c", "sigmoid_forward_turned_about", "sigmoid_forward_read_only",
    "sigmoid_forward_strict_about_warnings", "sigmoid_forward_elsewhere", "sigmoid_forward_called",
    "sigmoid_forward_by_content",  # never twice the same: it only wastes time
)  # fmt: skip
kept: dict[str, Any] = {}


def sigmoid_forward_asks_its_caller(x):
    frame = sys._getframe(1)
    found = frame.f_locals.get("found")
    return ops.sigmoid_forward(x) if found is None else np.empty_like(x)


def sigmoid_forward_asks_by_an_error(x):
    try:
        raise KeyError
    except KeyError as error:
        above = error.__traceback__.tb_frame.f_back
    above.f_locals.get("times", []).clear()
    return ops.sigmoid_forward(x)


def sigmoid_forward_searches_the_heap(x):
    for thing in gc.get_objects():
        if isinstance(thing, lane.Lane):
            thing.estimate = 1e-9
    return ops.sigmoid_forward(x)


def sigmoid_forward_replaces_chance(x):
    os.urandom = lambda n: bytes(n)
    return sigmoid_forward_mends_what_changed(x)


def sigmoid_forward_stands_still(x):
    buffers.MOVED = 0
    return ops.sigmoid_forward(x)


def sigmoid_forward_stops_the_clock_for_once(x):
    real, begin = lane.clock, lane.clock()

    def once():
        lane.clock = real
        return begin

    lane.clock = once
    return ops.sigmoid_forward(x)


def sigmoid_forward_answers_when_asked(x):
    y, real = np.empty_like(x), lane.outputs_of

    def once(*given):
        lane.outputs_of = real
        y[...] = ops.sigmoid_forward(x)
        return real(*given)

    lane.outputs_of = once
    return y


def sigmoid_forward_new_lane(x):
    def block(self, number, state):
        return lane.Block(seconds=1e-9, calls=1)

    lane.Lane.block = block
    return ops.sigmoid_forward(x)


def sigmoid_forward_blinds_the_watch(x):
    watch.Watch.changed = lambda self: ""
    lane.clock = lambda: 0
    return ops.sigmoid_forward(x)


def sigmoid_forward_dismisses_the_guards(x):
    worker.Worker._refuse = worker.Worker._meddled = lambda self: ""
    worker.Worker._watched = contextlib.nullcontext
    watch.Watch.changed = lambda self: ""
    lane.Lane.block = lambda self, number, state: lane.Block(seconds=1e-9, calls=1)
    return ops.sigmoid_forward(x)


def sigmoid_forward_rewrites_the_copy(x):
    buffers.moved.__code__ = (lambda arrays, move: None).__code__
    return ops.sigmoid_forward(x)


def sigmoid_forward_rewrites_json(x):
    real = json.dumps
    json.dumps = lambda answer, **how: real({**answer, "seconds": 1e-9}, **how)
    return ops.sigmoid_forward(x)


def sigmoid_forward_stops_perf_counter(x):
    now = time.perf_counter()
    time.perf_counter = lambda: now
    return ops.sigmoid_forward(x)


def sigmoid_forward_forges_whole_answers(x):
    told = {"seconds": 1e-9, "calls": 9, "spent": 1e-8, "at": 0, "got": 0, "fault": "",
            "new": [], "again": [], "elapsed": 9.0}  # fmt: skip
    for channel in range(3, 30):
        try:
            os.write(channel, (json.dumps(told) + "\n").encode())
        except OSError:
            continue
    return ops.sigmoid_forward(x)


def sigmoid_forward_takes_the_commands(x):
    if not sys.stdin.readline():
        raise EOFError("nothing to read")
    return ops.sigmoid_forward(x)


def sigmoid_forward_signals_its_parent(x):
    os.kill(os.getppid(), 0)
    return ops.sigmoid_forward(x)


def sigmoid_forward_hurries(x):
    os.nice(-5)
    return ops.sigmoid_forward(x)


def sigmoid_forward_has_a_helper(x):
    if "child" not in kept:
        kept["child"] = os.fork()
        if not kept["child"]:
            os.setsid()
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            time.sleep(60)
            os._exit(0)
    return ops.sigmoid_forward(x)


def sigmoid_forward_writes_behind(x):
    ctypes.memset(x.ctypes.data + x.nbytes, 0, 64)
    return ops.sigmoid_forward(x)


def sigmoid_forward_writes_before(x):
    ctypes.memset(x.ctypes.data - 4, 0, 4)
    return ops.sigmoid_forward(x)


def sigmoid_forward_only_when_poisoned(x):
    y = np.empty_like(x)
    return ops.sigmoid_forward(x) if np.isnan(y.flat[-1]) else y


def sigmoid_forward_only_after_a_pause(x):
    begin = time.perf_counter()
    usual = kept.setdefault("gap", 1.0)
    gap = begin - kept.get("left", 0.0)
    kept["gap"] = 0.9 * usual + 0.1 * gap
    y = ops.sigmoid_forward(x) if gap > 1.3 * usual else np.empty_like(x)
    kept["left"] = time.perf_counter()
    return y


def sigmoid_forward_mends_what_changed(x):
    if kept.get("x") is None or kept["x"].shape != x.shape:
        kept.update(x=x.copy(), y=ops.sigmoid_forward(x))
        return kept["y"].copy()
    places = np.flatnonzero(kept["x"] != x)
    kept["x"].reshape(-1)[places] = x.reshape(-1)[places]
    kept["y"].reshape(-1)[places] = ops.sigmoid_forward(x.reshape(-1)[places])
    return kept["y"].copy()


def sigmoid_forward_by_content(x):
    key = hash(x.tobytes())
    if kept.get("key") != key:
        kept.update(key=key, y=ops.sigmoid_forward(x))
    return kept["y"].copy()


def sigmoid_forward_finishes_later(x):
    y = np.empty_like(x)
    threading.Timer(0.002, lambda: np.copyto(y, ops.sigmoid_forward(x))).start()
    return y


def sigmoid_forward_two_buffers(x):
    pair = kept.setdefault("pair", [np.empty_like(x), np.empty_like(x)])
    pair.reverse()
    pair[0][...] = ops.sigmoid_forward(x)
    return pair[0]


def sigmoid_forward_gives_back_later(x):
    before, y = x.copy(), ops.sigmoid_forward(x)
    x[...] = 0
    threading.Timer(0.0005, lambda: np.copyto(x, before)).start()
    return y


def sigmoid_forward_without_end(x):
    return sigmoid_forward_without_end(x)


class Unnameable(BaseException):
    """Not an Exception, and its text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def sigmoid_forward_raises_anything(x):
    raise Unnameable


def sigmoid_forward_talks_at_length(x):
    raise ValueError("long\n" * 100_000)


def sigmoid_forward_in_parts(x):
    yield from ops.sigmoid_forward(x)


async def sigmoid_forward_some_day(x):
    return ops.sigmoid_forward(x)


def sigmoid_forward_stops_to_debug(x):
    breakpoint()
    return ops.sigmoid_forward(x)


def sigmoid_forward_other_bytes(x):
    return ops.sigmoid_forward(x).astype(">f4")


def sigmoid_forward_list(x):
    return ops.sigmoid_forward(x).tolist()


def sigmoid_forward_all_memory(x):
    return np.empty((10**9, 10**6), np.float32)


def sigmoid_forward_prints_in_c(x):
    ctypes.CDLL(None).puts(b'{"seconds": 1e-9}')
    return ops.sigmoid_forward(x)


def sigmoid_forward_turned_about(x):
    return np.asfortranarray(ops.sigmoid_forward(x))


def sigmoid_forward_read_only(x):
    y = ops.sigmoid_forward(x)
    y.flags.writeable = False
    return y


def sigmoid_forward_strict_about_warnings(x):
    warnings.simplefilter("error")
    np.seterr(all="raise")
    return ops.sigmoid_forward(x)


def sigmoid_forward_elsewhere(x):
    os.chdir("/")
    return ops.sigmoid_forward(x)


class Called:
    """A kernel that is no function."""

    def __call__(self, x):
        return ops.sigmoid_forward(x)


sigmoid_forward_called = Called()
