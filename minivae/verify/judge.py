"""Weighs the votes on one tensor: which entries are wrong, and which only look it."""

from __future__ import annotations

import numpy as np

from minivae.types import Array
from minivae.verify import tree
from minivae.verify.evaluate import Pass
from minivae.verify.findiff import Slope
from minivae.verify.localise import bisect
from minivae.verify.oracles import (
    Case,
    choose_entries,
    contradicted,
    distrust,
    fill,
    index_of,
    lost,
    tolerances,
)
from minivae.verify.report import Fault, Row, where
from minivae.verify.spy import lossy_calls
from minivae.verify.tolerances import EPS64, tol
from minivae.verify.verdict import make_fault, make_row
from minivae.verify.votes import Probe


# -- arbitration --------------------------------------------------------------------------------
def acquitted(case: Case, i: int) -> str:
    """Why a suspect entry is right after all: 'kink', 'analytic', or '' when it is not."""
    slope = case.probe.entry_slope(case.leaf, int(case.entries[i]), None)
    hand, oracle = float(case.g[i]), float(case.true[i])
    scale = max(abs(hand), abs(oracle) if np.isfinite(oracle) else 0.0)
    margin = 1e-5 * scale
    low, high = min(slope.left, slope.right), max(slope.left, slope.right)
    if slope.kink and low - margin <= hand <= high + margin:
        return "kink"
    near = 4 * slope.error + 10 * case.difference_tolerance * scale
    if not case.reliable(slope, scale) or not np.isfinite(slope.value):
        return ""
    if abs(hand - slope.value) <= near and not abs(oracle - slope.value) <= near:
        return "analytic"
    if not abs(oracle - slope.value) <= near:
        case.true[i] = slope.value  # neither is right: what is measured is the truth
    return ""


def arbitrate(case: Case, wrong: Array) -> Array:
    """Clears the suspects that sit on a kink, or where only the complex step is wrong."""
    suspects = np.flatnonzero(wrong)
    error = np.abs(case.g - case.true)
    order = suspects[np.argsort(-np.where(np.isfinite(error), error, np.inf)[suspects])]
    first = list(order[:6]) + list(case.probe.rng.permutation(order[6:])[:6])
    found = {i: acquitted(case, int(i)) for i in first}
    if any(found.values()):
        limit = int(max(24, 4 * case.seconds / (60 * case.probe.cost)))
        found |= {i: acquitted(case, int(i)) for i in order[:limit] if i not in found}
    if joint_slope_contradicts(case, [i for i, why in found.items() if why == "kink"]):
        found = {i: "" if why == "kink" else why for i, why in found.items()}
    for i, why in found.items():
        if not why:
            continue
        wrong[i] = False
        case.true[i] = case.g[i]
        name = f"{case.leaf.name}{where(index_of(case, int(i)))}"
        if why == "kink":
            case.notes.append(f"{name} sits on a kink; {case.g[i]:.6g} is one of its subgradients")
        else:
            case.reason = lost(case)
    return wrong


def joint_slope_contradicts(case: Case, kinks: list[int]) -> bool:
    """Whether entries that each sit on a kink are wrong together.

    Tied maxima may share the gradient as they like, but moved together they have one slope.
    """
    if len(kinks) < 2:
        return False
    delta = np.zeros(case.leaf.value.size)
    delta[case.entries[kinks]] = 1.0
    slope = case.probe.slope(case.leaf, delta.reshape(case.leaf.value.shape))
    hand = float(case.g[kinks].sum())
    scale = float(np.abs(case.g[kinks]).sum()) + abs(slope.value)
    if slope.kink or not case.reliable(slope, scale):
        return False
    near = 8 * slope.error + 100 * case.difference_tolerance * scale
    return not abs(hand - slope.value) <= near


def tied(case: Case, wrong: Array) -> Array:
    """Entries that are right one by one and wrong together: each of several ties takes it all."""
    everything = len(case.entries) == case.leaf.value.size
    if case.reason or not everything or len(wrong) < 2 or not np.any(case.g):
        return wrong
    ones = np.ones(case.leaf.value.shape)
    pushed = float(case.probe.dy @ case.probe.push(case.leaf, ones))
    size = float(np.abs(case.true).sum())
    if not np.isfinite(pushed) or abs(pushed - float(case.true.sum())) <= 1e-9 * size:
        return wrong
    suspects = np.flatnonzero(case.g)[: int(max(24, case.seconds / (60 * case.probe.cost)))]
    kinks = [
        int(i)
        for i in suspects
        if case.probe.entry_slope(case.leaf, int(case.entries[i]), None).kink
    ]
    if joint_slope_contradicts(case, kinks):
        wrong[kinks] = True
        case.ties = True
    return wrong


