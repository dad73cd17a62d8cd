"""Test points: drawn at random, read, looked over; and the gradients that come back, matched."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minivae.types import ABSENT, Array, float_parts, is_branch, kind_of, leaves, pairs, vector
from minivae.types.shapes import draw_point as draw_point
from minivae.types.shapes import points as points
from minivae.verify.passes import Pass, apart
from minivae.verify.report import Fault, first_fault, not_finite, shape_hint

Faults = list[Fault]
Hands = list[Array | None]  # one gradient for each leaf, None where there is none that fits
PARAMETERS = ("w", "kernel", "param", "theta", "gamma", "beta", "bias")  # how their names begin


# -- reading what `check` is handed ----------------------------------------------------------------
def parameters(forward: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a callable; none where it does not tell."""
    try:
        return list(inspect.signature(forward).parameters.values())
    except (TypeError, ValueError):
        return []


def read(
    forward: Callable[..., Any], inputs: Any, names: Sequence[str] | None
) -> tuple[Callable[..., Any], tuple[Any, ...], list[str]]:
    """(a forward of positional arguments, the arguments, their names).

    A dict of inputs whose keys are forward's parameters is passed by name, in their order. Raises
    ValueError for `names` of another length than the inputs, or with one twice.
    """
    found, args = parameters(forward), (inputs,)
    own = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if isinstance(inputs, dict):
        keys = [p.name for p in found if p.name in inputs]
        if any(p.kind is p.VAR_KEYWORD for p in found):
            keys += [key for key in inputs if key not in keys]
        if len(keys) == len(inputs):
            by_name = forward
            if keys != own[: len(keys)]:
                forward = lambda *v: by_name(**dict(zip(keys, v, strict=True)))  # noqa: E731
            args = tuple(inputs[key] for key in keys)
            names = keys if set(names or keys) == set(keys) else names
    elif isinstance(inputs, (list, tuple)) and not hasattr(inputs, "_fields"):
        args = tuple(inputs)
    if names is None:  # forward's own parameters, or input0, input1, … where it does not tell
        names = [own[i] if i < len(own) else f"input{i}" for i in range(len(args))]
    if len(names) != len(args):
        raise ValueError(f"names has {len(names)} entries for {len(args)} inputs")
    if len(set(names)) < len(names):
        raise ValueError(f"names has a name twice: {', '.join(names)}")
    return forward, args, list(names)


def input_faults(job: Pass) -> Faults:
    """Inputs to learn from that are empty, complex, not finite or twice there; or none that is
    float."""
    faults: Faults = []
    learnt = {leaf.name for leaf in job.leaves}
    for name, value in job.flat:
        if not isinstance(value, (np.ndarray, np.generic)) or (job.wrt and name not in learnt):
            continue
        kind, what = kind_of(value), f"input {name}"
        short = kind == "other" and "float" in value.dtype.name  # bfloat16, float8_e4m3fn, …
        advice = f"{what} is {value.dtype}, which is not supported: pass it as float32"
        tests = (
            (value.size == 0 and kind != "integer", "empty",
             f"{what} is an empty array, shape {value.shape}"),
            (short, "dtype", advice),
            (kind == "complex", kind,
             f"{what} is complex: pass real arrays, or name the others in wrt="),
        )  # fmt: skip
        faults += first_fault(tests, name)
        if kind == "float":
            faults += not_finite(what, value, name, ": move the test point")
    addresses = [name for name, _ in job.flat]
    if twice := sorted(name for name in learnt if addresses.count(name) > 1):
        text = f"two inputs stand at the same address, {twice[0]}: rename one"
        faults.append(Fault("structure", text, twice[0]))
    if not job.leaves and not faults:
        none = Fault("structure", "no input is a float array: there is nothing to differentiate")
        integers = (integer_fault(n, v) for n, v in job.flat if kind_of(v) == "integer")
        faults.append(next(integers, none))
    return faults


