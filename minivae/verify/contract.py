"""What forward and backward must keep before numbers are compared: pairs, no randomness, no side
effects, linearity in the upstream; and how near the truth a gradient has then to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.types import (
    Array,
    copy,
    copy_leaf,
    float_parts,
    is_branch,
    kind_of,
    leaves,
    replace,
    same_bits,
    vector,
)
from minivae.verify import passes
from minivae.verify.derivatives import STEP, tol
from minivae.verify.passes import EPS32, EPS64, Pass, apart, eps_of, one_line, unpack
from minivae.verify.report import Fault, Report, where
from minivae.verify.strategies import Faults, Hands, fitting, gradients, match, parameters

if TYPE_CHECKING:
    from minivae.verify.oracles import Trial

SAME_RUN = 64.0  # eps of the largest entry: two runs on the same numbers, in any order of summation
MISFITS = {"error", "scalar", "count", "structure", "none", "shape"}


# -- forward ---------------------------------------------------------------------------------------
def changed(job: Pass, before: Any, after: Any) -> str | None:
    """The name of the first input in `after` that differs from `before`, bit for bit."""
    old, new = list(leaves(before)), list(leaves(after))
    if [n for n, _ in old] != [n for n, _ in new]:
        return "the structure of the inputs"
    for (name, _), (_, a), (_, b) in zip(job.flat, old, new, strict=True):
        if isinstance(a, np.ndarray) and not same_bits(a, b):
            return name
    return None


def forward_faults(job: Pass, out_shape: tuple[int, ...] | None) -> tuple[Faults, Any]:
    """Runs forward, twice where there is time: exceptions, the pair, its output's kind, mutation,
    randomness. Also (arguments, cache) of the first run."""
    args = replace(job.args, [copy_leaf(v) for v in job.base])
    try:
        y, cache = unpack(job.call(args))
    except passes.CannotRun as error:
        return [Fault("structure", str(error))], None
    except Exception as error:
        return [Fault("error", f"forward raised {one_line(error)}")], None
    y, at = copy(y), changed(job, job.args, args)
    text = f"forward changes its input {at} in place"
    faults = [Fault("mutates", text, at)] if at else []
    if (bad := output_fault(y, out_shape)) is not None:
        return [*faults, bad], None
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


def output_fault(y: Any, out_shape: tuple[int, ...] | None) -> Fault | None:
    """What is wrong with an output as such."""
    parts = float_parts(y)
    if any(kind_of(v) == "complex" for v in parts):
        return Fault(
            "complex", "forward returned complex numbers for real inputs: return real ones"
        )
    if not parts:
        kinds = sorted({str(getattr(v, "dtype", type(v).__name__)) for _, v in leaves(y)})
        got = ", ".join(kinds) or "nothing"
        return Fault("structure", f"forward returned no float output (it returned {got})")
    if all(np.size(v) == 0 for v in parts):
        return Fault("empty", "forward returned an empty array: nothing to check", "y")
    if out_shape is not None and not is_branch(y) and np.shape(y) != tuple(out_shape):
        what = "a scalar" if np.ndim(y) == 0 else f"shape {np.shape(y)}"
        text = f"forward returned {what} where an array of shape {out_shape} is due"
        return Fault("scalar", text, "y")
    return None


# -- backward --------------------------------------------------------------------------------------
Ran = tuple[list[Any] | None, list[Any], Faults, list[str]]


def backward_in_either_order(job: Pass, dy: Array, first_run: Any) -> Ran:
    """`backward_faults`, for a backward(cache, dy) too: told by its parameters' names, or by only
    that order running and fitting. The job's backward is then turned round."""
    original = job.backward
    turned = lambda dy, cache: original(cache, dy)  # noqa: E731
    names = [p.name.lower() for p in parameters(original)[:2]]
    named = len(names) == 2 and any(w in names[0] for w in ("cache", "ctx", "saved"))
    named &= any(w in names[-1] for w in ("dy", "dout", "grad", "upstream"))
    ran: dict[bool, Ran] = {}
    for turn in (True, False) if named else (False, True):
        job.backward = turned if turn else original
        ran[turn] = saved, pieces, faults, notes = backward_faults(job, dy, first_run)
        if not any(f.kind in MISFITS for f in faults):
            note = "backward takes (cache, dy), the other order than backward(dy, cache): called so"
            return saved, pieces, faults, [note] * turn + notes
        first_run = None  # it may be spoilt
    job.backward = original
    return ran[False]  # neither fits: what the plain order says


