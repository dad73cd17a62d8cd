"""What forward and backward must keep before numbers are compared: pairs, no randomness, no side
effects, linearity in the upstream; and the same pass in float64."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np

from minivae.types import (
    Array,
    changed,
    copy,
    float_parts,
    is_branch,
    leaves,
    pairs,
    share_memory,
    vector,
)
from minivae.types.foreign import CannotRun, one_line
from minivae.verify.derivatives import tol
from minivae.verify.passes import Function, Pass, apart, unpack
from minivae.verify.report import Fault, Report, first_fault, not_finite
from minivae.verify.strategies import (
    Faults,
    Hands,
    gradients,
    in_float64,
    match,
    parameters,
    readings,
)

SAME_RUN = 64.0  # eps of the largest entry: two runs on the same numbers, in any order of summation
MISFITS = {"error", "scalar", "count", "structure", "none", "shape"}
Ran = tuple[list[Any] | None, list[Any], Faults, list[str]]


# -- forward ---------------------------------------------------------------------------------------
def forward_faults(job: Pass, out_shape: tuple[int, ...] | None) -> tuple[Faults, Any]:
    """Runs forward, twice where there is time: exceptions, the pair, its output's kind, mutation,
    randomness. Also (arguments, cache) of the first run."""
    args = copy(job.args)
    try:
        y, cache = unpack(job.call(args))
    except CannotRun as error:
        return [Fault("structure", str(error))], None
    except Exception as error:
        return [Fault("error", f"forward raised {one_line(error)}")], None
    y, at = copy(y), changed(job.named(job.args), job.named(args))
    faults = [Fault("mutates", f"forward changes its input {at} in place", at)] if at else []
    if bad := output_faults(y, out_shape):
        return faults + bad, None
    job.adopt(y)
    if not np.isfinite(job.y0).all():
        place = int(np.argmin(np.isfinite(job.y0)))
        text = f"forward returned {job.y0[place]} at output {place}: move the test point"
        return [*faults, Fault("nan", text, "y")], None
    first, seconds = job.clock.cost["forward"], job.clock.seconds  # the first may have compiled
    roomy = job.clock.fits(forward=2, backward=1) or 0.5 <= first <= seconds / 2
    if roomy and apart(job.y0, job.output(job.base), SAME_RUN * job.y_eps):
        faults.append(Fault("random", "forward is random: two calls differ; pass the noise in"))
    return faults, (args, cache)


def output_faults(y: Any, out_shape: tuple[int, ...] | None) -> Faults:
    """What is wrong with an output as such."""
    numbers, shape = vector(y), None if is_branch(y) else np.shape(y)
    nothing = not float_parts(y)
    types = sorted({str(getattr(v, "dtype", type(v).__name__)) for _, v in leaves(y)})
    no_floats = f"forward returned {', '.join(types) or 'nothing'} where floats are due"
    due = shape if out_shape is None else tuple(out_shape)
    misshapen = f"forward returned an array of shape {shape} where one of shape {due} is due"
    tests = (
        (numbers.dtype.kind == "c", "complex", no_floats),
        (nothing, "structure", no_floats),
        (numbers.size == 0, "empty", "forward returned an empty array"),
        (shape not in (None, due), "scalar", misshapen),
    )
    return first_fault(tests, "" if nothing else "y")


# -- backward --------------------------------------------------------------------------------------
def backward_in_either_order(job: Pass, dy: Array, first_run: Any) -> Ran:
    """`backward_faults`, for a backward(cache, dy) too: told by its parameters' names, or by only
    that order running and fitting. The job's backward is then turned round."""
    original = job.backward
    turned = lambda dy, cache: original(cache, dy)  # noqa: E731
    names = [p.name.lower() for p in parameters(original)[:2]]
    named = len(names) == 2 and any(word in names[0] for word in ("cache", "ctx", "saved"))
    named &= any(word in names[-1] for word in ("dy", "dout", "grad", "upstream"))
    ran = []
    for order in (turned, original) if named else (original, turned):
        job.backward = order
        ran.append((order, backward_faults(job, dy, first_run)))
        if not any(fault.kind in MISFITS for fault in ran[-1][1][2]):
            break
        first_run = None  # it may be spoilt
    else:
        del ran[1]  # neither fits: what the first order says
    job.backward, (saved, pieces, faults, notes) = ran[-1]
    note = "backward takes (cache, dy), the other order than backward(dy, cache): called so"
    return saved, pieces, faults, [note] * (job.backward is turned) + notes


