"""Matches the gradients a backward returned with its inputs: number, structure, shapes, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import tree
from minivae.verify.evaluate import Pass
from minivae.verify.report import Fault

Faults = list[Fault]


def shape_text(shape: tuple[int, ...]) -> str:
    return str(tuple(int(n) for n in shape))


def integer_fault(name: str, value: Any) -> Fault:
    text = (
        f"input {name} is an integer array ({np.asarray(value).dtype}), which has no gradient: "
        f"pass {name}.astype(np.float64)"
    )
    return Fault("integer", text, name)


def align(job: Pass, grads: Any) -> tuple[list[Any], Faults]:
    """The gradients in the order of the job's leaves (None where missing), and what does not
    fit."""
    slots, faults = by_argument(job, grads)
    found: dict[str, Any] = {}
    for number, grad in slots.items():
        walk(job.args[number], grad, job.names[number], found, faults, job)
    return [found.get(leaf.name) for leaf in job.leaves], faults


def by_argument(job: Pass, grads: Any) -> tuple[dict[int, Any], Faults]:
    """Which argument each returned gradient belongs to."""
    floats = sorted({leaf.arg for leaf in job.leaves})
    every = list(range(len(job.args)))
    if isinstance(grads, dict) and not dict_argument(job, floats, grads):
        return from_dict(job, grads, floats)
    if not isinstance(grads, (tuple, list)) or sole_container(job, floats, grads):
        grads = (grads,)
    count = len(grads)
    numbers = [i for i in every if has_kind(job.args[i], ("float", "number"))]
    for slots in (every, floats, numbers):
        if count == len(slots):
            return dict(zip(slots, grads, strict=True)), []
    names = ", ".join(job.names[i] for i in floats)
    shapes = "".join(f"; it has shape {shape_text(np.shape(g))}" for g in grads if count == 1)
    text = (
        f"backward returned {count} gradient{'s' * (count != 1)} for {len(floats)} float "
        f"input{'s' * (len(floats) != 1)} ({names}){shapes}: return one each, or say which in wrt="
    )
    return {}, [Fault("count", text)]


def has_kind(arg: Any, kinds: tuple[str, ...]) -> bool:
    return any(tree.kind_of(leaf) in kinds for _, leaf in tree.leaves(arg))


def dict_argument(job: Pass, floats: list[int], grads: dict[Any, Any]) -> bool:
    """Whether the one float argument is itself a dict, whose gradient came bare."""
    if len(floats) != 1 or not isinstance(job.args[floats[0]], dict):
        return False
    return job.names[floats[0]] not in grads


def sole_container(job: Pass, floats: list[int], grads: Any) -> bool:
    """Whether the one float argument is a list or tuple whose gradient came bare, not in a
    1-tuple."""
    if len(floats) != 1:
        return False
    arg = job.args[floats[0]]
    if not isinstance(arg, (list, tuple)):
        return False
    wrapped = len(grads) == 1 and isinstance(grads[0], (list, tuple))
    return len(grads) == len(arg) and not wrapped


def from_dict(job: Pass, grads: dict[Any, Any], floats: list[int]) -> tuple[dict[int, Any], Faults]:
    """Gradients by argument name; 'W' or 'dW'."""
    slots: dict[int, Any] = {}
    faults: Faults = []
    known = {}
    for i, name in enumerate(job.names):
        known[name] = known["d" + name] = i
    for key, grad in grads.items():
        if key in known:
            slots[known[key]] = grad
        else:
            faults.append(
                Fault("structure", f"backward returned a gradient {key!r}, which is no input")
            )
    for i in floats:
        if i not in slots:
            text = (
                f"backward returned no gradient for input {job.names[i]}: the dict lacks its name"
            )
            faults.append(Fault("count", text, job.names[i]))
    return slots, faults


def walk(arg: Any, grad: Any, name: str, found: dict[str, Any], faults: Faults, job: Pass) -> None:
    """Match a gradient tree against its argument's, with the address for every misfit."""
    if not tree.is_branch(arg):
        leaf_fit(arg, grad, name, found, faults, job)
        return
    if not has_kind(arg, ("float",)):
        return
    if grad is None or not tree.is_branch(grad):
        what = "None" if grad is None else f"one {type(grad).__name__}"
        kind = "none" if grad is None else "structure"
        text = (
            f"backward returned {what} for {name}, where a {type(arg).__name__} of gradients is due"
        )
        faults.append(Fault(kind, text, name))
        return
    if isinstance(arg, dict) != isinstance(grad, dict):
        kinds = type(grad).__name__, type(arg).__name__
        text = f"backward returned a {kinds[0]} for {name}, where a {kinds[1]} is due"
        faults.append(Fault("structure", text, name))
        return
    mine, theirs = dict(tree.children(arg)), dict(tree.children(grad))
    if not isinstance(arg, dict) and len(mine) == len(theirs):
        theirs = dict(zip(mine, theirs.values(), strict=True))
    for part, sub in mine.items():
        if part in theirs:
            walk(sub, theirs[part], name + part, found, faults, job)
        elif has_kind(sub, ("float",)):
            faults.append(
                Fault("count", f"backward returned no gradient for {name}{part}", name + part)
            )
    for part in theirs:
        if part not in mine:
            text = f"backward returned a gradient {name}{part}, which is no input"
            faults.append(Fault("structure", text, name + part))