def backward_faults(job: Pass, dy: Array, first_run: Any = None) -> Ran:
    """Runs backward at the point: its gradients by leaf, copied and as returned, every fault but
    numbers, and notes. `first_run`: arguments and cache of a forward, for want of time for one."""
    if first_run is None or job.clock.fits(forward=1, backward=1):
        first_run = (args := copy(job.args)), unpack(job.call(args))[1]
    args, cache = first_run
    upstream = job.upstream(dy)
    kept, before = copy(upstream), copy(args)
    try:
        grads = job.back(upstream, cache)
    except Exception as error:
        text = f"backward raised {one_line(error)}"
        if job.y0.size == 1 and not is_branch(job.y_tree) and np.ndim(job.y_tree) == 0:
            text = f"forward returned a scalar where backward expects an array: {text}"
            return None, [], [Fault("scalar", f"{text} for an upstream of shape ()", "y")], []
        return None, [], [Fault("error", text)], []
    pieces, faults = match(job, grads)
    ups = zip(leaves(kept), leaves(upstream), strict=True)
    if not all(same_bits(a, b) for (_, a), (_, b) in ups):
        faults.append(Fault("mutates", "backward changes its upstream gradient dy in place", "dy"))
    at = changed(job, before, args)
    if at is not None:
        faults.append(Fault("mutates", f"backward changes the input {at} in place"))
    saved = [copy_leaf(p) for p in pieces]
    faults += [f for f in map(nan_fault, job.leaves, saved) if f]
    return saved, pieces, faults, view_notes(job, pieces, args, upstream)


def overwritten(job: Pass, pieces: list[Any], saved: list[Any]) -> Faults:
    """Gradients that a later call of backward has written over: arrays that are used again."""
    text = "the gradient of {} changes when backward is called again: return a copy"
    return [
        Fault("view", text.format(leaf.name), leaf.name)
        for leaf, piece, old in zip(job.leaves, pieces, saved, strict=True)
        if isinstance(piece, np.ndarray) and not same_bits(piece, old)
    ]


def view_notes(job: Pass, pieces: list[Any], args: Any, upstream: Any) -> list[str]:
    """Gradients that are views of inputs, of the upstream, or of one another."""

    def overlap(a: Any, b: Any) -> bool:
        if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.size and b.size):
            return False
        try:
            return bool(np.shares_memory(a, b, max_work=10_000))  # type: ignore[arg-type]
        except Exception:  # too hard to decide: call it shared where the bounds overlap
            return bool(np.may_share_memory(a, b))

    pairs = zip(job.flat, leaves(args), strict=True)
    owners = [(f"input {name}", value) for (name, _), (_, value) in pairs]
    owners += [("the upstream gradient dy", v) for _, v in leaves(upstream)]
    notes, text = [], "the gradient of {} is a view of {}: writing to one changes both"
    for leaf, grad in zip(job.leaves, pieces, strict=True):
        other = next((name for name, value in owners if overlap(grad, value)), None)
        notes += [text.format(leaf.name, other)] if other else []
        owners.append((f"the gradient of {leaf.name}", grad))
    return notes


def nan_fault(leaf: passes.Leaf, grad: Any) -> Fault | None:
    """A fault for the first entry of a gradient that is not finite."""
    bad = ~np.isfinite(np.asarray(0.0 if grad is None else grad, dtype=np.float64))
    if not bad.any():
        return None
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    value = float(np.asarray(grad)[at])
    text = f"the gradient of {leaf.name} is {'NaN' if np.isnan(value) else 'inf'} at {where(at)}"
    text += f" ({int(bad.sum())} of {bad.size} entries)"
    return Fault("nan", text, leaf.name, at, hand=value)


def linearity_faults(job: Pass, dy: Array, grads: Hands) -> Faults:
    """Half of dy gives half the gradients, a second call finds the same numbers and a zero upstream
    gives zero; each where there is time for it."""
    runs: list[Hands] = []
    try:
        for factor in (0.5, 1.0, 0.0):
            late = not job.clock.fits(forward=1, backward=1)
            runs.append([None if g is None else factor * g for g in grads] if late
                        else gradients(job, factor * dy))  # fmt: skip
    except Exception as error:
        return [Fault("error", f"backward raised {one_line(error)} when called again")]
    found = [leaf_linearity(job, i, *four) for i, four in enumerate(zip(grads, *runs, strict=True))]
    return [fault for fault in found if fault is not None]


