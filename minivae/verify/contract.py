"""What forward and backward must keep before numbers are compared: pairs, no randomness, no side
effects, linearity in the upstream; and what about a test point would let a mistake through."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import passes
from minivae.verify.arguments import Faults, gradients, integer_fault, match, parameters, shape_text
from minivae.verify.passes import CannotRun, Clock, Pass, eps_of, kind_of, one_line, unpack
from minivae.verify.report import Fault, where

SAME_RUN = 64.0  # eps of the largest entry: two runs on the same numbers, in any order of summation


# -- inputs ----------------------------------------------------------------------------------------
def input_faults(job: Pass) -> Faults:
    """Inputs to learn from that are empty, complex or not finite; or none that is float."""
    faults: Faults = []
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
            bad = np.asarray(value)[at]
            kind, text = "nan", f"holds {bad} at {where(at)}: move the test point"
        if text:
            faults.append(Fault(kind, f"input {name} {text}", name, at))
    if not job.leaves and not faults:
        ints = [(n, v) for n, v in job.flat if kind_of(v) == "integer"]
        none = Fault("structure", "no input is a float array: there is nothing to differentiate")
        faults.append(integer_fault(*ints[0]) if ints else none)
    return faults


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


# -- forward ---------------------------------------------------------------------------------------
def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays agree in dtype, shape and every number (NaN with NaN)."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def changed(before: Any, after: Any) -> str | None:
    """The address of the first array of `after` that differs from `before`, bit for bit."""
    old, new = list(passes.leaves(before)), list(passes.leaves(after))
    if [n for n, _ in old] != [n for n, _ in new]:
        return "the structure"
    differ = (n for (n, a), (_, b) in zip(old, new, strict=True)
              if isinstance(a, np.ndarray) and not same_bits(a, b))  # fmt: skip
    return next(differ, None)


def apart(a: Array, b: Array, limit: float) -> bool:
    """Whether two runs differ by more than `limit` of their largest entry."""
    if a.shape != b.shape:
        return True
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        return not np.array_equal(a, b, equal_nan=True)
    scale = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return not np.abs(a - b).max(initial=0) <= limit * scale


def forward_faults(job: Pass, out_shape: tuple[int, ...] | None) -> Faults:
    """Runs forward twice: exceptions, the pair, its output's kind, mutation, randomness."""
    faults: Faults = []
    values = [passes.copy_leaf(v) for v in job.base]
    args = passes.replace(job.args, values)
    try:
        y = unpack(job.forward(*args))[0]
    except CannotRun as error:
        return [Fault("structure", str(error))]
    except Exception as error:
        return [Fault("error", f"forward raised {one_line(error)}")]
    y = passes.copy(y)
    for (name, old), new in zip(job.flat, values, strict=True):
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
        place = int(np.argmin(np.isfinite(job.y0)))
        text = f"forward returned {job.y0[place]} at output {place}: move the test point"
        return [*faults, Fault("nan", text, "y")]
    if apart(job.y0, job.output(job.base), SAME_RUN * job.y_eps):
        text = "forward is random: two calls differ; pass the noise in as an argument"
        faults.append(Fault("random", text))
    return faults


def output_fault(y: Any, out_shape: tuple[int, ...] | None) -> Fault | None:
    """What is wrong with an output as such."""
    parts = passes.float_parts(y)
    if any(kind_of(v) == "complex" for v in parts):
        text = "forward returned complex numbers for real inputs: return real ones"
        return Fault("complex", text)
    if not parts:
        got = {str(getattr(v, "dtype", type(v).__name__)) for _, v in passes.leaves(y)}
        text = (
            f"forward returned no float output (it returned {', '.join(sorted(got)) or 'nothing'})"
        )
        return Fault("structure", text)
    if all(np.size(v) == 0 for v in parts):
        return Fault("empty", "forward returned an empty array: nothing to check", "y")
    if out_shape is not None and not passes.is_branch(y) and np.shape(y) != tuple(out_shape):
        what = "a scalar" if np.ndim(y) == 0 else f"shape {shape_text(np.shape(y))}"
        text = f"forward returned {what} where an array of shape {out_shape} is due"
        return Fault("scalar", text, "y")
    return None


