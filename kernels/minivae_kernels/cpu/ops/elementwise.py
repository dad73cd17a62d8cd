"""Elementwise functions: a scalar function becomes a loop, which an op and the training step share.

A loop works in place on a stretch of float32 and is called by its address (compile/by_address.py),
so that the kernels below, and the step, are compiled once for all functions. An op is a NumPy ufunc
(compile/ufunc.py) over such a loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import ARRAY, address_of, call
from minivae_kernels.cpu.compile.decorators import addressed, entry, inner
from minivae_kernels.cpu.compile.simd import outlined
from minivae_kernels.cpu.compile.ufunc import (
    NATURAL,
    c_address,
    call_plain,
    clear_flags,
    floats_at,
    make_ufunc,
    move,
    stack_floats,
    word_at,
)
from minivae_kernels.cpu.gemm.pack import copy
from minivae_kernels.cpu.ops.arguments import F32, float32_only
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import SMALL, laid_out, pieces_of, share_out

CHUNK = 1024  # elements copied and then worked on while they are in the first-level cache
SPARE, MOST = CHUNK * NATURAL, 5  # bytes of a chunk; arguments and results of an op
# As NumPy integers: a plain 4 in a call would be a type of its own, compiled once more.
APART = np.int64(NATURAL)
N0, N1, N2, N3, N4 = (np.int64(number) for number in range(MOST))  # an argument or a result
chunks = stack_floats(CHUNK * MOST)
# What a ufunc's loop is given: the crew's words, an element's work, the loop that it calls (or 0),
# and what clears the processor's flags.
CREW, WORK, LOOP, CLEAR = range(4)


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


@inner
def move_all(source, apart, target, to_be_apart, count):
    """Copy float32 numbers that lie `apart` bytes from each other."""
    outlined()
    for i in range(count):
        move(source + i * apart, target + i * to_be_apart)


@inner
def read(args, steps, number, spare, first, count):
    """Where elements first … first + count of an argument lie; apart, they are copied together."""
    start, step = word_at(args, number), word_at(steps, number)
    if step == NATURAL:
        return start + NATURAL * first
    together = spare + number * SPARE
    move_all(start + step * first, step, together, APART, count)
    return together


@inner
def room(args, steps, number, spare, first):
    """Where elements of a result from `first` on go: its own memory, or some beside it."""
    if word_at(steps, number) == NATURAL:
        return word_at(args, number) + NATURAL * first
    return spare + number * SPARE


@inner
def put_back(args, steps, number, spare, first, count):
    """Bring a result that was made beside its place there."""
    start, step = word_at(args, number), word_at(steps, number)
    if step != NATURAL:
        move_all(spare + number * SPARE, APART, start + step * first, step, count)


@inner
def map_part(args, steps, loop, spare, first, count):
    """y = f(x) for some elements."""
    x = floats_at(read(args, steps, N0, spare, first, count), count)
    y = floats_at(room(args, steps, N1, spare, first), count)
    copy(x, y)
    call(loop, (y,))
    put_back(args, steps, N1, spare, first, count)


@inner
def gradient_part(args, steps, loop, spare, first, count):
    """dx = g(dy, x) for some elements."""
    dy = floats_at(read(args, steps, N0, spare, first, count), count)
    x = floats_at(read(args, steps, N1, spare, first, count), count)
    dx = floats_at(room(args, steps, N2, spare, first), count)
    copy(dy, dx)
    call(loop, (dx, x))
    put_back(args, steps, N2, spare, first, count)


def part_of(function: Any, takes: int, gives: int) -> Any:
    """Some elements of a ufunc from a scalar function of 2 or 3 numbers that gives 1 or 2."""

    @inner
    def two_to_one(args, steps, loop, spare, first, count):  # type: ignore[no-untyped-def]
        a = floats_at(read(args, steps, N0, spare, first, count), count)
        b = floats_at(read(args, steps, N1, spare, first, count), count)
        y = floats_at(room(args, steps, N2, spare, first), count)
        for i in range(count):
            y[i] = function(a[i], b[i])
        put_back(args, steps, N2, spare, first, count)

    @inner
    def three_to_one(args, steps, loop, spare, first, count):  # type: ignore[no-untyped-def]
        y = floats_at(room(args, steps, N3, spare, first), count)
        a = floats_at(read(args, steps, N0, spare, first, count), count)
        b = floats_at(read(args, steps, N1, spare, first, count), count)
        c = floats_at(read(args, steps, N2, spare, first, count), count)
        for i in range(count):
            y[i] = function(a[i], b[i], c[i])
        put_back(args, steps, N3, spare, first, count)

    @inner
    def three_to_two(args, steps, loop, spare, first, count):  # type: ignore[no-untyped-def]
        a = floats_at(read(args, steps, N0, spare, first, count), count)
        b = floats_at(read(args, steps, N1, spare, first, count), count)
        c = floats_at(read(args, steps, N2, spare, first, count), count)
        y = floats_at(room(args, steps, N3, spare, first), count)
        z = floats_at(room(args, steps, N4, spare, first), count)
        for i in range(count):
            y[i], z[i] = function(a[i], b[i], c[i])
        put_back(args, steps, N3, spare, first, count)
        put_back(args, steps, N4, spare, first, count)

    return {(2, 1): two_to_one, (3, 1): three_to_one, (3, 2): three_to_two}[takes, gives]


def c_loop(name: str, part: Any) -> Any:
    """The entry that answers with the address of a ufunc's loop: part by part, shared out."""

    @inner
    def piece(k, member, args, steps, loop, length, total):  # type: ignore[no-untyped-def]
        last = min((k + 1) * length, total)
        spare = chunks()
        for first in range(k * length, last, CHUNK):
            part(args, steps, loop, spare, first, min(CHUNK, last - first))

    @inner
    def whole(args, dims, steps, data):  # type: ignore[no-untyped-def]
        total = word_at(dims, 0)
        crew = word_at(data, CREW)
        count, length = pieces_of(crew, total)
        job = laid_out(piece, (args, steps, word_at(data, LOOP), length, total))
        share_out(crew, job, count, total * word_at(data, WORK))
        call_plain(word_at(data, CLEAR))

    def address():  # type: ignore[no-untyped-def]
        return c_address(whole)

    address.__name__ = address.__qualname__ = name  # in the disk cache
    return entry(address)


