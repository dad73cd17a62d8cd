"""What a forward has to keep before its numbers are compared: pairs, no randomness, no side
effects."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import tree
from minivae.verify.evaluate import CannotRun, Pass, one_line
from minivae.verify.report import Fault, where
from minivae.verify.structure import integer_fault, shape_text
from minivae.verify.tolerances import tol

Faults = list[Fault]


def input_faults(job: Pass) -> Faults:
    """Inputs nothing can be learnt from: none that is float, empty ones, NaN, complex ones."""
    faults: Faults = []
    for name, value in job.flat:
        if not isinstance(value, (np.ndarray, np.generic)):
            continue
        kind = tree.kind_of(value)
        if np.size(value) == 0:
            text = f"input {name} is an empty array, shape {shape_text(np.shape(value))}"
            faults.append(Fault("empty", text, name))
        elif kind == "complex":
            faults.append(
                Fault("complex", f"input {name} is complex: pass real float64 arrays", name)
            )
        elif kind == "float" and not np.isfinite(value).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
            text = f"input {name} holds {np.asarray(value)[at]} at {where(at)}: move the test point"
            faults.append(Fault("nan", text, name, at))
    if not job.leaves and not faults:
        faults.append(no_float(job))
    return faults


def no_float(job: Pass) -> Fault:
    """The fault of a pass without a single float array."""
    ints = [(n, v) for n, v in job.flat if tree.kind_of(v) == "integer"]
    if ints:
        name, value = ints[0]
        return integer_fault(name, value)
    return Fault("structure", "no input is a float array: there is nothing to differentiate")


def unpack(result: Any) -> tuple[Any, Any]:
    """(y, cache) of a forward's result; CannotRun says what came instead."""
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        if result is None:
            what = "None"
        elif isinstance(result, (tuple, list)):
            what = f"{len(result)} values"
        elif np.ndim(result) == 0:
            what = f"a scalar ({type(result).__name__})"
        else:
            what = f"one array of shape {shape_text(np.shape(result))}"
        raise CannotRun(f"forward returned {what} where a pair (y, cache) is due")
    return result[0], result[1]


def changed(before: Any, after: Any) -> str | None:
    """The address of the first array of `after` that differs from `before`, bit for bit."""
    old, new = list(tree.leaves(before)), list(tree.leaves(after))
    if [n for n, _ in old] != [n for n, _ in new]:
        return "the structure"
    for (name, a), (_, b) in zip(old, new, strict=True):
        if isinstance(a, np.ndarray) and not same_bits(a, b):
            return name
    return None


def same_bits(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def apart(a: Array, b: Array, eps: float) -> bool:
    """Whether two runs on the same numbers differ by more than rounding."""
    if a.shape != b.shape:
        return True
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        return not np.array_equal(a, b, equal_nan=True)
    scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return not (float(np.abs(a - b).max(initial=0)) <= tol("repeat") * eps * scale)


def forward_faults(job: Pass, out_shape: tuple[int, ...] | None) -> Faults:
    """Runs forward twice: exceptions, the pair, its output's kind, mutation, randomness."""
    names = [name for name, _ in job.flat]
    faults: Faults = []
    values = [tree.copy_leaf(v) for v in job.base]
    args = tree.replace(job.args, values)
    try:
        y, _ = unpack(job.forward(*args))
    except CannotRun as error:
        return [Fault("structure", str(error))]
    except Exception as error:
        return [Fault("error", f"forward raised {one_line(error)}")]
    y = tree.copy(y)
    for name, old, new in zip(names, job.base, values, strict=True):
        if isinstance(old, np.ndarray) and not same_bits(old, new):
            faults.append(Fault("mutates", f"forward changes its input {name} in place", name))
    at = changed(job.args, args)
    if at is not None and not faults:
        faults.append(Fault("mutates", f"forward changes its inputs in place ({at})"))
    bad = output_fault(y, out_shape)
    if bad is not None:
        return [*faults, bad]
    job.adopt(y)
    if not np.isfinite(job.y0).all():
        where_bad = int(np.argmin(np.isfinite(job.y0)))
        text = f"forward returned {job.y0[where_bad]} at output {where_bad}: move the test point"
        return [*faults, Fault("nan", text, "y")]
    if apart(job.y0, job.output(job.base), job.y_eps):
        text = "forward is random: two calls differ; pass the noise in as an argument"
        faults.append(Fault("random", text))
    return faults


def output_fault(y: Any, out_shape: tuple[int, ...] | None) -> Fault | None:
    """What is wrong with an output as such."""
    parts = [v for _, v in tree.leaves(y) if tree.kind_of(v) in ("float", "number", "complex")]
    if any(tree.kind_of(v) == "complex" for v in parts):
        return Fault(
            "complex", "forward returned complex numbers for real inputs: return real ones"
        )
    if not parts:
        got = ", ".join(
            sorted({str(getattr(v, "dtype", type(v).__name__)) for _, v in tree.leaves(y)})
        )
        return Fault(
            "structure", f"forward returned no float output (it returned {got or 'nothing'})"
        )
    if all(np.size(v) == 0 for v in parts):
        return Fault("empty", "forward returned an empty array: nothing to check", "y")
    if out_shape is not None and not tree.is_branch(y) and np.shape(y) != tuple(out_shape):
        what = "a scalar" if np.ndim(y) == 0 else f"shape {shape_text(np.shape(y))}"
        return Fault(
            "scalar", f"forward returned {what} where an array of shape {out_shape} is due", "y"
        )
    return None