# -- backward --------------------------------------------------------------------------------------
Ran = tuple[list[Any] | None, list[Any], Faults, list[str]]


def backward_in_either_order(job: Pass, dy: Array) -> Ran:
    """`backward_faults`, for a backward(cache, dy) too: told by its parameters' names, or by only
    that order running and fitting. The job's backward is then turned round."""
    original = job.backward
    turned = lambda dy, cache: original(cache, dy)  # noqa: E731
    names = [p.name.lower() for p in parameters(original)[:2]]
    cache_first = len(names) == 2 and any(w in names[0] for w in ("cache", "ctx", "saved"))
    named = cache_first and any(w in names[1] for w in ("dy", "dout", "grad", "upstream"))
    job.backward = turned if named else original
    first = backward_faults(job, dy)
    misfits = {"error", "scalar", "count", "structure", "none", "shape"}
    if not any(f.kind in misfits for f in first[2]):
        second = first if named else None
    else:
        job.backward = original if named else turned
        second = backward_faults(job, dy)
        if any(f.kind in misfits for f in second[2]):
            job.backward, second = original, None
            first = backward_faults(job, dy) if named else first
        elif named:
            return second
    if second is None:
        return first
    note = "backward takes (cache, dy), the other order than backward(dy, cache): called so"
    return *second[:3], [note, *second[3]]


def backward_faults(job: Pass, dy: Array) -> Ran:
    """Runs backward at the point: its gradients by leaf, copied and as returned, every fault but
    numbers, and notes."""
    args = passes.copy(job.args)
    _, cache = unpack(job.forward(*args))
    upstream = job.upstream(dy)
    kept, before = passes.copy(upstream), passes.copy(args)
    try:
        grads = job.backward(upstream, cache)
    except Exception as error:
        text = f"backward raised {one_line(error)}"
        if job.y0.size == 1 and not passes.is_branch(job.y_tree) and np.ndim(job.y_tree) == 0:
            text = f"forward returned a scalar where backward expects an array: {text}"
            return None, [], [Fault("scalar", f"{text} for an upstream of shape ()", "y")], []
        return None, [], [Fault("error", text)], []
    pieces, faults = match(job, grads)
    if changed(kept, upstream) is not None:
        faults.append(Fault("mutates", "backward changes its upstream gradient dy in place", "dy"))
    at = changed(before, args)
    if at is not None:
        faults.append(Fault("mutates", f"backward changes the input {address(job, at)} in place"))
    notes = view_notes(job, pieces, args, upstream)
    saved = [passes.copy_leaf(p) for p in pieces]
    faults += [f for f in map(nan_fault, job.leaves, saved) if f]
    return saved, pieces, faults, notes


def overwritten(job: Pass, pieces: list[Any], saved: list[Any]) -> Faults:
    """Gradients that a later call of backward has written over: arrays that are used again."""
    text = "the gradient of {} changes when backward is called again: return a copy"
    return [
        Fault("view", text.format(leaf.name), leaf.name)
        for leaf, piece, old in zip(job.leaves, pieces, saved, strict=True)
        if isinstance(piece, np.ndarray) and not same_bits(piece, old)
    ]


def address(job: Pass, at: str) -> str:
    """'[0].W' as the argument's name and the rest."""
    number, _, rest = at.removeprefix("[").partition("]")
    return job.names[int(number)] + rest if at.startswith("[") else at


def overlap(a: Any, b: Any) -> bool:
    """Whether two arrays share memory."""
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.size and b.size):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=10_000))  # type: ignore[arg-type]
    except Exception:  # too hard to decide: call it shared where the bounds overlap
        return bool(np.may_share_memory(a, b))


