"""Reads the inputs that `check` is handed, and matches the returned gradients with them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import passes
from minivae.verify.passes import Leaf, Pass, kind_of
from minivae.verify.report import Fault

Faults = list[Fault]


# -- reading the inputs ----------------------------------------------------------------------------
def parameters(forward: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a callable; none where it does not tell."""
    try:
        return list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        return []


def positional_names(forward: Callable[..., Any], count: int) -> list[str]:
    """The parameter names of `forward`, or input0, input1, … where it does not tell."""
    found = parameters(forward)
    names = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    star = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), "input")
    return [names[i] if i < len(names) else f"{star}{i}" for i in range(count)]


def read(
    forward: Callable[..., Any], inputs: Any, names: Sequence[str] | None
) -> tuple[Callable[..., Any], tuple[Any, ...], list[str]]:
    """(a forward of positional arguments, the arguments, their names).

    A dict of inputs whose keys are forward's parameters is passed by name. Raises ValueError for
    `names` of another length than the inputs.
    """
    args: tuple[Any, ...]
    found = parameters(forward)
    if isinstance(inputs, dict):
        keywords = {p.name for p in found if p.kind is p.KEYWORD_ONLY}
        known = [p.name for p in found]
        if set(inputs) & keywords or any(p.kind is p.VAR_KEYWORD for p in found):
            keys, original = list(inputs), forward
            forward = lambda *values: original(**dict(zip(keys, values, strict=True)))  # noqa: E731
            args, names = tuple(inputs.values()), names or keys
        elif names is not None and list(names) == list(inputs):
            args = tuple(inputs.values())
        elif set(inputs) <= set(known):
            args = tuple(inputs[k] for k in known if k in inputs)
            names = names or [k for k in known if k in inputs]
        else:
            args = (inputs,)
    elif isinstance(inputs, (list, tuple)) and not hasattr(inputs, "_fields"):
        args = tuple(inputs)
    else:
        args = (inputs,)
    labels = list(names) if names is not None else positional_names(forward, len(args))
    if len(labels) != len(args):
        raise ValueError(f"names has {len(labels)} entries for {len(args)} inputs")
    return forward, args, labels


# -- matching the gradients ------------------------------------------------------------------------
def gradients(job: Pass, dy: Array, values: Sequence[Any] | None = None) -> list[Array | None]:
    """One float64 array for each leaf, None where backward gave none that fits."""
    pieces, _ = match(job, job.raw_gradient(dy, values))
    return [fitting(piece, leaf) for piece, leaf in zip(pieces, job.leaves, strict=True)]


def fitting(piece: Any, leaf: Leaf) -> Array | None:
    """A gradient as float64 numbers, None where its shape is wrong."""
    if piece is None or np.shape(piece) != leaf.value.shape:
        return None
    return np.array(piece, dtype=np.float64)


def match(job: Pass, grads: Any) -> tuple[list[Any], Faults]:
    """The gradients in the order of the leaves (None where missing), and what does not fit."""
    slots, faults = by_argument(job, grads)
    found: dict[str, Any] = {}
    for number, grad in slots.items():
        if any(leaf.arg == number for leaf in job.leaves):
            walk(job, number, job.args[number], grad, job.names[number], found, faults)
        elif kind_of(job.args[number]) == "integer" and job.wrt is None:
            faults += integer_misfit(job.args[number], grad, job.names[number])
    return [found.get(leaf.name) for leaf in job.leaves], faults


def by_argument(job: Pass, grads: Any) -> tuple[dict[int, Any], Faults]:
    """Which argument each returned gradient belongs to."""
    wanted = sorted({leaf.arg for leaf in job.leaves})
    every = range(len(job.args))
    sole = job.args[wanted[0]] if len(wanted) == 1 else None
    if isinstance(grads, dict) and not (
        isinstance(sole, dict) and job.names[wanted[0]] not in grads
    ):
        return from_dict(job, grads, wanted)
    bare = isinstance(sole, (list, tuple)) and isinstance(grads, (list, tuple))
    if bare:
        wrapped = len(grads) == 1 and isinstance(grads[0], (list, tuple))
        bare = len(grads) == len(sole) and not wrapped  # type: ignore[arg-type]
    if not isinstance(grads, (tuple, list)) or bare:
        grads = (grads,)
    floats = [i for i in every if has_kind(job.args[i], ("float",))]
    numbers = [i for i in every if has_kind(job.args[i], ("float", "number"))]
    for slots in (list(every), floats, numbers, wanted):
        if len(grads) == len(slots):
            return dict(zip(slots, grads, strict=True)), []
    names, count, due = ", ".join(job.names[i] for i in wanted), len(grads), len(wanted)
    shapes = f"; it has shape {shape_text(np.shape(grads[0]))}" if count == 1 else ""
    text = (
        f"backward returned {count} gradient{'s' * (count != 1)} for {due} float "
        f"input{'s' * (due != 1)} ({names}){shapes}: return one each, or say which in wrt="
    )
    return {}, [Fault("count", text)]