def leaf_linearity(
    job: Pass, i: int, g: Array | None, half: Array | None, again: Array | None, zero: Array | None
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
        text = f"the gradient of {name} at {where(at)} is {zero[at]:.6g} for a zero upstream"
        text += ": a term does not depend on the upstream"
        return Fault("not-linear", text, name, at, hand=float(zero[at]), true=0.0)
    small = float(np.finfo(value.dtype).tiny) / eps  # below it numbers lose digits
    if np.abs(g).max() >= small and apart(2 * half, g, SAME_RUN * eps):
        text = f"the gradient of {name} is not linear in the upstream: dy / 2 does not halve it"
        return Fault("not-linear", text, name)
    return None


# -- in float64 -----------------------------------------------------------------------------------
def widen(
    job: Pass, dy: Array, native: Hands, report: Report, reference: Callable[..., Any] | None
) -> tuple[Pass | None, Hands]:
    """The pass in float64, where its source (or `reference`) takes float64, and its gradients
    there; None where nothing can be judged."""
    if job.clock.kept == (2, 0):
        return job, native
    job.clock.kept = (2, 0)
    wide, gap = with_reference(job, reference) if reference else job.widened(), np.inf
    try:
        y, cache = unpack(wide.run(wide.base))
        wide.adopt(copy(y))
        hands = fitting(wide, match(wide, wide.back(wide.upstream(dy), cache))[0])
        gap = float(np.abs(job.y0 - wide.y0).max(initial=0))
        problem = "" if np.isfinite(gap) else "its output is not finite"
    except Exception as error:
        problem = one_line(error)
    apart = not gap <= tol("float32_match") * float(np.abs(wide.y0).max(initial=0))
    if reference is not None and (problem or apart):
        text = f"forward and reference disagree: {problem or f'by up to {gap:.3g}'}"
        report.faults.append(Fault("reference", text, "y"))
        return None, native
    if not problem:
        return wide, hands
    if any(eps_of(leaf.value) > EPS32 for leaf in job.leaves):
        text = f"forward takes float16 only ({problem}): pass float32 inputs, or reference="
        report.faults.append(Fault("dtype", text))
        return None, native
    text = f"forward does not run in float64 ({problem}): checked in its own precision"
    report.notes.append(text)
    return job, native


def with_reference(job: Pass, reference: Callable[..., Any]) -> Pass:
    """A pass in float64 whose forward is `reference` and whose backward is the one on trial, run in
    its own precision after its own forward."""

    def forward(*args: Any) -> Any:
        result = reference(*args)
        pair = isinstance(result, tuple) and len(result) == 2
        return (result[0] if pair and vector(result[0]).size == job.y0.size else result), args

    def backward(dy: Any, args: Any) -> Any:
        native = job.narrowed([v for _, v in leaves(args)])
        return job.backward(job.upstream(vector(dy)), job.run(native)[1])

    wide = job.widened(forward)
    wide.backward = backward
    return wide


# -- how near the truth ----------------------------------------------------------------------------
def strict_tolerance(trial: Trial) -> Array:
    """How far hand and oracle may be apart, entry by entry, whatever the reason."""
    size = np.maximum(np.abs(trial.g), np.abs(trial.true))
    allowed = tol("entry32" if trial.eps > EPS64 else "entry") * trial.eps * size
    known = trial.doubt <= np.abs(trial.true)  # not a jump, nor NaN
    largest = max(trial.biggest, np.abs(trial.true[known]).max(initial=0))
    # A sum's rounding is its terms'; and h*h, the complex step's own, shows where all is 0.
    allowed += tol("sum") * EPS64 * largest + STEP**1.75
    measured = (trial.doubt > 0) | bool(trial.reason)
    extra = np.where(measured, trial.doubt + trial.difference_tolerance * largest, 0.0)
    return np.asarray(allowed + extra)


def rounding_tolerance(trial: Trial) -> Array:
    """How far they may be apart if rounding explains it."""
    noise = trial.noise()
    typical = float(np.median(noise)) if noise.size else 0.0
    coarse = 16 * trial.eps * trial.biggest if trial.eps > EPS64 else 0.0
    moves = tol("noise") * np.maximum(noise.ravel()[trial.entries], typical)
    return np.asarray(strict_tolerance(trial) + moves + coarse + faint(trial))


def faint(trial: Trial) -> float:
    """What may cancel in one entry: so small an error is none until somebody has looked at it."""
    job, dy = trial.probe.job, trial.probe.dy
    inputs = max(float(np.abs(leaf.value).max(initial=0)) for leaf in job.leaves)
    big = max(trial.biggest, float(np.abs(dy * job.y0).max(initial=0)))
    return tol("faint") * EPS64 * big * max(1.0, inputs)