def view_notes(job: Pass, pieces: list[Any], args: Any, upstream: Any) -> list[str]:
    """Gradients that are views of inputs, of the upstream, or of one another."""
    notes = []
    owners = [(f"input {address(job, n)}", v) for n, v in passes.leaves(args)]
    owners += [("the upstream gradient dy", v) for _, v in passes.leaves(upstream)]
    for leaf, grad in zip(job.leaves, pieces, strict=True):
        other = next((n for n, v in owners if overlap(grad, v)), None)
        if other is not None:
            notes.append(
                f"the gradient of {leaf.name} is a view of {other}: writing to one changes both"
            )
        owners.append((f"the gradient of {leaf.name}", grad))
    return notes


def nan_fault(leaf: passes.Leaf, grad: Any) -> Fault | None:
    """A fault for the first entry of a gradient that is not finite."""
    bad = ~np.isfinite(np.asarray(0.0 if grad is None else grad, dtype=np.float64))
    if not bad.any():
        return None
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    value = float(np.asarray(grad)[at])
    what = "NaN" if np.isnan(value) else "inf"
    text = f"the gradient of {leaf.name} is {what} at {where(at)} ({int(bad.sum())} of {bad.size} "
    return Fault("nan", text + "entries)", leaf.name, at, hand=value)


def linearity_faults(job: Pass, dy: Array, grads: list[Array | None], clock: Clock) -> Faults:
    """Half of dy gives half the gradients; where there is time, a second call finds the same
    numbers and a zero upstream gives zero."""
    runs: list[list[Array | None]] = []
    try:
        for factor in (0.5, 1.0, 0.0):
            late = runs and clock.left() < 0
            runs.append([factor * g if g is not None else None for g in grads] if late else
                        gradients(job, factor * dy))  # fmt: skip
    except Exception as error:
        return [Fault("error", f"backward raised {one_line(error)} when called again")]
    sets = zip(grads, runs[1], runs[0], runs[2], strict=True)
    found = [leaf_linearity(job, i, *four) for i, four in enumerate(sets)]
    return [fault for fault in found if fault is not None]


def leaf_linearity(
    job: Pass, i: int, g: Array | None, again: Array | None, half: Array | None, zero: Array | None
) -> Fault | None:
    """The first of these that one gradient does not keep."""
    name, value = job.leaves[i].name, job.leaves[i].value
    if g is None or not np.isfinite(g).all():
        return None
    if again is None or half is None or zero is None:
        text = f"backward returns {name} in another shape when called again"
        return Fault("structure", text, name)
    eps = max(eps_of(value), job.y_eps)
    if apart(g, again, SAME_RUN * eps):
        adds = not apart(again, 2 * g, 1e3 * SAME_RUN * eps)
        how = "it adds to what earlier calls left" if adds else "it is random"
        text = f"backward gives another gradient of {name} when called again: {how}"
        return Fault("random", text, name)
    if not np.any(g):
        return None
    if not apart(half, g, SAME_RUN * eps):
        text = f"the gradient of {name} ignores the upstream: it is the same for dy and dy / 2"
        return Fault("upstream-ignored", text, name)
    if np.any(zero != 0) or np.isnan(zero).any():
        at = tuple(int(i) for i in np.argwhere(~(zero == 0))[0])
        text = f"the gradient of {name} at {where(at)} is {zero[at]:.6g} for a zero upstream: "
        text += "a term does not depend on the upstream"
        return Fault("not-linear", text, name, at, hand=float(zero[at]), true=0.0)
    small = float(np.finfo(value.dtype).tiny) / eps  # below it numbers lose digits
    if np.abs(g).max() >= small and apart(2 * half, g, SAME_RUN * eps):
        text = f"the gradient of {name} is not linear in the upstream: dy / 2 does not halve it"
        return Fault("not-linear", text, name)
    return None