class Elementwise:
    """A ufunc of float32 arrays, made when it is first called.

    work: of an element, where a plain loop's is 1 (threads/crew.py).
    """

    def __init__(
        self, name: str, loops: Any, arity: tuple[int, int], work: int, loop: Loop | None = None
    ) -> None:
        self.name, self.loops, self.arity = name, loops, arity
        self.work, self.loop, self.small = work, loop, SMALL // work

    @functools.cached_property
    def ufunc(self) -> Callable[..., Any]:
        loop = self.loop.address if self.loop else 0
        data = [crew_for(0), self.work, loop, clear_flags()]
        return make_ufunc(self.name, self.loops(), np.array(data, dtype=np.int64), self.arity)

    def __call__(self, *args: Any) -> Any:
        size = 0
        for a in args:
            if type(a) is not np.ndarray or a.dtype is not F32:
                float32_only(self.name, *args)
                args = tuple(np.asarray(a, dtype=F32) for a in args)
                size = max(a.size for a in args)
                break
            if a.size > size:
                size = a.size
        if size > self.small:
            crew_for(size * self.work)
        return self.ufunc(*args)


map_c_loop, gradient_c_loop = c_loop("map_ufunc", map_part), c_loop("gradient_ufunc", gradient_part)


def map_op(name: str, loop: Loop, scalar: Any, work: int = 2) -> Callable[[Any], np.ndarray]:
    """The op y = f(x) of any shape, with the scalar function's argument and docstring."""
    made = Elementwise(name, map_c_loop, (1, 1), work, loop)

    def op(x: Any) -> Any:
        return made(x)

    return _named(op, name, scalar)


def gradient_op(name: str, loop: Loop, scalar: Any, work: int = 2) -> Callable[..., np.ndarray]:
    """The op dx = g(dy, x) of any two shapes that broadcast."""
    made = Elementwise(name, gradient_c_loop, (2, 1), work, loop)

    def op(dy: Any, x: Any) -> Any:
        return made(dy, x)

    return _named(op, name, scalar)


def _named(op: Any, name: str, scalar: Any) -> Any:
    """The op under its name; its source, for people, is the scalar function's."""
    functools.update_wrapper(op, scalar.py_func)
    op.__name__ = op.__qualname__ = name
    return op
