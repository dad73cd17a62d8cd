"""Test points: drawn at random so that no mistake can hide, read, and looked over."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify.passes import Pass, kind_of
from minivae.verify.report import Fault, shape_text, where

SIZES = (3, 4, 5, 6, 7, 8)  # none 1, and none 2, where a row less its mean is +a and -a


def draw_point(
    spec: dict[str, str], rng: np.random.Generator, scale: float = 1.0, dtype: Any = np.float64
) -> dict[str, Array]:
    """Arrays for shapes written as words of dims: draw_point({"x": "B D", "W": "D H"}, rng).

    Every dim gets a size of its own (no two equal, none 1), entries are distinct, of both signs and
    away from zero. A spec that begins with "int:" draws whole numbers below its last word's size:
    {"labels": "int: B < C"}.
    """
    text = " ".join(spec.values()).replace("int:", "").replace("<", " ")
    order = sorted(set(text.split()))
    if len(order) > len(SIZES):
        raise ValueError(
            f"at most {len(SIZES)} dims can all differ, the spec has {len(order)}: {order}"
        )
    drawn = rng.permutation(SIZES[: max(4, len(order))])
    sizes = {word: int(size) for word, size in zip(order, drawn, strict=False)}
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
            kind, text = "empty", f"is an empty array, shape {shape_text(np.shape(value))}"
        elif value.dtype.name == "bfloat16":
            kind, text = "dtype", "is bfloat16, which is not supported: pass it as float32"
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
