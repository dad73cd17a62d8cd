"""Test points: drawn at random so that no mistake can hide, read, looked over; and the gradients
that come back, matched with them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array, children, float_parts, is_branch, kind_of, leaves
from minivae.verify.passes import Pass
from minivae.verify.report import Fault, shape_hint, where

Faults = list[Fault]
Hands = list[Array | None]  # one gradient for each leaf, None where there is none that fits
SIZES = (3, 4, 5, 6, 7, 8)  # none 1, and none 2, where a row less its mean is +a and -a


def draw_point(
    spec: dict[str, str], rng: np.random.Generator, scale: float = 1.0, dtype: Any = np.float64
) -> dict[str, Array]:
    """Arrays for shapes written as words of dims: draw_point({"x": "B D", "W": "D H"}, rng).

    Every dim gets a size of its own (no two equal, none 1; a number is its own size), entries are
    distinct, of both signs and away from zero. A spec that begins with "int:" draws whole numbers
    below its last word's size: {"labels": "int: B < C"}.
    """
    text = " ".join(spec.values()).replace("int:", "").replace("<", " ")
    words = set(text.split())
    order = sorted(word for word in words if not word.isdigit())
    if len(order) > len(SIZES):
        raise ValueError(
            f"at most {len(SIZES)} dims can all differ, the spec has {len(order)}: {order}"
        )
    drawn = rng.permutation(SIZES[: max(4, len(order))])
    sizes = {word: int(size) for word, size in zip(order, drawn, strict=False)}
    sizes |= {word: int(word) for word in words if word.isdigit()}
    point: dict[str, Array] = {}
    for name, text in spec.items():
        shape, _, top = text.removeprefix("int:").partition("<")
        size = [sizes[word] for word in shape.split()]
        if text.startswith("int:"):
            point[name] = rng.integers(0, sizes[top.strip()], size)
        else:
            value = rng.choice([-1.0, 1.0], size) * rng.uniform(0.05, 2.0, size) * scale
            point[name] = np.asarray(value, dtype=dtype)
    return point


def points(
    spec: dict[str, str], dtype: Any = np.float64, scales: tuple[float, ...] = (1.0, 1e-3, 1e3)
) -> Any:
    """A Hypothesis strategy of valid, linted test points (dicts of arrays); see `draw_point`.

        @given(points({"x": "B D", "gamma": "D", "beta": "D"}))
        def test(point): check(forward, backward, point).raise_if_failed()

    Raises ImportError where Hypothesis is not installed.
    """
    try:
        from hypothesis import strategies as st
    except ImportError as error:
        raise ImportError("points() needs hypothesis: pip install 'minivae[verify]'") from error
    draw = lambda s, k: draw_point(spec, np.random.default_rng(s), k, dtype)  # noqa: E731
    return st.builds(draw, st.integers(0, 2**32 - 1), st.sampled_from(scales))


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

    A dict of inputs whose keys are forward's parameters is passed by name. Raises ValueError for
    `names` of another length than the inputs.
    """
    found = parameters(forward)
    args: tuple[Any, ...] = (inputs,)
    if isinstance(inputs, dict):
        keywords = {p.name for p in found if p.kind is p.KEYWORD_ONLY}
        ordered = [p.name for p in found if p.name in inputs]
        if set(inputs) & keywords or any(p.kind is p.VAR_KEYWORD for p in found):
            keys, original = list(inputs), forward
            forward = lambda *values: original(**dict(zip(keys, values, strict=True)))  # noqa: E731
            args, names = tuple(inputs.values()), names or keys
        elif names is not None and list(names) == list(inputs):
            args = tuple(inputs.values())
        elif len(ordered) == len(inputs):
            args, names = tuple(inputs[key] for key in ordered), names or ordered
    elif isinstance(inputs, (list, tuple)) and not hasattr(inputs, "_fields"):
        args = tuple(inputs)
    if names is None:  # forward's own parameters, or input0, input1, … where it does not tell
        own = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        star = next((p.name for p in found if p.kind is p.VAR_POSITIONAL), "input")
        names = [own[i] if i < len(own) else f"{star}{i}" for i in range(len(args))]
    if len(names) != len(args):
        raise ValueError(f"names has {len(names)} entries for {len(args)} inputs")
    return forward, args, list(names)


