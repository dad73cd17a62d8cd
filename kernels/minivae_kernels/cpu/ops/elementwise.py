"""Elementwise ops: NumPy ufuncs (compile/ufunc.py) over compiled loops (loops.py)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import entry, inline, inner
from minivae_kernels.cpu.compile.side_by_side import for_each
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
from minivae_kernels.cpu.ops.arguments import F32, asked, declining, float32_only
from minivae_kernels.cpu.ops.loops import Loop, gradient_apart, map_apart
from minivae_kernels.cpu.threads import pool
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import SMALL, laid_out, pieces_of, share_out

CHUNK = 1024  # elements copied and then worked on while they are in the first-level cache
SPARE, MOST = CHUNK * NATURAL, 5  # bytes of a chunk; arguments and results of an op
# As NumPy integers: a plain 4 in a call would be a type of its own, compiled once more.
APART = np.int64(NATURAL)
N0, N1, N2, N3, N4 = (np.int64(number) for number in range(MOST))  # an argument or a result
chunks = stack_floats(CHUNK * MOST)
# What a ufunc's loop is given: the crew's words, an element's work, the loop that it calls (or 0),
# what clears the processor's flags, and the bits of the ufunc's own numbers.
CREW, WORK, LOOP, CLEAR, FIRST_NUMBER = range(5)


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
    call(loop, (x, y))
    put_back(args, steps, N1, spare, first, count)


@inner
def gradient_part(args, steps, loop, spare, first, count):
    """dx = g(dy, x) for some elements."""
    dy = floats_at(read(args, steps, N0, spare, first, count), count)
    x = floats_at(read(args, steps, N1, spare, first, count), count)
    dx = floats_at(room(args, steps, N2, spare, first), count)
    call(loop, (dy, x, dx))
    put_back(args, steps, N2, spare, first, count)


@inner
def three_parts(args, steps, spare, first, count):
    """Some elements of each of three arguments."""
    a = floats_at(read(args, steps, N0, spare, first, count), count)
    b = floats_at(read(args, steps, N1, spare, first, count), count)
    c = floats_at(read(args, steps, N2, spare, first, count), count)
    return a, b, c


def part_of(function: Any, takes: int, gives: int) -> Any:
    """Some elements of a ufunc from a scalar function of 2 or 3 numbers that gives 1 or 2."""

    @inline
    def of_two(i, a, b, y):  # type: ignore[no-untyped-def]
        y[i] = function(a[i], b[i])

    @inline
    def of_three(i, a, b, c, y):  # type: ignore[no-untyped-def]
        y[i] = function(a[i], b[i], c[i])

    @inline
    def to_two(i, a, b, c, y, z):  # type: ignore[no-untyped-def]
        y[i], z[i] = function(a[i], b[i], c[i])

    @inner
    def two_to_one(args, steps, loop, spare, first, count):  # type: ignore[no-untyped-def]
        a = floats_at(read(args, steps, N0, spare, first, count), count)
        b = floats_at(read(args, steps, N1, spare, first, count), count)
        y = floats_at(room(args, steps, N2, spare, first), count)
        for_each(of_two, count, (a, b, y))
        put_back(args, steps, N2, spare, first, count)

    @inner
    def three_to_one(args, steps, loop, spare, first, count):  # type: ignore[no-untyped-def]
        a, b, c = three_parts(args, steps, spare, first, count)
        y = floats_at(room(args, steps, N3, spare, first), count)
        for_each(of_three, count, (a, b, c, y))
        put_back(args, steps, N3, spare, first, count)

    @inner
    def three_to_two(args, steps, loop, spare, first, count):  # type: ignore[no-untyped-def]
        a, b, c = three_parts(args, steps, spare, first, count)
        y = floats_at(room(args, steps, N3, spare, first), count)
        z = floats_at(room(args, steps, N4, spare, first), count)
        for_each(to_two, count, (a, b, c, y, z))
        put_back(args, steps, N3, spare, first, count)
        put_back(args, steps, N4, spare, first, count)

    return {(2, 1): two_to_one, (3, 1): three_to_one, (3, 2): three_to_two}[takes, gives]


@inner
def lie_together(steps, operands):
    """Whether every argument and result is contiguous."""
    apart = np.int64(0)
    for number in range(operands):
        apart += np.int64(word_at(steps, number) != NATURAL)
    return apart == 0


def c_loop(name: str, part: Any, operands: int) -> Any:
    """The entry that answers with the address of a ufunc's loop: part by part, shared out."""
    operands = np.int64(operands)

    @inner
    def piece(k, member, args, steps, loop, length, total):  # type: ignore[no-untyped-def]
        last = min((k + 1) * length, total)
        spare, most = chunks(), length if lie_together(steps, operands) else CHUNK
        for first in range(k * length, last, most):
            part(args, steps, loop, spare, first, min(most, last - first))

    @inner
    def whole(args, dims, steps, data):  # type: ignore[no-untyped-def]
        total = word_at(dims, 0)
        crew = word_at(data, CREW)
        count, length = pieces_of(crew, total)
        job = laid_out(piece, (args, steps, word_at(data, LOOP), length, total))
        share_out(crew, job, count, total * word_at(data, WORK))
        call_plain(word_at(data, CLEAR))

    return answering(name, whole)


