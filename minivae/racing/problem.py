"""What is raced: how its arguments are made, what the right answer is, and what it costs.

A problem of an op is derived from the op's record in `minivae/ops/table.py`; anybody's function
gets one from a reference and a maker of inputs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import numpy as np

from minivae.ops.dense import dense_forward
from minivae.ops.record import PRODUCT, Function
from minivae.ops.table import FUNCTIONS
from minivae.proof import points
from minivae.types import Array
from minivae.types.shapes import shape_of

Args = tuple[Any, ...]
ORDER = "BIODHJPLN"  # in which --shape names the letters of an op; L and N may be left out
DTYPES: Mapping[str, Any] = MappingProxyType({"float32": np.float32, "float64": np.float64})
COUNTERS = frozenset(("step", "epoch", "t"))  # integers that differ from call to call in any use


class ProblemError(ValueError):
    """A shape, a dtype or an op that does not fit; the message names what would."""


@dataclass(frozen=True)
class Problem:
    """One operation at one size.

    make(rng) -> its arguments; reference(*args) -> the right answer, in the arguments' precision.
    kind: how an answer is judged (see gate.py). mutates: positions of arguments that it changes
    in place. fixed: positions whose numbers must not be moved about. counter: the position of an
    integer that is different in every call, or None. terms: for each output the largest term
    of every entry. linear: a product without the activation that follows it. slack: how many
    times what rounding allows is let pass. instructions(args): vector instructions an entry, a
    multiply-add counted as one; flops(args): operations, a multiply-add counted as two.
    """

    name: str
    make: Callable[[np.random.Generator], Args]
    reference: Callable[..., Any]
    kind: str
    mutates: tuple[int, ...] = ()
    fixed: tuple[int, ...] = ()
    counter: int | None = None
    terms: tuple[Callable[..., Array], ...] = ()
    linear: Callable[..., Any] = lambda *args: None
    slack: float = 1.0
    instructions: Callable[[Args], float] = lambda args: 0.0
    flops: Callable[[Args], float] = lambda args: 0.0


def function_of(op: str) -> Function:
    """The record of an op's function; ProblemError, with the nearest name, for no op."""
    if op not in FUNCTIONS:
        near = get_close_matches(op, FUNCTIONS, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else f": choose one of {', '.join(FUNCTIONS)}"
        raise ProblemError(f"unknown op {op!r}{hint}")
    return FUNCTIONS[op]


def letters_of(function: Function) -> str:
    """The letters of an op's shapes in the order in which a shape gives them."""
    used = {word for arg in function.args.values() for word in arg.shape.split()}
    return "".join(letter for letter in ORDER if letter in used)


def sizes_of(function: Function, shape: tuple[int, ...]) -> dict[str, int]:
    """The letters' values; one draw (L) and a data set of 4 B rows (N) where they are left out."""
    letters = letters_of(function)
    needed = letters.replace("L", "").replace("N", "") or letters
    if len(shape) not in (len(letters), len(needed)) or min(shape, default=1) < 1:
        example = "x".join(str({"B": 128, "I": 784, "O": 400, "D": 784, "H": 400, "J": 20}.get(
            letter, 1000)) for letter in needed)  # fmt: skip
        raise ProblemError(
            f"{function.name} has the sizes {' x '.join(needed)}: give {len(needed)} of them, all "
            f"from 1 on, as in --shape {example}"
        )
    sizes = dict(zip(letters if len(shape) == len(letters) else needed, shape))
    return {"L": 1, "N": max(4 * sizes.get("B", 1), 1000), **sizes}


def op_problem(op: str, shape: list[int] | tuple[int, ...], dtype: str = "float32") -> Problem:
    """The problem of an op at a shape, as in ("dense_relu_forward", (128, 784, 400))."""
    function = function_of(op)
    if dtype not in DTYPES:
        raise ProblemError(f"unknown dtype {dtype!r}: choose {' or '.join(DTYPES)}")
    sizes = sizes_of(function, tuple(shape))
    names = list(inspect.signature(function.function).parameters)
    values = {name: function.args[name].values for name in names}

    def make(rng: np.random.Generator) -> Args:
        return points.arguments(op, {"I": 8, **sizes}, rng, DTYPES[dtype])

    def places(*kinds: str) -> tuple[int, ...]:
        return tuple(k for k, name in enumerate(names) if values[name] in kinds)

    product = function.kind == PRODUCT
    terms = _product_terms(function, sizes) if product else sizes
    work = function.cost * math.prod(terms.values() if product else [_largest(function, sizes)])
    return Problem(
        op, make, function.function, function.kind,
        mutates=tuple(names.index(name) for name in function.in_place),
        fixed=places("covariance"),
        counter=counter_of(op),
        terms=function.op.largest_terms if function.backward is None else (),
        linear=dense_forward if product and function.backward is None else function.function,
        instructions=lambda args: work,
        flops=lambda args: work * (2 if product else 1),
    )  # fmt: skip


def counter_of(op: str) -> int | None:
    """The position of an op's integer that differs from call to call, or None."""
    names = list(inspect.signature(function_of(op).function).parameters)
    return next((names.index(name) for name in names if name in COUNTERS), None)


def _product_terms(function: Function, sizes: Mapping[str, int]) -> dict[str, int]:
    return {letter: sizes[letter] for letter in letters_of(function)}


def _largest(function: Function, sizes: Mapping[str, int]) -> int:
    """Entries of the largest array, of those that are gone through (a data set is not)."""
    arrays = [a.shape for a in function.args.values() if "N" not in a.shape.split()]
    arrays += list(function.op.gives.values()) if function.backward is None else []
    return max(math.prod(shape_of(shape, sizes)) for shape in arrays)


def own_problem(
    name: str,
    reference: Callable[..., Any],
    inputs: Any,
    mutates: tuple[int, ...] = (),
    kind: str = "",
) -> Problem:
    """A problem of anybody's: inputs are arrays, or a function rng -> arrays."""
    if callable(inputs):
        make = inputs
    else:
        given = tuple(inputs)

        def make(rng: np.random.Generator) -> Args:
            """The given numbers in another order, so that no answer is the last one's."""
            return tuple(
                a.reshape(-1)[rng.permutation(a.size)].reshape(a.shape)
                if isinstance(a, np.ndarray) else a for a in given
            )  # fmt: skip

    return Problem(name, make, reference, kind or "reduction", mutates)


def widened(args: Args, wide: Any = np.float64) -> Args:
    """Floating arrays in a wider type, everything else copied."""
    return tuple(
        a.astype(wide) if isinstance(a, (np.ndarray, np.floating)) and a.dtype.kind == "f"
        else a.copy() if isinstance(a, np.ndarray) else a
        for a in args
    )  # fmt: skip


def outputs_of(result: Any, args: Args, mutates: tuple[int, ...]) -> list[Any]:
    """What an operation produced: what it returned, or the arguments that it changed in place."""
    if mutates:
        return [args[k] for k in mutates]
    return list(result) if isinstance(result, tuple) else [result]


def traffic(problem: Problem, args: Args, outputs: list[Any]) -> tuple[int, str]:
    """(bytes that must cross at least once, the pattern in which they do).

    Inputs are read, results written; what is changed in place is both. Of a data set of which
    rows are picked, only so much is read as the result has entries.
    """
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    written = sum(int(np.asarray(o).nbytes) for o in outputs)
    read = sum(a.nbytes for a in arrays)
    if arrays and arrays[0].dtype == np.uint8 and outputs:
        read += min(0, np.asarray(outputs[0]).size - arrays[0].nbytes)
    if problem.mutates:
        return read + written, "in place"
    if written * 8 < read:
        return read + written, "read"
    return read + written, "write" if read * 8 < written else "copy"