def input_faults(job: Pass) -> list[Fault]:
    """Inputs to learn from that are empty, complex or not finite; or none that is float."""
    faults: list[Fault] = []
    constant = {p for p, _ in job.flat} - {leaf.name for leaf in job.leaves}
    for name, value in job.flat:
        if not isinstance(value, (np.ndarray, np.generic)) or (job.wrt and name in constant):
            continue
        kind, text = kind_of(value), ""
        at: tuple[int, ...] | None = None
        if np.size(value) == 0:
            kind, text = "empty", f"is an empty array, shape {np.shape(value)}"
        elif kind == "other" and "float" in value.dtype.name:  # bfloat16, float8_e4m3fn, …
            kind, text = "dtype", f"is {value.dtype}, which is not supported: pass it as float32"
        elif kind == "complex":
            text = "is complex: pass real float64 arrays"
        elif kind == "float" and not np.isfinite(value).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
            kind, text = "nan", f"holds {np.asarray(value)[at]} at {where(at)}: move the test point"
        if text:
            faults.append(Fault(kind, f"input {name} {text}", name, at))
    if not job.leaves and not faults:
        ints = [(n, v) for n, v in job.flat if kind_of(v) == "integer"]
        none = Fault("structure", "no input is a float array: there is nothing to differentiate")
        faults.append(integer_fault(*ints[0]) if ints else none)
    return faults


def integer_fault(name: str, value: Any) -> Fault:
    """An integer array where a gradient is wanted."""
    text = f"input {name} is an integer array ({np.asarray(value).dtype}), which has no gradient: "
    return Fault("integer", text + f"pass {name}.astype(np.float64)", name)


def point_notes(job: Pass) -> list[str]:
    """What about this test point would let a mistake through; none is a fault of the pass."""
    notes = []
    for leaf in job.leaves:
        value, name = leaf.value, leaf.name
        sizes = [n for n in value.shape if n > 1]
        if len(set(sizes)) < len(sizes):
            notes.append(f"{name} has equal axes {value.shape}: a transposition could pass")
        if value.size > 1 and not np.any(value):
            notes.append(f"{name} is zero everywhere")
        elif value.size > 1 and np.all(value == value.flat[0]):
            notes.append(f"all entries of {name} are equal")
        elif value.size > 2 and 2 * np.count_nonzero(value == 0) > value.size:
            notes.append(f"more than half of {name} is zero")
        if not value.dtype.isnative:
            notes.append(f"{name} is stored in the other byte order ({value.dtype.str})")
    if job.y0.size > 1 and np.ptp(job.y0) == 0:
        notes.append("all outputs are equal")
    return [f"test point: {note}" for note in notes]


# -- matching the gradients with the inputs --------------------------------------------------------
def gradients(job: Pass, dy: Array, values: Sequence[Any] | None = None) -> Hands:
    """One float64 array for each leaf, None where backward gave none that fits."""
    return fitting(job, match(job, job.raw_gradient(dy, values))[0])


def fitting(job: Pass, pieces: list[Any]) -> Hands:
    """Gradients as float64 numbers, None where the shape is wrong."""
    pairs = zip(pieces, job.leaves, strict=True)
    fits = [p is not None and np.shape(p) == leaf.value.shape for p, leaf in pairs]
    return [np.array(p, np.float64) if ok else None for p, ok in zip(pieces, fits, strict=True)]