def has_kind(arg: Any, kinds: tuple[str, ...]) -> bool:
    return any(kind_of(leaf) in kinds for _, leaf in passes.leaves(arg))


def from_dict(job: Pass, grads: dict[Any, Any], wanted: list[int]) -> tuple[dict[int, Any], Faults]:
    """Gradients by argument name; 'W' or 'dW'."""
    known = {prefix + name: i for i, name in enumerate(job.names) for prefix in ("d", "")}
    slots = {known[key]: grad for key, grad in grads.items() if key in known}
    faults = [
        Fault("structure", f"backward returned a gradient {key!r}, which is no input")
        for key in grads
        if key not in known
    ]
    for name in (job.names[i] for i in wanted if i not in slots):
        text = f"backward returned no gradient for input {name}: the dict lacks its name"
        faults.append(Fault("count", text, name))
    return slots, faults


def walk(
    job: Pass, number: int, arg: Any, grad: Any, name: str, found: dict[str, Any], faults: Faults
) -> None:
    """Match a gradient tree with its argument's, with the address for every misfit."""
    if not passes.is_branch(arg):
        if kind_of(arg) == "integer":
            faults += integer_misfit(arg, grad, name)
        elif kind_of(arg) == "float" and job.wanted(name, number):
            bad = misfit(job, np.asarray(arg), grad, name)
            faults += [bad] if bad else []
            if bad is None or bad.kind == "dtype":
                found[name] = grad
        return
    if not has_kind(arg, ("float",)):
        return
    given, due = type(grad).__name__, type(arg).__name__
    if grad is None or not passes.is_branch(grad):
        what = "None" if grad is None else f"one {given}"
        text = f"backward returned {what} for {name}, where a {due} of gradients is due"
        faults.append(Fault("none" if grad is None else "structure", text, name))
        return
    if isinstance(arg, dict) != isinstance(grad, dict):
        text = f"backward returned a {given} for {name}, where a {due} is due"
        faults.append(Fault("structure", text, name))
        return
    mine, theirs = dict(passes.children(arg)), dict(passes.children(grad))
    if not isinstance(arg, dict) and len(mine) == len(theirs):
        theirs = dict(zip(mine, theirs.values(), strict=True))
    for part, sub in mine.items():
        if part in theirs:
            walk(job, number, sub, theirs[part], name + part, found, faults)
        elif any(
            job.wanted(p, number)
            for p, v in passes.leaves(sub, name + part)
            if kind_of(v) == "float"
        ):
            text = f"backward returned no gradient for {name}{part}"
            faults.append(Fault("count", text, name + part))
    for part in theirs:
        if part not in mine:
            text = f"backward returned a gradient {name}{part}, which is no input"
            faults.append(Fault("structure", text, name + part))


def integer_misfit(value: Any, grad: Any, name: str) -> Faults:
    """A fault where a gradient of an integer array is not zero: it should have been float."""
    given = isinstance(grad, (np.ndarray, np.generic)) and grad.dtype.kind == "f"
    if np.ndim(value) == 0 or not given or np.shape(grad) != np.shape(value) or not np.any(grad):
        return []
    return [integer_fault(name, value)]


def integer_fault(name: str, value: Any) -> Fault:
    kind = np.asarray(value).dtype
    text = f"input {name} is an integer array ({kind}), which has no gradient: "
    return Fault("integer", text + f"pass {name}.astype(np.float64)", name)


def misfit(job: Pass, array: Array, grad: Any, name: str) -> Fault | None:
    """What is wrong with one gradient as an array, in one line."""
    due = shape_text(array.shape)
    if grad is None:
        return Fault("none", f"backward returned None for {name}, shape {due}", name)
    if not isinstance(grad, (np.ndarray, np.generic, float, int)):
        text = f"backward returned a {type(grad).__name__} for {name}, where an array is due"
        return Fault("structure", text, name)
    if np.shape(grad) != array.shape:
        text = f"the gradient of {name} has the wrong shape {shape_text(np.shape(grad))}, {name} "
        text += f"has {due}{shape_hint(np.shape(grad), array.shape)}"
        return Fault("shape", text, name)
    got = np.asarray(grad).dtype
    outputs = [np.asarray(v).dtype for v in passes.float_parts(job.y_tree)]
    finest = max([array.dtype.itemsize, *(d.itemsize for d in outputs)])
    fine = got == array.dtype.newbyteorder("=") or got == array.dtype
    fine |= got.kind == "f" and array.dtype.itemsize < got.itemsize <= finest
    if fine or (array.ndim == 0 and isinstance(grad, float)):
        return None
    text = f"the gradient of {name} has the wrong dtype {got}, {name} is {array.dtype}"
    return Fault("dtype", text, name)


def shape_text(shape: tuple[int, ...]) -> str:
    return str(tuple(int(n) for n in shape))


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
