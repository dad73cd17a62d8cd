"""A scalar function becomes loops over stretches of float32.

A loop is called by its address (compile/by_address.py), so that whatever calls it, the training
step or an op's kernel, is compiled once for all functions. The step's loops work in place; an op's
read and write apart, since a copy beforehand costs more than a ReLU does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minivae_kernels.cpu.compile.by_address import ARRAY, address_of
from minivae_kernels.cpu.compile.decorators import addressed, inline
from minivae_kernels.cpu.compile.side_by_side import for_each


class Loop:
    """A function that compiled code calls by its `address`; asking for that compiles it."""

    def __init__(self, name: str, function: Callable[..., None], *kinds: Any) -> None:
        function.__name__ = function.__qualname__ = name  # its name in the disk cache
        self.kernel, self.kinds = addressed(function), kinds

    @functools.cached_property
    def address(self) -> int:
        return address_of(self.kernel, *self.kinds)


def map_loop(name: str, scalar: Any) -> Loop:
    """y = f(y) over a stretch."""

    @inline
    def turn(i, y):  # type: ignore[no-untyped-def]
        y[i] = scalar(y[i])

    def loop(y):  # type: ignore[no-untyped-def]
        for_each(turn, len(y), (y,))

    return Loop(name, loop, ARRAY)


def gradient_loop(name: str, scalar: Any) -> Loop:
    """dy = g(dy, x) over a stretch; x is what the derivative is read off."""

    @inline
    def turn(i, dy, x):  # type: ignore[no-untyped-def]
        dy[i] = scalar(dy[i], x[i])

    def loop(dy, x):  # type: ignore[no-untyped-def]
        for_each(turn, len(dy), (dy, x))

    return Loop(name, loop, ARRAY, ARRAY)


def map_apart(name: str, scalar: Any) -> Loop:
    """y = f(x), in memory of its own."""

    @inline
    def turn(i, x, y):  # type: ignore[no-untyped-def]
        y[i] = scalar(x[i])

    def loop(x, y):  # type: ignore[no-untyped-def]
        for_each(turn, len(y), (x, y))

    return Loop(f"{name}_apart", loop, ARRAY, ARRAY)


def gradient_apart(name: str, scalar: Any) -> Loop:
    """dx = g(dy, x), in memory of its own."""

    @inline
    def turn(i, dy, x, dx):  # type: ignore[no-untyped-def]
        dx[i] = scalar(dy[i], x[i])

    def loop(dy, x, dx):  # type: ignore[no-untyped-def]
        for_each(turn, len(dx), (dy, x, dx))

    return Loop(f"{name}_apart", loop, ARRAY, ARRAY, ARRAY)