def integer_fault(name: str, value: Any) -> Fault:
    """An integer array where a gradient is wanted."""
    text = f"input {name} is an integer array ({value.dtype}), which has no gradient: "
    return Fault("integer", text + f"pass {name}.astype(np.float64)", name)


def point_notes(job: Pass) -> list[str]:
    """What about this test point would let a mistake through; none is a fault of the pass."""
    notes = {"all outputs are equal": job.y0.size > 1 and np.ptp(job.y0) == 0}
    for name, value in ((leaf.name, leaf.value) for leaf in job.leaves):
        sizes, zeros = [n for n in value.shape if n > 1], np.count_nonzero(value == 0)
        equal = value.size > 1 and np.all(value == value.flat[0])
        notes |= {
            f"{name} has equal axes {value.shape}: a transposition could pass":
                len(set(sizes)) < len(sizes),
            f"all entries of {name} are {value.flat[0] + 0:g}": equal,
            f"more than half of {name} is zero": 2 * zeros > value.size > 2 and not equal,
            f"{name} is stored in the other byte order ({value.dtype.str})":
                not value.dtype.isnative,
        }  # fmt: skip
    return [f"test point: {note}" for note, fits in notes.items() if fits]


# -- matching the gradients with the inputs --------------------------------------------------------
def gradients(job: Pass, dy: Array, values: Sequence[Any] | None = None) -> Hands:
    """One float64 array for each leaf, None where backward gave none that fits."""
    cache = job.run(job.base if values is None else values)[1]  # layers with state need their own
    return in_float64(match(job, job.back(job.upstream(dy), cache))[0])


def in_float64(pieces: list[Any]) -> Hands:
    """Gradients as float64 numbers; None stays None."""
    return [None if piece is None else np.array(piece, np.float64) for piece in pieces]


def match(job: Pass, grads: Any) -> tuple[list[Any], Faults]:
    """The gradients in the order of the leaves, None where there is none of the right shape; and
    every fault but wrong numbers. Whose they are is told by the reading that fits best."""
    found = [matched(job, given) for given in readings(job, grads)]
    if found:
        return min(found, key=lambda pieces_and_faults: len(pieces_and_faults[1]))
    names = list(dict.fromkeys(job.names[leaf.arg] for leaf in job.leaves))
    got = str(len(grads)) if isinstance(grads, (tuple, list)) else f"one of shape {np.shape(grads)}"
    text = f"backward returned {'None' if grads is None else got} where {len(names)} gradients are"
    text += f" due ({', '.join(names)}): return one each, or say which in wrt="
    return [None for _ in job.leaves], [Fault("none" if grads is None else "count", text)]


def readings(job: Pass, grads: Any) -> Iterator[dict[Any, Any]]:
    """Which argument each gradient may belong to: by name ('W' or 'dW') in a dict; by place among
    all arguments, those that hold floats, or those to differentiate by; all to the only one."""
    wanted = sorted({leaf.arg for leaf in job.leaves})
    if isinstance(grads, dict):
        known = {"d" + name: name for name in job.names} | {name: name for name in job.names}
        yield {known.get(key, key): grad for key, grad in grads.items()}
    elif isinstance(grads, (tuple, list)):
        held = [{kind_of(leaf) for _, leaf in leaves(arg)} for arg in job.args]
        floats = [i for i, kinds in enumerate(held) if "float" in kinds]
        numbers = [i for i, kinds in enumerate(held) if kinds & {"float", "number"}]
        for slots in dict.fromkeys(map(tuple, (range(len(held)), floats, numbers, wanted))):
            if len(slots) == len(grads):
                yield {job.names[i]: grad for i, grad in zip(slots, grads, strict=True)}
    if len(wanted) == 1:
        yield {job.names[wanted[0]]: grads}


