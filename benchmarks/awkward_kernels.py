"""Kernels that are awkward: right ones with odd manners, and wrong ones that fail oddly.

Each runs in a process of its own, as anybody's file does. `HONEST` are right, however awkward.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
import warnings
from typing import Any

import numpy as np

from minivae import ops

HONEST = (
    "sigmoid_forward_prints", "sigmoid_forward_prints_in_c", "sigmoid_forward_turned_about",
    "sigmoid_forward_read_only", "sigmoid_forward_strict_about_warnings",
    "sigmoid_forward_prints_other_letters", "sigmoid_forward_elsewhere", "sigmoid_forward_called",
    "sigmoid_forward_by_content",  # never twice the same: it only wastes time
)  # fmt: skip
kept: dict[str, Any] = {}


def sigmoid_forward_prints(x):
    print("busy!", end="")
    return ops.sigmoid_forward(x)


def sigmoid_forward_prints_in_c(x):
    ctypes.CDLL(None).puts(b'{"seconds": 1e-9}')
    return ops.sigmoid_forward(x)


def sigmoid_forward_prints_other_letters(x):
    os.write(1, b"\xe9\xff \n" * 200)
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


def sigmoid_forward_by_content(x):
    key = hash(x.tobytes())
    if kept.get("key") != key:
        kept.update(key=key, y=ops.sigmoid_forward(x))
    return kept["y"].copy()


def sigmoid_forward_leaves(x):
    sys.exit("enough")


def sigmoid_forward_crashes(x):
    return ctypes.string_at(0)


def sigmoid_forward_exits(x):
    os._exit(7)


def sigmoid_forward_hangs(x):
    while True:
        time.sleep(0.1)


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
