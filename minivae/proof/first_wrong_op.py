"""The first wrong op: every op a model calls is watched, and each backward call is tried on
its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.backend import Observed
from minivae.ops.table import FUNCTIONS
from minivae.proof.tolerances import tol
from minivae.types import EPS32, EPS64, Array
from minivae.types.analytic import complex_step
from minivae.types.differences import bisect
from minivae.types.shapes import shape_of


class WatchedCall(NamedTuple):
    """One call of an op: its name, copies of its arguments, and what it returned."""

    op: str
    args: tuple[Any, ...]
    result: Any


class WatchedOps(Observed):
    """A namespace of ops that writes down every call."""

    def __init__(self, K: Any) -> None:
        super().__init__(K)
        self.calls: list[WatchedCall] = []

    def called(self, name: str, op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """The op's result, written down with copies of its arguments."""
        kept = tuple(np.array(a) if isinstance(a, (np.ndarray, np.generic)) else a for a in args)
        result = op(*args)
        if name in ops.OPS:
            self.calls.append(WatchedCall(name, kept, result))
        return result


def forward_of(op: str, args: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
    """The forward as a function of what a backward call differentiates, and the point it is at.

    What the call does not see of the forward's arguments is zero: the op is linear in it, or its
    gradient would need it. None for a function that has no forward of its own.
    """
    record = FUNCTIONS.get(op)
    if record is None or record.backward is None or not record.backward.gives:
        return None
    known = dict(zip(record.args, args, strict=True))
    sizes = {
        letter: size
        for name, value in known.items()
        for letter, size in zip(record.args[name].shape.split(), np.shape(value))
    }
    inputs = {
        name: known[name] if name in known else np.zeros(shape_of(arg.shape, sizes))
        for name, arg in record.op.args.items()
        if name in known or all(letter in sizes for letter in arg.shape.split())
    }
    if len(inputs) < len(record.op.args):
        return None
    names = record.backward.gives.split()

    def forward(*values: Any) -> Any:
        given = inputs | dict(zip(names, values, strict=True))
        return record.op.forward(*given.values())

    return forward, tuple(inputs[name] for name in names)


FORWARD_OPS = frozenset(name for name in ops.OPS if name.endswith("_forward"))


class WrongOp(NamedTuple):
    """The first wrong op of a run: its place among the calls, the argument, and the index in it."""

    op: str
    call: int
    argument: int | None = None
    at: tuple[int, ...] | None = None
    hand: float | None = None
    true: float | None = None

    def __str__(self) -> str:
        if self.argument is None:
            return f"{self.op} (call {self.call})"
        at = list(self.at or ())
        return (
            f"{self.op} (call {self.call}), gradient {self.argument} at {at}: "
            f"hand-written {self.hand:.10g}, true {self.true:.10g}"
        )


def first_wrong(calls: list[WatchedCall]) -> WrongOp | None:
    """The first call that disagrees with the reference maths; None when every call is right."""
    for number, call in enumerate(calls):
        found = try_forward(call, number) if call.op in FORWARD_OPS else try_backward(call, number)
        if found is not None:
            return found
    return None


def precision(call: WatchedCall) -> float:
    arrays = [a for a in call.args if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return EPS32 if any(a.dtype == np.float32 for a in arrays) else EPS64


def try_forward(call: WatchedCall, number: int) -> WrongOp | None:
    """A forward op against the reference op on the same arguments."""
    exact = getattr(ops, call.op)(*(wide(a) for a in call.args))
    results = call.result if isinstance(call.result, tuple) else (call.result,)
    for place, (mine, true) in enumerate(
        zip(results, exact if isinstance(exact, tuple) else (exact,), strict=True)
    ):
        bad = off(np.asarray(mine), np.asarray(true), precision(call))
        if bad is not None:
            return WrongOp(
                call.op,
                number,
                place,
                bad,
                float(np.asarray(mine)[bad]),
                float(np.asarray(true)[bad]),
            )
    return None


def wide(value: Any) -> Any:
    return (
        value.astype(np.float64)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        else value
    )


def off(mine: Array, true: Array, eps: float) -> tuple[int, ...] | None:
    """The index of the worst entry beyond rounding."""
    if mine.shape != true.shape:
        return tuple(0 for _ in true.shape)
    gap = np.abs(mine.astype(np.float64) - true)
    if (gap <= tol("tensor") * eps * np.abs(true).max(initial=0)).all():
        return None
    return tuple(
        int(i)
        for i in np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), true.shape)
    )


def try_backward(call: WatchedCall, number: int) -> WrongOp | None:
    """A backward op by its adjoint identity along random signs; on failure, down to the entry."""
    args = tuple(wide(a) for a in call.args)
    found = forward_of(call.op, args)
    if found is None:
        return None
    forward, variables = found
    upstream = args[: len(FUNCTIONS[call.op].op.gives)]
    rng = np.random.default_rng(11)
    results = call.result if isinstance(call.result, tuple) else (call.result,)
    for place, (hand, variable) in enumerate(zip(results, variables, strict=True)):
        hand = np.asarray(hand, dtype=np.float64)
        if hand.shape != np.shape(variable):
            return WrongOp(call.op, number, place, (), float("nan"), float("nan"))
        for _ in range(2):
            u = rng.choice([-1.0, 1.0], np.shape(variable))
            gap, allowed = entry_gap(forward, variables, place, upstream, hand, u, precision(call))
            if not abs(gap) <= allowed:
                return bisected(call, number, place, forward, variables, upstream, hand, u)
    return None


def push(
    forward: Callable[..., Any], variables: tuple[Any, ...], place: int, upstream: Any, u: Array
) -> float:
    """The true slope along u in one argument, for the upstream of every output."""

    def weighted(*values: Any) -> Any:
        outputs = forward(*values)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return sum((dy * y).sum() for dy, y in zip(upstream, outputs, strict=True))

    return float(complex_step(weighted, variables, {place: u}))


def entry_gap(
    forward: Callable[..., Any],
    variables: tuple[Any, ...],
    place: int,
    upstream: Any,
    hand: Array,
    u: Array,
    eps: float,
) -> tuple[float, float]:
    mine = float((hand * u).sum())
    true = push(forward, variables, place, upstream, u)
    size = float(np.sqrt((hand * hand).sum())) + abs(true) * 1e-2
    return mine - true, tol("direction") * eps * size


def bisected(
    call: WatchedCall,
    number: int,
    place: int,
    forward: Callable[..., Any],
    variables: tuple[Any, ...],
    upstream: Any,
    hand: Array,
    u: Array,
) -> WrongOp:
    """Down from a direction that failed to the wrong entry of it."""
    low = bisect(
        lambda mask: entry_gap(
            forward, variables, place, upstream, hand, mask.reshape(hand.shape) * u, EPS64
        )[0],
        hand.size,
    )
    one = np.zeros(hand.size)
    one[low] = 1.0
    index = tuple(int(i) for i in np.unravel_index(low, hand.shape))
    true = push(forward, variables, place, upstream, one.reshape(hand.shape))
    return WrongOp(call.op, number, place, index, float(hand[index]), true)