def backward_faults(job: Pass, dy: Array, first_run: Any = None) -> Ran:
    """Runs backward at the point: its gradients by leaf, copied and as returned, every fault but
    numbers, and notes. `first_run`: arguments and cache of a forward, for want of time for one."""
    if first_run is None or job.clock.fits(forward=1, backward=1):
        first_run = (args := copy(job.args)), unpack(job.call(args))[1]
    args, cache = first_run
    upstream, before = job.upstream(dy), copy(args)
    try:
        grads = job.back(upstream, cache)
    except Exception as error:
        text = f"backward raised {one_line(error)}"
        if is_branch(job.y_tree) or np.ndim(job.y_tree) > 0:
            return None, [], [Fault("error", text)], []
        text = f"forward returned a scalar where backward expects an array: {text}"
        return None, [], [Fault("scalar", f"{text} for an upstream of shape ()", "y")], []
    pieces, faults = match(job, grads)
    if changed(job.upstream(dy), upstream) is not None:
        faults.append(Fault("mutates", "backward changes its upstream gradient dy in place", "dy"))
    if (at := changed(job.named(before), job.named(args))) is not None:
        faults.append(Fault("mutates", f"backward changes the input {at} in place"))
    for leaf, grad in zip(job.leaves, pieces, strict=True):
        numbers = np.asarray(0.0 if grad is None else grad, np.float64)
        faults += not_finite(f"the gradient of {leaf.name}", numbers, leaf.name)
    notes = view_notes(job, pieces, args, upstream) + number_notes(job, grads)
    return copy(pieces), pieces, faults, notes


def view_notes(job: Pass, pieces: list[Any], args: Any, upstream: Any) -> list[str]:
    """Gradients that are views of inputs, of the upstream, or of one another."""
    owners = [(f"input {name}", value) for name, value in leaves(job.named(args))]
    owners += [("the upstream gradient dy", value) for _, value in leaves(upstream)]
    notes = []
    for leaf, grad in zip(job.leaves, pieces, strict=True):
        name = f"the gradient of {leaf.name}"
        owner = next((owner for owner, value in owners if share_memory(grad, value)), None)
        notes += [f"{name} is a view of {owner}: writing to one changes both"] if owner else []
        owners.append((name, grad))
    return notes


def number_notes(job: Pass, grads: Any) -> list[str]:
    """Gradients of Python numbers, which are constants here."""
    notes = {}
    args = dict(zip(job.names, job.args, strict=True))
    for name, given in (item for reading in readings(job, grads) for item in reading.items()):
        for at, part, grad in pairs(args.get(name), given, name):
            if type(part) in (int, float) and isinstance(grad, (float, np.ndarray, np.generic)):
                text = f"{at} is a Python {type(part).__name__}, taken as a constant:"
                learnt = "if it is a number to learn, " if type(part) is int else ""
                notes[at] = f"{text} {learnt}pass np.float64({at}) to check its gradient"
    return list(notes.values())


def repetition_faults(job: Pass, dy: Array, pieces: list[Any], saved: list[Any]) -> Faults:
    """A second call finds the same numbers, -dy / 2 minus half of them, where there is time; and
    neither writes over the `pieces` that the first returned, of which `saved` are copies."""
    grads = in_float64(saved)
    runs: list[Hands] = []
    try:
        for factor in (1.0, -0.5):
            roomy = job.clock.fits(forward=1, backward=1)
            due = [None if g is None else factor * g for g in grads]
            runs.append(gradients(job, factor * dy) if roomy else due)
    except Exception as error:
        return [Fault("error", f"backward raised {one_line(error)} when called again")]
    faults: Faults = []
    every = zip(job.leaves, grads, *runs, pieces, saved, strict=True)
    for leaf, g, again, half, piece, old in every:
        what, near = f"the gradient of {leaf.name}", SAME_RUN * max(leaf.eps, job.y_eps)
        if g is None or not np.isfinite(g).all():
            continue
        lost = again is None or half is None
        again, half = (g if run is None else run for run in (again, half))
        adds = not apart(again, 2 * g, 1e3 * near)
        how = "it adds to what earlier calls left" if adds else "it is random"
        # Numbers below the least normal one lose digits.
        normal = np.abs(g).max(initial=0) >= SAME_RUN * np.finfo(leaf.value.dtype).tiny / near
        tests = (
            (lost, "structure", f"{what} has another shape when backward is called again"),
            (apart(g, again, near), "random", f"{what} changes from call to call: {how}"),
            (changed(old, piece) is not None, "view",
             f"{what} changes when backward is called again: return a copy"),
            (np.any(g) and not apart(half, g, near), "upstream-ignored",
             f"{what} ignores the upstream: it is the same for dy and -dy / 2"),
            (normal and apart(-2 * half, g, near), "not-linear",
             f"{what} is not linear in the upstream: -dy / 2 does not give -1/2 of it; is a term "
             "without dy added, is dy's sign lost, or is it clipped?"),
        )  # fmt: skip
        faults += first_fault(tests, leaf.name)
    return faults