def answering(name: str, whole: Any) -> Any:
    """The entry, of this name in the disk cache, that answers with the address of a C loop."""

    def address():  # type: ignore[no-untyped-def]
        return c_address(whole)

    address.__name__ = address.__qualname__ = name
    return entry(address)


class Elementwise:
    """A ufunc of float32 arrays, made when it is first called.

    work: of an element, where a plain loop's is 1 (threads/crew.py). signature: of a generalised
    ufunc (compile/ufunc.py), which works on whole rows or matrices.
    """

    def __init__(
        self, name: str, loops: Any, arity: tuple[int, int], work: int, loop: Loop | None = None,
        signature: str = "", numbers: tuple[float, ...] = (),
    ) -> None:  # fmt: skip
        self.numbers = np.array(numbers, dtype=np.float64)
        self.name, self.loops, self.arity, self.signature = name, loops, arity, signature
        self.work, self.loop, self.small = work, loop, SMALL // work

    @functools.cached_property
    def ufunc(self) -> Callable[..., Any]:
        loop = self.loop.address if self.loop else 0
        data = [crew_for(0), self.work, loop, clear_flags()]
        words = np.array([*data, *self.numbers.view(np.int64)], dtype=np.int64)
        return make_ufunc(self.name, self.loops(), words, self.arity, self.signature)

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


map_c_loop = c_loop("map_ufunc", map_part, 2)
gradient_c_loop = c_loop("gradient_ufunc", gradient_part, 3)


def map_op(name: str, scalar: Any, work: int = 2) -> Callable[[Any], np.ndarray]:
    """The op y = f(x) of any shape, with the scalar function's argument and docstring."""
    made = Elementwise(name, map_c_loop, (1, 1), work, map_apart(name, scalar))
    small = made.small

    def make(reference: Any) -> Callable[[Any], Any]:
        def op(x: Any) -> Any:
            if type(x) is ndarray and x.dtype is F32 and (x.size <= small or pool.is_up):
                return made.ufunc(x)
            return asked(reference, made, x)

        return _named(op, name, scalar)

    return declining(make)


def gradient_op(name: str, scalar: Any, work: int = 2) -> Callable[..., np.ndarray]:
    """The op dx = g(dy, x) of any two shapes that broadcast."""
    made = Elementwise(name, gradient_c_loop, (2, 1), work, gradient_apart(name, scalar))

    def make(reference: Any) -> Callable[..., Any]:
        def op(dy: Any, x: Any) -> Any:
            if (
                type(dy) is type(x) is ndarray and dy.dtype is x.dtype is F32
                and (dy.size <= made.small >= x.size or pool.is_up)
            ):  # fmt: skip
                return made.ufunc(dy, x)
            return asked(reference, made, dy, x)

        return _named(op, name, scalar)

    return declining(make)


def _named(op: Any, name: str, scalar: Any) -> Any:
    """The op under its name; its source, for people, is the scalar function's."""
    functools.update_wrapper(op, scalar.py_func)
    op.__name__ = op.__qualname__ = name
    return op