def match(job: Pass, grads: Any) -> tuple[list[Any], Faults]:
    """The gradients in the order of the leaves (None where missing), and what does not fit."""
    slots, faults = by_argument(job, grads)
    found: dict[str, Any] = {}
    for number, grad in slots.items():
        if any(leaf.arg == number for leaf in job.leaves):
            walk(job, number, job.args[number], grad, job.names[number], found, faults)
        elif kind_of(job.args[number]) == "integer" and job.wrt is None:
            faults += misfit(job, job.args[number], grad, job.names[number])
    return [found.get(leaf.name) for leaf in job.leaves], faults


def by_argument(job: Pass, grads: Any) -> tuple[dict[int, Any], Faults]:
    """Which argument each returned gradient belongs to."""
    wanted = sorted({leaf.arg for leaf in job.leaves})
    names = [job.names[i] for i in wanted]
    sole = job.args[wanted[0]] if len(wanted) == 1 else None
    if isinstance(grads, dict) and not (isinstance(sole, dict) and names[0] not in grads):
        return from_dict(job, grads, names)
    bare = isinstance(sole, (list, tuple)) and isinstance(grads, (list, tuple))
    if bare:
        wrapped = len(grads) == 1 and isinstance(grads[0], (list, tuple))
        bare = len(grads) == len(sole) and not wrapped  # type: ignore[arg-type]
    if not isinstance(grads, (tuple, list)) or bare:
        grads = (grads,)
    held = [{kind_of(leaf) for _, leaf in leaves(arg)} for arg in job.args]
    floats = [i for i, kinds in enumerate(held) if "float" in kinds]
    numbers = [i for i, kinds in enumerate(held) if kinds & {"float", "number"}]
    for slots in (list(range(len(held))), floats, numbers, wanted):
        if len(grads) == len(slots):
            return dict(zip(slots, grads, strict=True)), []
    count, due = len(grads), len(wanted)
    if count == 1 and grads[0] is None:
        text = f"backward returned None where {due} gradients are due ({', '.join(names)})"
        return {}, [Fault("none", text)]
    shape = f"; it has shape {np.shape(grads[0])}" if count == 1 else ""
    text = (
        f"backward returned {count} gradient{'s' * (count != 1)} for {due} float input"
        f"{'s' * (due != 1)} ({', '.join(names)}){shape}: return one each, or say which in wrt="
    )
    return {}, [Fault("count", text)]


def from_dict(job: Pass, grads: dict[Any, Any], due: list[str]) -> tuple[dict[int, Any], Faults]:
    """Gradients by argument name; 'W' or 'dW'."""
    known = {prefix + name: i for i, name in enumerate(job.names) for prefix in ("d", "")}
    slots = {known[key]: grad for key, grad in grads.items() if key in known}
    strange = "backward returned a gradient {!r}, which is no input"
    faults = [Fault("structure", strange.format(key)) for key in grads if key not in known]
    lacks = "backward returned no gradient for input {}: the dict lacks its name"
    missing = [name for name in due if known[name] not in slots]
    return slots, faults + [Fault("count", lacks.format(name), name) for name in missing]


def walk(
    job: Pass, number: int, arg: Any, grad: Any, name: str, found: dict[str, Any], faults: Faults
) -> None:
    """Match a gradient tree with its argument's, with the address for every misfit."""
    if not is_branch(arg):
        if kind_of(arg) == "integer" or (kind_of(arg) == "float" and job.wanted(name, number)):
            bad = misfit(job, arg, grad, name)
            faults += bad
            if kind_of(arg) == "float" and all(f.kind == "dtype" for f in bad):
                found[name] = grad
        return
    if not any(kind_of(v) == "float" for _, v in leaves(arg)):
        return
    given, due = type(grad).__name__, type(arg).__name__
    if not is_branch(grad) or isinstance(arg, dict) != isinstance(grad, dict):
        given = "None" if grad is None else f"a {given}" if is_branch(grad) else f"one {given}"
        text = f"backward returned {given} for {name}, where a {due} of gradients is due"
        faults.append(Fault("none" if grad is None else "structure", text, name))
        return
    mine, theirs = dict(children(arg)), dict(children(grad))
    if not isinstance(arg, dict) and len(mine) == len(theirs):
        theirs = dict(zip(mine, theirs.values(), strict=True))
    for part, sub in mine.items():
        if part in theirs:
            walk(job, number, sub, theirs[part], name + part, found, faults)
        elif any(job.wanted(p, number) for p, v in leaves(sub, name + part)
                 if kind_of(v) == "float"):  # fmt: skip
            text = f"backward returned no gradient for {name}{part}"
            faults.append(Fault("count", text, name + part))
    text = f"backward returned a gradient {name}{{}}, which is no input"
    faults += [Fault("structure", text.format(p), name + p) for p in theirs if p not in mine]


