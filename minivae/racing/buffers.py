"""The arguments of one block of calls: fresh memory, and what becomes of their numbers in between.

What is moved is drawn from the system's own randomness just before a call, so that nobody can know
it beforehand, and noted, so that the judge can do the same to numbers of his own.
"""

from __future__ import annotations

from dataclasses import replace
from os import urandom  # taken before a contestant's code could put another in its place
from typing import Any

import numpy as np

from minivae.racing.problem import Args, Problem
from minivae.types import Array

MOVED = 8  # entries of every array that are overwritten by others between two calls
WORDS = 1 + 2 * MOVED  # of a move: by how much an array is rotated, places to write, to read
SEED = 2718
PAGE, LINE, FILLED = 4096, 64, 0xA5


class Placed:
    """A copy that begins at a random cache line of a page, amid bytes that are to stay."""

    def __init__(self, a: np.ndarray) -> None:
        shift = LINE * int(np.random.default_rng().integers(0, PAGE // LINE))
        self.raw = np.empty(a.nbytes + 3 * PAGE, np.uint8)
        self.raw.fill(FILLED)
        self.start = (-self.raw.ctypes.data) % LINE + LINE + shift
        self.stop = self.start + a.nbytes
        self.array = self.raw[self.start : self.stop].view(a.dtype).reshape(a.shape)
        self.array[...] = a

    def overrun(self) -> bool:
        """Whether something was written before or behind it."""
        around = self.raw[: self.start].tobytes() + self.raw[self.stop :].tobytes()
        return around.count(FILLED) != len(around)


def made(problem: Problem, number: int) -> Args:
    """The arguments with which a block begins, the same in every process."""
    args = problem.make(np.random.default_rng((SEED, number)))
    return tuple(np.array(a, order="C") if isinstance(a, np.ndarray) else a for a in args)


def movable(problem: Problem, args: Args) -> list[Array]:
    """Flat views of the arrays whose numbers may be moved about."""
    return [
        a.reshape(-1) for k, a in enumerate(args)
        if isinstance(a, np.ndarray) and a.size > 1
        and k not in problem.mutates and k not in problem.fixed
    ]  # fmt: skip


def rotated(flat: Array, by: int) -> None:
    """Move every number `by` places on, the last ones to the front."""
    before = flat.copy()
    flat[by:], flat[:by] = before[: len(flat) - by], before[len(flat) - by :]


def moved(arrays: list[Array], move: Array) -> None:
    """Rotate every array by the move's first word, and overwrite some entries by others."""
    for flat, words in zip(arrays, move):
        if words[0]:
            rotated(flat, words[0])
        flat[words[1 : 1 + MOVED]] = flat[words[1 + MOVED :]]


def counted(problem: Problem, args: Args, k: int) -> Args:
    """The arguments of the k-th call after the first: an op that counts its steps is told so."""
    at = problem.counter
    return args if at is None else (*args[:at], args[at] + k, *args[at + 1 :])


def replayed(problem: Problem, begin: Args, moves: Array) -> Args:
    """The arguments after so many moves, made independently of what anybody did to the buffers."""
    args = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in begin)
    arrays = movable(problem, args)
    for move in moves:
        moved(arrays, move)
    return counted(problem, args, len(moves) - 1)


def chained(problem: Problem, moves: Array) -> Problem:
    """The problem of a whole block: what an op changes in place is judged after all its calls."""

    def reference(*args: Any) -> None:
        arrays = movable(problem, args)
        problem.reference(*args)  # the block's first call
        for k, move in enumerate(moves):
            moved(arrays, move)
            problem.reference(*counted(problem, args, k))

    return replace(problem, reference=reference)


class FreshArguments:
    """The arguments of one block in fresh memory; `moves` notes what was done before every call."""

    def __init__(self, problem: Problem, number: int) -> None:
        self.problem, self.made = problem, made(problem, number)
        self.placed = [Placed(a) if isinstance(a, np.ndarray) else None for a in self.made]
        self.args = tuple(a if p is None else p.array
                          for a, p in zip(self.made, self.placed, strict=True))  # fmt: skip
        self.arrays = movable(problem, self.args)
        self.sizes = np.array([a.size for a in self.arrays], np.int64)[:, None]
        self.moves: list[Array] = []

    def move(self, *, rotate: bool = False, rewrite: bool = False) -> Args:
        """The arguments of the next call: some numbers overwritten by others of the same array.

        rotate: every number in another place. rewrite: rotated and back, so that the same numbers
        have been written anew.
        """
        move = np.zeros((len(self.sizes), WORDS), np.int64)
        if len(move):
            words = np.frombuffer(urandom(8 * move.size), np.int64)
            move = words.reshape(move.shape) % self.sizes
        if rewrite:
            for flat, (shift, *_) in zip(self.arrays, move):
                rotated(flat, shift)
                rotated(flat, len(flat) - shift)
        if not rotate:
            move[:, 0] = 0
        moved(self.arrays, move)
        self.moves.append(move)
        return counted(self.problem, self.args, len(self.moves) - 1)

    def noted(self) -> Array:
        """All moves so far: (calls, arrays, WORDS)."""
        return np.array(self.moves).reshape(len(self.moves), len(self.sizes), WORDS)

    def fault(self) -> str:
        """What was done to an argument that should not have been: in words, or ''."""
        want = replayed(self.problem, self.made, self.noted())
        for k, (a, b, placed) in enumerate(zip(self.args, want, self.placed, strict=True)):
            if placed is None:
                continue
            if placed.overrun():
                return f"it writes outside of its argument {k}"
            if k not in self.problem.mutates and not same(a, b):
                return f"it changes its input, argument {k}"
        return ""


def same(a: Array, b: Array) -> bool:
    """Whether two arrays are the same bit by bit, NaN included, asked of compiled code alone."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
