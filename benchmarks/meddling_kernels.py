"""Kernels that meddle with the race or with its process: clocks, guards, memory, channels, helpers.

Each runs in a process of its own, as anybody's file does. None is honest.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import sys
import threading
import time
from typing import Any

import numpy as np

from minivae import ops
from minivae.racing import buffers, lane, watch, worker

HONEST = ()
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


def stop(clock):
    now = getattr(time, clock)()
    setattr(time, clock, lambda: now)


def sigmoid_forward_replaces_the_clock(x):
    stop("perf_counter_ns")
    return ops.sigmoid_forward(x)


def sigmoid_forward_stops_perf_counter(x):
    stop("perf_counter")
    return ops.sigmoid_forward(x)


def write_to_every_channel(line):
    for channel in range(3, 30):
        with contextlib.suppress(OSError):
            os.write(channel, line)


def sigmoid_forward_writes_answers(x):
    write_to_every_channel(b'{"seconds": 1e-9}\n')
    return ops.sigmoid_forward(x)


def sigmoid_forward_forges_whole_answers(x):
    told = {"seconds": 1e-9, "calls": 9, "spent": 1e-8, "at": 0, "got": 0, "fault": "",
            "new": [], "again": [], "elapsed": 9.0}  # fmt: skip
    write_to_every_channel((json.dumps(told) + "\n").encode())
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


def sigmoid_forward_spreads(x):
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
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


def sigmoid_forward_goes_first(x):
    if "first" not in kept:
        kept["first"] = threading.Thread(target=time.sleep, args=(60,), daemon=True)
        kept["first"].start()
        os.setpriority(os.PRIO_PROCESS, kept["first"].native_id, -5)
    return ops.sigmoid_forward(x)


def sigmoid_forward_in_real_time(x):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return ops.sigmoid_forward(x)


def sigmoid_forward_half_a_line(x):
    write_to_every_channel(b"{")
    time.sleep(3600)


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


def sigmoid_forward_honest_one_in_four(x):
    if random.random() < 0.25:
        kept.clear()
    return sigmoid_forward_mends_what_changed(x)


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