def misfit(job: Pass, value: Any, grad: Any, name: str) -> Faults:
    """What is wrong with one gradient as an array; for an integer input, that it is not zero."""
    array, shape = np.asarray(value), np.shape(grad) if not is_branch(grad) else ()
    number = isinstance(grad, (np.ndarray, np.generic))
    if array.dtype.kind != "f":
        learnt = number and grad.dtype.kind == "f" and shape == array.shape != () and np.any(grad)
        return [integer_fault(name, value)] if learnt else []
    if grad is None:
        text = f"backward returned None for {name}, shape {array.shape}"
        return [Fault("none", text, name)]
    if not number and not isinstance(grad, (float, int)):
        text = f"backward returned a {type(grad).__name__} for {name}, where an array is due"
        return [Fault("structure", text, name)]
    if shape != array.shape:
        text = f"the gradient of {name} has the wrong shape {shape}, {name} has "
        text += f"{array.shape}{shape_hint(shape, array.shape)}"
        return [Fault("shape", text, name)]
    got = np.asarray(grad).dtype
    outputs = [np.asarray(v).dtype.itemsize for v in float_parts(job.y_tree)]
    fine = got in (array.dtype.newbyteorder("="), array.dtype)
    fine |= got.kind == "f" and array.dtype.itemsize < got.itemsize <= max(outputs)
    if fine or (array.ndim == 0 and isinstance(grad, float)):
        return []
    text = f"the gradient of {name} has the wrong dtype {got}, {name} is {array.dtype}"
    return [Fault("dtype", text, name)]


def batch_of(job: Pass) -> int | None:
    """The length of the output's axis 0, if it is a batch: reordering the inputs along it reorders
    the outputs. Inputs that are parameters by their name (W, weight, …) do not count."""
    lengths = {shape[:1] for shape in job.y_shapes}
    batch = next(iter(lengths))[0] if len(lengths) == 1 and () not in lengths else 0
    values, order, rank = list(job.base), np.arange(batch)[::-1], max(map(len, job.y_shapes))
    parameter = ("w", "kernel", "param", "theta", "gamma", "beta", "bias")
    for place, (name, value) in enumerate(job.flat):
        last = name.split(".")[-1].split("[")[0]
        named = last.lower().startswith(parameter) or last in ("A", "U", "R", "q", "k", "v")
        fits = isinstance(value, np.ndarray) and value.shape[:1] == (batch,) and batch > 1
        if fits and not named:
            values[place], rank = value[order].copy(), max(rank, value.ndim)
    if rank < 2 or all(a is b for a, b in zip(values, job.base, strict=True)):
        if job.y_shapes and not any(job.y_shapes):  # a loss: its batch is its inputs'
            return next((v.shape[0] for _, v in job.flat if np.ndim(v) > 1), None)
        return None
    if not job.clock.fits(forward=1):
        return None
    try:
        pairs = zip(float_parts(job.y_tree), float_parts(job.run(values)[0]), strict=True)
        same = [
            np.allclose(np.asarray(a)[order], b, rtol=1e-4, atol=1e-6 * np.abs(b).max(initial=0))
            for a, b in pairs
        ]
    except Exception:
        return None
    return batch if all(same) else None
