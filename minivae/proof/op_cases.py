"""One case for each op that has a gradient, made from its record."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.ops.record import Op
from minivae.ops.table import TABLE
from minivae.proof.case import DIMS, Case, rng_for
from minivae.proof.points import draw
from minivae.types import Array


def op_cases() -> list[Case]:
    """One case per op pair, in the table's order."""
    return [case_of(op) for op in TABLE if op.backward or op.both]


def case_of(op: Op) -> Case:
    """The case of one op: all its arguments, gradients in those that have one."""
    inputs = {key: draw(arg, DIMS, rng_for(f"{op.name} {key}")) for key, arg in op.args.items()}
    if op.both:
        return _loss_with_gradient(op, inputs)
    names = list(op.args)

    def forward(K: Any, *values: Any) -> Any:
        y = getattr(K, op.forward.__name__)(*values)
        outputs = y if isinstance(y, tuple) else (y,)
        return y, dict(zip(names, values, strict=True)) | dict(zip(op.gives, outputs, strict=True))

    def backward(K: Any, dy: Any, cache: dict[str, Any]) -> Any:
        found = gradients(K, op, dy if isinstance(dy, tuple) else (dy,), cache)
        grads = tuple(found[name] for name in op.args if name in found)
        return grads if len(grads) > 1 else grads[0]

    covers = (op.forward.__name__, *(back.function.__name__ for back in op.backward))
    return Case(op.name, "op", covers, forward, backward, inputs, op.variables)


def gradients(K: Any, op: Op, dys: tuple[Any, ...], cache: dict[str, Any]) -> dict[str, Any]:
    """The gradients of an op's arguments by name, from all of its backward functions.

    A fused activation gives the gradient before it; the dense layer's own functions go on.
    """
    found: dict[str, Any] = {}
    for back in op.backward:
        takes = list(back.arguments)[len(dys) :]
        result = getattr(K, back.function.__name__)(*dys, *(cache[name] for name in takes))
        if back.gives == BEFORE_ACTIVATION:
            found |= gradients(K, TABLE[0], (result,), cache)
        else:
            results = result if isinstance(result, tuple) else (result,)
            found |= dict(zip(back.gives.split(), results, strict=True))
    return found


BEFORE_ACTIVATION = ""


def _loss_with_gradient(op: Op, inputs: dict[str, Any]) -> Case:
    """A case for an op that takes the upstream first and returns the loss and its gradients."""
    inputs = {name: inputs[name] for name in list(op.args)[1:]}

    def forward(K: Any, *values: Any) -> Any:
        return getattr(K, op.name)(np.zeros_like(values[0][..., 0]), *values)[0], values

    def backward(K: Any, dy: Array, values: Any) -> Any:
        grads = getattr(K, op.name)(dy, *values)[1:]
        return grads[0] if len(grads) == 1 else grads

    return Case(op.name, "op", (op.name,), forward, backward, inputs, op.variables)
