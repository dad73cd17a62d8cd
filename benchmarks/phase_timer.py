"""The product's own training loop, compiled a second time with a clock at every barrier.

Nothing of it is in the kernels: their source is read, each `barrier(sync, team)` becomes one that
notes when a member arrived and when it went on, and the result is compiled apart. The step that
trains carries no timer and is not changed.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from minivae_kernels.cpu.compile.decorators import OPTIONS, inner
from minivae_kernels.cpu.step import train
from minivae_kernels.cpu.threads import pool
from minivae_kernels.cpu.threads.barrier import TAKEN, WORD, barrier, new_sync
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

MONOTONIC = 6 if sys.platform == "darwin" else 1  # the system's number of that clock
NOTE = 3  # words of a note: the barrier's place in the source, arrival, departure


class NoTimer(RuntimeError):
    """The loop cannot be timed here; the message says why."""


@intrinsic
def nanoseconds(typingctx: Any) -> Any:
    """The system's monotonic clock, from compiled code; some 25 ns a reading."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        long, word = ir.IntType(64), ir.IntType(32)
        pair = cgutils.alloca_once(builder, ir.ArrayType(long, 2))
        kind = ir.FunctionType(word, [word, ir.ArrayType(long, 2).as_pointer()])
        call = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(call, [ir.Constant(word, MONOTONIC), pair])
        both = builder.load(pair)
        seconds, rest = (builder.extract_value(both, k) for k in (0, 1))
        return builder.add(builder.mul(seconds, ir.Constant(long, 10**9)), rest)

    return types.int64(), emit


@inner
def timed_barrier(crew, place):
    """The barrier, and a note behind the words that the team synchronises on."""
    sync, member, team = crew
    arrived = nanoseconds()
    done = barrier(sync, team)
    left = nanoseconds()
    first = TAKEN + team * WORD
    room = sync[first]
    at = first + 1 + member * room
    count = sync[at]
    if (count + 1) * NOTE < room:
        k = at + 1 + count * NOTE
        sync[k], sync[k + 1], sync[k + 2] = place, arrived, left
        sync[at] = count + 1
    return done


class Timers(ast.NodeTransformer):
    """Replaces every barrier, and names the places by what was called before."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.last, self.has_crew = "begin", False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function: does it hold the crew, or its three members?"""
        self.has_crew = any(a.arg == "crew" for a in node.args.args)
        self.last = "begin"
        node.decorator_list = []
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A barrier becomes a timed one; any other call names what follows it."""
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if (
            name == "call" and ast.unparse(node.args[0]) == "c[LEARN]"
        ):  # the loop's second half, called by its address: here by its name
            return ast.parse(f"learn(*{ast.unparse(node.args[1])})", mode="eval").body
        if name != "barrier":
            if any(ast.unparse(a) == "crew" for a in node.args):
                self.last = name
            return node
        self.places.append(self.last)
        crew = "crew" if self.has_crew else "(sync, member, team)"
        return ast.parse(f"timed_barrier({crew}, {len(self.places) - 1})", mode="eval").body


def compiled() -> tuple[Any, list[str]]:
    """(the loop with timers, what was called before each of its barriers).

    Raises NoTimer where the loop is not written as expected.
    """
    timers = Timers()
    tree = timers.visit(ast.parse(inspect.getsource(train)))
    wanted = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)
              and "timed_barrier" in ast.unparse(node)}  # fmt: skip
    if not {"train", "learn"} <= wanted or sys.platform == "win32":
        raise NoTimer("the training loop cannot be timed phase by phase on this system")
    space: dict[str, Any] = {**vars(train), "timed_barrier": timed_barrier}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            body = ast.fix_missing_locations(ast.Module([node], []))
            exec(compile(body, "<the training loop, with timers>", "exec"), space)
            compile_it = njit(**OPTIONS) if node.name == "train" else inner
            space[node.name] = compile_it(space[node.name])
    return space["train"], timers.places


@contextlib.contextmanager
def timers(loop: Any, notes: int) -> Iterator[list[tuple[int, np.ndarray]]]:
    """Steps run `loop` within; each call's team and its words, notes included, are in the list."""
    kept: list[tuple[int, np.ndarray]] = []

    def with_room(team: int) -> np.ndarray:
        room = 1 + NOTE * (notes + 1)
        book = np.zeros(1 + team * room, np.int64)  # how much room a member has, then the members'
        book[0] = room
        kept.append((team, np.concatenate([new_sync(team), book])))
        return kept[-1][1]

    # The step asks for the loop, and the pool for the words, when they are called.
    before = train.train, pool.new_sync, pool._sync_for_one
    train.train, pool.new_sync, pool._sync_for_one = loop, with_room, lambda: with_room(1)
    try:
        yield kept
    finally:
        train.train, pool.new_sync, pool._sync_for_one = before


def notes_of(team: int, words: np.ndarray) -> list[np.ndarray]:
    """Each member's notes, (n, 3): place, arrival and departure in ns."""
    room, *_ = book = words[TAKEN + team * WORD :]
    parts = (book[1 + m * room : 1 + (m + 1) * room] for m in range(team))
    return [part[1 : 1 + NOTE * part[0]].reshape(-1, NOTE) for part in parts]
