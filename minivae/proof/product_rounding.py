"""What rounding may do to an op that is a product: sums in another order, rounded inputs.

`rounding_reference` does it on purpose: what a backend that rounds alike is held against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae import ops
from minivae.backend import ROUNDED, Backend
from minivae.ops import record
from minivae.ops.table import FUNCTIONS
from minivae.proof.tolerances import tol
from minivae.types import Array

# TF32 and bfloat16 touch these alone.
PRODUCTS = tuple(name for name, f in FUNCTIONS.items() if f.kind == record.PRODUCT)


def factors(op: str, args: tuple[Any, ...]) -> tuple[Array, Array]:
    """The two matrices that a product multiplies, from its arguments (x, W, b), (dy, x) or (dy, W).

    The second is turned as the op's own einsum says: rows of the output come from the first.
    """
    letters = {"x": "BI", "W": "IO", "dy": "BO"}
    names = [name for name in FUNCTIONS[op].args if name in letters]
    first, second = (args[list(FUNCTIONS[op].args).index(name)] for name in names)
    if set(letters[names[0]]) & set(letters[names[1]]) == {"I"}:
        return first, second
    return (second.T, first) if names[1] == "x" else (first, second.T)


def in_sequence(x: Array, W: Array, b: Array) -> Array:
    """x W + b in float32 with the terms added one after another, the bias first.

    The order that makes a product the same for every tile, thread and processor; BLAS may be
    luckier, so float32's own error in a product is the worse of the two.
    """
    y = np.broadcast_to(b, (len(x), W.shape[1])).astype(np.float32)
    for k in range(x.shape[1]):
        y = y + x[:, k : k + 1] * W[k]
    return np.asarray(y)


def in_sequence_too(op: str, args: tuple[Any, ...]) -> list[Array]:
    """The other float32 evaluation whose error is as legitimate as the reference's, if any.

    A dense layer's product in sequence, then the activation that is fused with it.
    """
    function = FUNCTIONS[op]
    if op not in PRODUCTS or function.backward is not None:
        return []
    activation = function.op.name.removeprefix("dense").removeprefix("_")
    y = in_sequence(*args)
    return [getattr(ops, f"{activation}_forward")(y) if activation else y]


def input_rounding(K: Any) -> float:
    """The most, relative, that a backend's rounding moves an input of a product; mostly 0."""
    for option in ROUNDED:
        if getattr(K, option, False):
            return tol(f"{option}_input")
    return 0.0


def rounding_bound(op: str, args: tuple[Any, ...], place: int, u: float) -> Array:
    """The most that rounded inputs move each entry of an output: (2u + u²) |a||b| of a product a b.

    Every input is off by a relative u at most, sums stay in float32, and neither ReLU nor tanh
    makes a difference larger. 0 for whatever is not made by a product.
    """
    if not u or op not in PRODUCTS or place > 0:  # the second output, db, is a plain sum
        return np.zeros(())
    a, b = (np.abs(factor.astype(np.float64)) for factor in factors(op, args))
    return np.asarray((2 * u + u * u) * (a @ b))


def rounded(a: Any, bits: int = 7) -> Array:
    """a in float32 with so many bits of mantissa, to the nearest and ties to even; 7: bfloat16."""
    drop = 23 - bits
    words = np.ascontiguousarray(a, np.float32).view(np.uint32).astype(np.uint64)
    words += (1 << (drop - 1)) - 1 + (words >> drop & 1)
    return (words >> drop << drop).astype(np.uint32).view(np.float32)


def rounding_reference(bits: int = 7) -> Backend:
    """The reference with its products' inputs rounded; sums in the inputs' own precision."""
    return Backend("numba", {name: _rounding(name, bits) for name in PRODUCTS}, bf16=True)


def _rounding(name: str, bits: int) -> Callable[..., Any]:
    """A product of the reference whose inputs keep so many bits of mantissa."""
    reference = getattr(ops, name)

    def kept(a: Array) -> Array:
        return rounded(a, bits).astype(a.dtype)

    def dense_backward_params(dy: Array, x: Array) -> tuple[Array, Array]:
        dW, _ = reference(kept(dy), kept(x))
        return dW, reference(dy, x)[1]  # db is a plain sum

    def dense_backward_input(dy: Array, W: Array) -> Any:
        return reference(kept(dy), kept(W))

    def forward(x: Array, W: Array, b: Array) -> Any:
        return reference(kept(x), kept(W), b)

    backward: tuple[Callable[..., Any], ...] = (dense_backward_params, dense_backward_input)
    return {f.__name__: f for f in backward}.get(name, forward)
