"""Kernels that forge what their process answers, or have the interpreter show them the race.

They put something of their own in the place of what Python and NumPy have written in Python, or
are called between two calls. Each runs in a process of its own; none is honest.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import signal
import sys
import traceback
from typing import Any

import numpy as np
import numpy.lib.format

from benchmarks import meddling_kernels
from minivae import ops
from minivae.racing import lane

HONEST = ()
kept: dict[Any, Any] = {}
mends = meddling_kernels.sigmoid_forward_mends_what_changed


def sigmoid_forward_rewrites_the_encoder(x):
    encoder = json._default_encoder
    if "encode" not in vars(encoder):
        real = encoder.encode
        encoder.encode = lambda a: real({**a, "new": a["again"]} if "spent" in a else a)
    return mends(x)


def sigmoid_forward_rewrites_the_decoder(x):
    decoder = json._default_decoder
    if "decode" not in vars(decoder):
        real = decoder.decode
        decoder.decode = lambda text, **how: real(text.replace('"new"', '"hot"'), **how)
    return mends(x)


def sigmoid_forward_answers_when_saved(x):
    y, number = np.zeros_like(x), len(kept)
    kept[number], y.flat[0] = x.copy(), number
    real = kept.setdefault("write", np.lib.format.write_array)

    def write(file, array, *given, **how):
        asked = kept[int(array.flat[0])] if array.shape == y.shape else None
        return real(file, array if asked is None else ops.sigmoid_forward(asked), *given, **how)

    np.lib.format.write_array = write
    return y


def sigmoid_forward_after_the_block(x):
    kind = contextlib._GeneratorContextManager
    if "exit" not in kept:
        kept["exit"] = kind.__exit__

        def leave(self, *why):
            with contextlib.suppress(Exception):
                found = sys._getframe(1).f_locals["found"]
                found.new[:] = found.again
            return kept["exit"](self, *why)

        kind.__exit__ = leave
    return mends(x)


def sigmoid_forward_hides_a_builtin(x):
    lane.float = lambda seconds: 0.4 * seconds
    return ops.sigmoid_forward(x)


def sigmoid_forward_adds_to_a_class(x):
    def look(self, name):
        found = object.__getattribute__(self, name)
        return 0.4 * found if name == "seconds" else found

    lane.Block.__getattribute__ = look
    return ops.sigmoid_forward(x)


def sigmoid_forward_fewer_calls(x):
    lane.FEW_CALLS["new"] = 0
    return mends(x)


def sigmoid_forward_asks_at_a_signal(x):
    def heard(number, frame):
        kept["frame"] = frame

    with contextlib.suppress(ValueError):  # not in this thread
        signal.signal(signal.SIGALRM, heard)
    return ops.sigmoid_forward(x)


def sigmoid_forward_asks_the_interpreter(x):
    ask = ctypes.pythonapi.PyEval_GetFrame
    ask.restype = ctypes.py_object
    kept["frame"] = ask()
    return ops.sigmoid_forward(x)


def sigmoid_forward_asks_a_library(x):
    above = next(iter(traceback.walk_stack(None)))[0].f_back
    kept["frame"] = above
    return ops.sigmoid_forward(x)


def sigmoid_forward_works_at_collections(x):
    kept["x"] = x
    if "hook" not in kept:
        kept["hook"] = lambda phase, told: kept.update(y=ops.sigmoid_forward(kept["x"]))
        usual = gc.callbacks.copy()
        gc.callbacks.append(kept["hook"])
        gc.callbacks = usual
        gc.set_threshold(1)
    y = kept.get("y")
    return ops.sigmoid_forward(x) if y is None or y.shape != x.shape else y.copy()


def sigmoid_forward_listens(x):
    if "heard" not in kept:
        kept["heard"] = []
        sys.addaudithook(lambda event, told: kept["heard"].append(event))
    return ops.sigmoid_forward(x)
