"""Elementwise functions: a scalar function becomes a loop, which an op and the training step share.

A loop works in place on a stretch of float32 and is called by its address (compile/by_address.py),
so that the kernels below, and the step, are compiled once for all functions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import ARRAY, address_of, call
from minivae_kernels.cpu.compile.decorators import entry
from minivae_kernels.cpu.gemm.pack import copy
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.pool import run

CHUNK = 2048  # elements copied and then worked on while they are in the first-level cache


class Loop:
    """A function that compiled code calls by its `address`; asking for that compiles it."""

    def __init__(self, name: str, function: Callable[..., None], *kinds: Any) -> None:
        function.__name__ = function.__qualname__ = name  # its name in the disk cache
        self.kernel, self.kinds = entry(function), kinds

    @functools.cached_property
    def address(self) -> int:
        return address_of(self.kernel, *self.kinds)


def map_loop(name: str, scalar: Any) -> Loop:
    """y = f(y) over a stretch."""

    def loop(y):  # type: ignore[no-untyped-def]
        for i in range(len(y)):
            y[i] = scalar(y[i])

    return Loop(name, loop, ARRAY)


def gradient_loop(name: str, scalar: Any) -> Loop:
    """dy = g(dy, x) over a stretch; x is what the derivative is read off."""

    def loop(dy, x):  # type: ignore[no-untyped-def]
        for i in range(len(dy)):
            dy[i] = scalar(dy[i], x[i])

    return Loop(name, loop, ARRAY, ARRAY)


@entry
def map_kernel(member, team, sync, loop, x, y):
    """y = f(x) on one member's share."""
    if barrier(sync, team):
        low, high = share(len(x), member, team)
        for first in range(low, high, CHUNK):
            last = min(first + CHUNK, high)
            copy(x[first:last], y[first:last])
            call(loop, (y[first:last],))


@entry
def gradient_kernel(member, team, sync, loop, dy, x, dx):
    """dx = g(dy, x) on one member's share."""
    if barrier(sync, team):
        low, high = share(len(x), member, team)
        for first in range(low, high, CHUNK):
            last = min(first + CHUNK, high)
            copy(dy[first:last], dx[first:last])
            call(loop, (dx[first:last], x[first:last]))


def map_op(name: str, loop: Loop, scalar: Any) -> Callable[[Any], np.ndarray]:
    """The op y = f(x) of any shape, with the scalar function's argument and docstring."""

    def op(x: Any) -> np.ndarray:
        x = np.asarray(x)
        float32_only(name, x)
        y = fresh(x.shape)
        run(map_kernel, team_for(x.size), loop.address, flat(x), y.reshape(-1))
        return y

    return _named(op, name, scalar)


def gradient_op(name: str, loop: Loop, scalar: Any) -> Callable[[Any, Any], np.ndarray]:
    """The op dx = g(dy, x) of any two shapes that broadcast."""

    def op(dy: Any, x: Any) -> np.ndarray:
        float32_only(name, dy, x)
        dy, x = np.broadcast_arrays(dy, x)
        dx = fresh(x.shape)
        run(gradient_kernel, team_for(x.size), loop.address, flat(dy), flat(x), dx.reshape(-1))
        return dx

    return _named(op, name, scalar)


def _named(op: Any, name: str, scalar: Any) -> Any:
    """The op under its name; its source, for people, is the scalar function's."""
    functools.update_wrapper(op, scalar.py_func)
    op.__name__ = op.__qualname__ = name
    return op