def leaf_fit(
    arg: Any, grad: Any, name: str, found: dict[str, Any], faults: Faults, job: Pass
) -> None:
    """One gradient against one array: kind, shape, dtype."""
    kind = tree.kind_of(arg)
    if kind == "integer" and np.ndim(arg) > 0:
        given = isinstance(grad, (np.ndarray, np.generic)) and grad.dtype.kind == "f"
        if given and np.shape(grad) == np.shape(arg) and np.any(np.asarray(grad) != 0):
            faults.append(integer_fault(name, arg))
        return
    if kind != "float":
        return
    array = np.asarray(arg)
    bad = leaf_fault(array, grad, name, job)
    if bad is not None:
        faults.append(bad)
    if bad is None or bad.kind == "dtype":
        found[name] = grad


def leaf_fault(array: Array, grad: Any, name: str, job: Pass) -> Fault | None:
    """The misfit of one gradient, in one line."""
    if grad is None:
        return Fault(
            "none", f"backward returned None for {name}, shape {shape_text(array.shape)}", name
        )
    if not isinstance(grad, (np.ndarray, np.generic, float, int)):
        text = f"backward returned a {type(grad).__name__} for {name}, where an array is due"
        return Fault("structure", text, name)
    if np.shape(grad) != array.shape:
        text = (
            f"the gradient of {name} has the wrong shape {shape_text(np.shape(grad))}, {name} has "
            f"{shape_text(array.shape)}{shape_hint(np.shape(grad), array.shape)}"
        )
        return Fault("shape", text, name)
    got = np.asarray(grad).dtype
    wide = max([array.dtype.itemsize, *(np.asarray(p).dtype.itemsize for p in y_parts(job))])
    fine = got == array.dtype or (got.kind == "f" and array.dtype.itemsize < got.itemsize <= wide)
    if not fine and not (array.ndim == 0 and isinstance(grad, float)):
        return Fault(
            "dtype",
            f"the gradient of {name} has the wrong dtype {got}, {name} is {array.dtype}",
            name,
        )
    return None


def y_parts(job: Pass) -> list[Any]:
    return [v for _, v in tree.leaves(job.y_tree) if tree.kind_of(v) == "float"]


def shape_hint(got: tuple[int, ...], due: tuple[int, ...]) -> str:
    """The commonest reason for a wrong shape."""
    if got == due[::-1] and got != due:
        return ": it is transposed"
    if len(got) > len(due) and got[len(got) - len(due) :] == due:
        return ": the sum over the batch axis is missing"
    if tuple(n for n in got if n != 1) == tuple(n for n in due if n != 1):
        return ": an axis of length 1 is kept or lost (keepdims)"
    if sorted(got) == sorted(due):
        return ": its axes are permuted"
    if int(np.prod(got)) == 1:
        return ": a scalar where an array is due"
    if int(np.prod(got)) == int(np.prod(due)):
        return ": it needs a reshape"
    if len(got) == len(due) and all(g in (d, 1) for g, d in zip(got, due, strict=True)):
        return ": it is summed over an axis that must stay"
    return ""
