"""Arguments for an op, made from its record: at the proof's sizes, at a kernel's, at a race's."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.ops.record import Arg, Function
from minivae.ops.table import FUNCTIONS
from minivae.types import Array
from minivae.types.shapes import Dims, shape_of


def draw(arg: Arg, dims: Dims, rng: np.random.Generator, dtype: Any = np.float64) -> Any:
    """One argument as its record describes it; integers and Python numbers keep their own type."""
    if arg.values == "number":
        return arg.scale
    if arg.values == "size":
        return dims[arg.shape]
    shape = shape_of(arg.shape, dims)
    if arg.values == "rows":
        return rng.permutation(dims["N"])[: shape[0]].astype(np.int64)
    if arg.values == "bytes":
        return rng.integers(0, 256, shape).astype(np.uint8)
    if arg.values == "words":
        return rng.integers(0, 2**32, shape, dtype=np.uint32)
    if arg.values == "groups":
        return groups_of(dims["D"])
    return np.asarray(_floats(arg, shape, rng).astype(dtype))


def _floats(arg: Arg, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if arg.values == "unit":
        return rng.uniform(0.02, 0.98, shape)
    if arg.values == "count":
        return rng.poisson(arg.scale, shape).astype(np.float64)
    if arg.values == "covariance":  # near one: each entry is a variable of its own
        root, skew = rng.normal(size=shape), rng.normal(size=shape)
        return root @ root.T + np.eye(shape[0]) + 0.1 * skew
    if arg.values == "shares":
        return shares(rng, shape)
    values = np.asarray(rng.normal(size=shape) * arg.scale)
    if arg.values == "weights":
        return values / shape[0] ** 0.5
    if arg.values == "positive":
        return np.abs(values)
    return values


def groups_of(D: int) -> tuple[int, ...]:
    """D columns cut into groups of unlike sizes, as one-hot columns come."""
    first = (D + 1) // 3
    return (D,) if first == 0 or first == D else (first, D - first)


def shares(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Rows in which each group of columns sums to 1."""
    x = rng.uniform(0.1, 1.0, shape)
    start = 0
    for size in groups_of(shape[-1]):
        part = x[..., start : start + size]
        part /= part.sum(axis=-1, keepdims=True)
        start += size
    return x


def arguments(name: str, dims: Dims, rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
    """The arguments of the function called `name`, floats of this dtype.

    dims: a size for every letter. What a backward function takes of the forward's output is the
    forward's own, on arguments drawn before. Raises KeyError for a function the table lacks.
    """
    if name not in FUNCTIONS:
        raise KeyError(f"there is no op {name}: add a record to the table, minivae/ops/table.py")
    record = FUNCTIONS[name]
    drawn = {key: draw(arg, dims, rng, dtype) for key, arg in record.args.items()}
    return tuple((drawn | forward_outputs(record, dims, rng, dtype)).values())


def forward_outputs(
    record: Function, dims: Dims, rng: np.random.Generator, dtype: Any
) -> dict[str, Any]:
    """The forward's outputs that a backward function takes, by name."""
    if not record.outputs:
        return {}
    args = [draw(arg, dims, rng, dtype) for arg in record.op.args.values()]
    values = record.op.forward(*args)
    named = dict(zip(record.op.gives, values if isinstance(values, tuple) else (values,)))
    return {key: np.asarray(named[key]).astype(dtype) for key in record.outputs}