def confirm(case: Case, wrong: Array) -> Array:
    """Errors too small to be sure of must stay when the point is nudged, and when it is moved.

    Rounding changes with the last bits of the inputs; and where a pass is saturated it can be as
    large as what is left of the gradient, which it no longer is at a milder point.
    """
    job = case.probe.job
    outputs = float(np.abs(case.probe.dy * job.y0).max(initial=0))
    inputs = max(float(np.abs(leaf.value).max(initial=0)) for leaf in job.leaves)
    big = max(np.abs(case.hand).max(initial=0), np.abs(case.true).max(initial=0), outputs)
    error = np.abs(case.g - case.true)
    faint = np.flatnonzero(wrong & (error <= tol("tensor") * EPS64 * big * max(1.0, inputs)))
    if not len(faint) or case.reason:
        return wrong
    pick = faint[np.argsort(-error[faint])][:8]
    wrong[faint] = False
    wrong[pick[steady(case, pick) & persistent(case, pick)]] = True
    return wrong


def steady(case: Case, pick: Array) -> Array:
    """Which errors keep their sign and size at points a few units in the last place away."""
    job = case.probe.job
    seen = [errors_at(case, pick, job.nudged(case.probe.rng, EPS64)) for _ in range(8)]
    values = np.array([gap for gap, _ in (s for s in seen if s is not None)])
    if len(values) < 6:
        return np.ones(len(pick), dtype=bool)
    return np.asarray(np.abs(values.mean(axis=0)) > 4 * values.std(axis=0))


def persistent(case: Case, pick: Array) -> Array:
    """Which errors keep their relative size where every input is a fraction of what it was."""
    here = np.abs(case.g - case.true)[pick] / np.abs(case.true[pick])
    stays = np.ones(len(pick), dtype=bool)
    for fraction in (0.3, 0.05):
        values = [
            np.asarray(v * fraction) if tree.kind_of(v) == "float" else v
            for v in case.probe.job.base
        ]
        found = errors_at(case, pick, values)
        if found is not None:
            gap, true = found
            with np.errstate(all="ignore"):
                stays &= ~(np.abs(gap) / np.abs(true) < 0.1 * here)
    return stays


def errors_at(case: Case, pick: Array, values: list[object]) -> tuple[Array, Array] | None:
    """(hand - true, true) of the picked entries at other inputs; None where they cannot be had."""
    job = case.probe.job
    other = Pass(job.forward, job.backward, tree.replace(job.args, values), job.names)
    by_name = {leaf.name: leaf for leaf in other.leaves}
    other.leaves = [by_name[leaf.name] for leaf in job.leaves]
    try:
        other.adopt(other.run(other.base)[0])
        grad = other.gradient(case.probe.dy)[case.place]
        probe = Probe(other, case.probe.dy, case.probe.rng)
        leaf = other.leaves[case.place]
        true = case.probe.dy @ probe.columns(leaf, case.entries[pick])
    except Exception:
        return None
    if grad is None or not np.isfinite(true).all():
        return None
    return np.asarray(grad.ravel()[case.entries[pick]] - true), np.asarray(true)


# -- verdict ------------------------------------------------------------------------------------
def find_large(case: Case) -> None:
    """For tensors too large to visit: random-sign probes, and bisection to an entry on failure."""
    if len(case.entries) == case.leaf.value.size:
        return
    entry = bisect(
        case.probe, case.leaf, case.hand, case.reason == "", case.difference_tolerance, case.eps
    )
    if entry is not None and entry not in case.entries:
        case.entries = np.concatenate([case.entries, [entry]])


def doubtful(case: Case, slope: Slope, delta: Array) -> bool:
    """Whether the complex step is contradicted, or cannot be confirmed where a call may lose it."""
    return contradicted(case, slope, delta) or (bool(case.lossy) and not case.reliable(slope, 0.0))


def judge(case: Case, others: dict[str, Array]) -> tuple[Row, list[Fault], list[str]]:
    """The row and the faults of one tensor."""
    probe, leaf = case.probe, case.leaf
    case.reason = probe.complex_reason(leaf) or ""
    case.lossy = [] if case.reason else lossy_calls(probe.job, leaf)
    delta = probe.signs(leaf.value.shape) * probe.scale(leaf)
    slope = probe.slope(leaf, delta)
    case.near = slope.step if np.isfinite(slope.step) else None
    choose_entries(case)
    if len(case.entries) < leaf.value.size and not case.reason and doubtful(case, slope, delta):
        case.reason = lost(case)  # too large to ask entry by entry who is right
        choose_entries(case)
    find_large(case)
    fill(case)
    distrust(case, slope, delta)
    wrong = ~(np.abs(case.g - case.true) <= tolerances(case))
    if wrong.any():
        wrong = arbitrate(case, wrong)
        wrong &= ~(np.abs(case.g - case.true) <= tolerances(case))
    if wrong.any() and case.eps == EPS64:
        wrong = confirm(case, wrong)
    if not wrong.any():
        wrong = tied(case, wrong)
    row = make_row(case, slope, delta, wrong)
    faults = [make_fault(case, row, wrong, others)] if wrong.any() else []
    return row, faults, case.notes