def matched(job: Pass, given: dict[Any, Any]) -> tuple[list[Any], Faults]:
    """`match` for gradients by their argument's name."""
    text = "backward returned a gradient {!r}, which is no input"
    faults = [Fault("structure", text.format(name)) for name in given if name not in job.names]
    found: dict[str, Any] = {}
    for number, (name, arg) in enumerate(zip(job.names, job.args, strict=True)):
        if job.wrt is None or any(leaf.arg == number for leaf in job.leaves):
            for address, part, grad in pairs(arg, given.get(name, ABSENT), name):
                misfits = misfit(job, number, address, part, grad)
                faults += misfits
                if all(fault.kind == "dtype" for fault in misfits):
                    found[address] = grad
    return [found.get(leaf.name) for leaf in job.leaves], faults


def misfit(job: Pass, number: int, name: str, part: Any, grad: Any) -> Faults:
    """What is wrong with what backward returned for one part of an argument, but wrong numbers; for
    integers, that it is not zero."""
    if kind_of(part) == "integer":
        learnt = kind_of(grad) == "float" and np.shape(grad) == np.shape(part) != ()
        return [integer_fault(name, part)] if learnt and np.any(grad) and job.wrt is None else []
    paths = [path for path, leaf in leaves(part, name) if kind_of(leaf) == "float"]
    if part is not ABSENT and not any(job.wanted(path, number) for path in paths):
        return []
    array = not is_branch(part) and isinstance(grad, (np.ndarray, np.generic, float, int))
    value, got = (np.asarray(v if array else 0.0) for v in (part, grad))
    due = f"a {type(part).__name__} of gradients" if is_branch(part) else "an array"
    strange = f"backward returned one {type(grad).__name__} for {name}, where {due} is due"
    what, hint = f"the gradient of {name}", shape_hint(got.shape, value.shape)
    shape = f"{what} has the wrong shape {got.shape}, {name} has {value.shape}{hint}"
    dtype = f"{what} has the wrong dtype {got.dtype}, {name} is {value.dtype}"
    widest = np.result_type(value.dtype, *(np.asarray(y).dtype for y in float_parts(job.y_tree)))
    fine = np.can_cast(value.dtype, got.dtype) and np.can_cast(got.dtype, widest)
    tests = (
        (part is ABSENT, "structure", f"backward returned a gradient {name}, which is no input"),
        (grad is ABSENT, "count", f"backward returned no gradient for {name}"),
        (grad is None, "none", f"backward returned None for {name}, where {due} is due"),
        (not array, "structure", strange),
        (got.shape != value.shape, "shape", shape),
        (got.dtype.kind in "OSUMm", "structure", dtype),  # no numbers at all
        (not fine and not isinstance(grad, float), "dtype", dtype),
    )
    return first_fault(tests, name)


def batch_of(job: Pass) -> int | None:
    """The length of the output's axis 0, if it is a batch: reordering the inputs along it reorders
    the outputs. Inputs that are parameters by their name (W, weight, …) do not count."""
    heads = {shape[:1] for shape in job.y_shapes}
    if heads == {()}:  # a loss: its batch is its inputs'
        return next((v.shape[0] for _, v in job.flat if np.ndim(v) > 1), None)
    batch, values = max(heads), list(job.base)
    for place, (name, value) in enumerate(job.flat):
        last = name.split(".")[-1].split("[")[0]
        named = last.lower().startswith(PARAMETERS) or last in ("A", "U", "R", "q", "k", "v")
        if isinstance(value, np.ndarray) and value.shape[:1] == batch and not named:
            values[place] = value[::-1]
    moved = [a for a, b in zip(values, job.base, strict=True) if a is not b]
    flat = max(map(len, job.y_shapes)) < 2 and all(value.ndim < 2 for value in moved)
    if len(heads) > 1 or batch == (1,) or not moved or flat or not job.clock.fits(forward=1):
        return None
    try:
        turned = job.output(values)
    except Exception:
        return None
    due = vector([np.asarray(part)[::-1] for part in float_parts(job.y_tree)])
    return None if apart(due, turned, 1e-4) else batch[0]