def second_forward(job: Pass, dy: Array, hands: Hands) -> tuple[Faults, list[str]]:
    """What a forward at other inputs, run where there is time, spoils of an earlier one: output, or
    cache and so the gradients, `hands` at first, are faults; state beside the cache is a note."""
    if not job.clock.fits(forward=2, backward=1):
        return [], []
    kept = job.run(job.base)
    with contextlib.suppress(Exception):  # a cache that holds itself, a point where nothing moves
        before = copy(kept)
        job.run(job.moved({leaf.place: 1e-3 * leaf.scale for leaf in job.leaves}))
        each = zip(("output", "cache"), before, kept, strict=True)
        y, cache = (changed({what: old}, {what: new}) for what, old, new in each)
        found = in_float64(match(job, job.back(job.upstream(dy), kept[1]))[0])
        near = SAME_RUN * max(job.y_eps, *(leaf.eps for leaf in job.leaves))
        both = zip(hands, found, strict=True)
        spoilt = any(g is not None and (new is None or apart(g, new, near)) for g, new in both)
        if at := y or (cache if spoilt else None):
            text = f"a second call of forward writes over what the first returned ({at}): return"
            return [Fault("view", f"{text} arrays of its own")], []
        if spoilt:
            text = "backward takes what forward keeps elsewhere than in its cache"
            return [], [f"{text}: it can only follow the latest forward"]
    return [], []


# -- in float64 -----------------------------------------------------------------------------------
def widen(
    job: Pass, dy: Array, native: Hands, report: Report, reference: Function | None
) -> tuple[Pass | None, Hands]:
    """The pass in float64, where its source (or `reference`) takes float64, and its gradients
    there; None where nothing can be judged."""
    if job.clock.kept == (2, 0):
        return job, native
    job.clock.kept = (2, 0)
    wide = with_reference(job, reference) if reference else job.widened()
    try:
        y, cache = unpack(wide.run(wide.base))
        wide.adopt(copy(y))
        hands = in_float64(match(wide, wide.back(wide.upstream(dy), cache))[0])
        gap = np.abs(job.y0 - wide.y0).max(initial=0)
        problem = "" if np.isfinite(gap) else "its output is not finite"
    except Exception as error:
        problem = one_line(error)
    if reference and not problem and apart(job.y0, wide.y0, tol("float32_match")):
        problem = f"by up to {gap:.3g}"
    if not problem:
        return wide, hands
    if not reference and all(leaf.value.itemsize > 2 for leaf in job.leaves):
        text = f"forward does not run in float64 ({problem}): checked in its own precision"
        report.notes.append(text)
        return job, native
    text = f"forward takes float16 only ({problem}): pass float32 inputs, or reference="
    text = f"forward and reference disagree: {problem}" if reference else text
    report.faults.append(Fault("reference" if reference else "dtype", text, "y"))
    return None, native


def with_reference(job: Pass, reference: Function) -> Pass:
    """A pass in float64 whose forward is `reference` and whose backward is the one on trial, run in
    its own precision after its own forward."""

    def forward(*args: Any) -> Any:
        result = reference(*args)
        pair = isinstance(result, tuple) and len(result) == 2
        return (result[0] if pair and vector(result[0]).size == job.y0.size else result), args

    def backward(dy: Any, args: Any) -> Any:
        native = job.narrowed([v for _, v in leaves(args)])
        return job.backward(job.upstream(vector(dy)), job.run(native)[1])

    return dataclasses.replace(job.widened(), forward=forward, backward=backward)
