"""Weighs the votes on one tensor: which entries are wrong, who says so, and what kind of fault it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minivae.verify import kinds, tree
from minivae.verify.evaluate import Array, Leaf, Pass
from minivae.verify.findiff import Slope
from minivae.verify.localise import bisect
from minivae.verify.report import Fault, Row, where
from minivae.verify.spy import lossy_calls
from minivae.verify.tolerances import EPS64, tol
from minivae.verify.votes import Probe

LOST = "the complex step disagrees with converged differences: forward is not analytic ({})"
USUAL = "np.abs, np.sign, np.conj, norm and the like lose the imaginary part"


@dataclass
class Case:
    """One tensor on trial: the hand-written gradient, its noise, and what the oracles say."""

    probe: Probe
    leaf: Leaf
    place: int
    hand: Array
    noise: Array
    eps: float
    seconds: float
    entries: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    true: Array = field(default_factory=lambda: np.zeros(0))
    floor: Array = field(default_factory=lambda: np.zeros(0))
    doubt: Array = field(default_factory=lambda: np.zeros(0))  # the oracle's own error, by entry
    columns: Array | None = None
    reason: str = ""
    near: float | None = None
    notes: list[str] = field(default_factory=list)
    lossy: list[str] = field(default_factory=list)

    @property
    def g(self) -> Array:
        """The hand-written gradient at the visited entries."""
        return self.hand.ravel()[self.entries]

    @property
    def difference_tolerance(self) -> float:
        coarse = self.probe.job.y_eps > EPS64
        return tol("finite_difference32" if coarse else "finite_difference")

    def reliable(self, slope: Slope, scale: float) -> bool:
        limit = tol("reliable32" if self.probe.job.y_eps > EPS64 else "reliable")
        return bool(slope.error <= limit * max(scale, abs(slope.value)))


def lost(case: Case) -> str:
    """Why the complex step cannot be believed, with the functions seen to lose the imaginary part."""
    return LOST.format(f"it calls {', '.join(case.lossy)}" if case.lossy else USUAL)


# -- oracles ------------------------------------------------------------------------------------
def choose_entries(case: Case) -> None:
    """Every entry where the time allows; else a random sample with the largest ones."""
    size = case.leaf.value.size
    calls = 16 if case.reason else 1  # a difference takes many evaluations where a complex step takes one
    afford = int(max(24, case.seconds / (calls * case.probe.cost)))
    if size <= min(afford, 20_000):
        case.entries = np.arange(size)
        return
    order = np.argsort(np.abs(case.hand.ravel()))
    few = case.probe.rng.choice(size, 16, replace=False)
    case.entries = np.unique(np.concatenate([few, order[-4:], order[:4]]))


def by_complex_step(case: Case) -> None:
    """True values, floors and (where small) the Jacobian's columns of the visited entries."""
    dy, y0 = case.probe.dy, case.probe.job.y0
    weight = np.abs(dy * y0)
    count, chunk = len(case.entries), max(1, 4_000_000 // max(1, y0.size))
    true, floor, kept = np.empty(count), np.empty(count), []
    for first in range(0, count, chunk):
        part = slice(first, first + chunk)
        block = case.probe.columns(case.leaf, case.entries[part])
        true[part] = dy @ block
        touched = np.where(block != 0, weight[:, None], 0.0).max(axis=0)
        floor[part] = np.where(touched > 0, touched, weight.max(initial=0))
        kept.append(block)
    case.columns = np.concatenate(kept, axis=1) if count <= chunk else None
    case.true, case.floor = true, tol("floor") * case.eps * floor
    case.doubt = np.zeros(count)


def by_differences(case: Case, which: Array) -> None:
    """Differences in place of the complex step for the entries marked in `which`."""
    scale = float(np.abs(case.hand).max(initial=0))
    for i in np.flatnonzero(which):
        slope = case.probe.entry_slope(case.leaf, int(case.entries[i]), case.near)
        inside = min(slope.left, slope.right), max(slope.left, slope.right)
        hand = case.g[i]
        margin = 1e-5 * max(scale, abs(hand))
        if slope.kink and inside[0] - margin <= hand <= inside[1] + margin:
            case.true[i], case.doubt[i] = hand, margin  # any value between the sides is a subgradient
            continue
        case.true[i] = slope.value
        case.doubt[i] = 4 * slope.error if np.isfinite(slope.error) else np.inf


def tolerances(case: Case) -> Array:
    """How far hand and oracle may be apart, entry by entry."""
    wide = case.eps > EPS64
    size = np.maximum(np.abs(case.g), np.abs(case.true))
    noise = case.noise.ravel()[case.entries]
    typical = float(np.median(case.noise)) if case.noise.size else 0.0
    own = tol("entry32" if wide else "entry") * case.eps * size
    allowed = own + tol("noise") * np.maximum(noise, typical) + case.floor
    if wide:
        allowed = allowed + 16 * case.eps * np.abs(case.hand).max(initial=0)
    measured = (case.doubt > 0) | bool(case.lossy)  # the differences decide what a lossy call may hide
    biggest = max(float(np.abs(case.hand).max(initial=0)), float(np.abs(case.true[np.isfinite(case.true)]).max(initial=0)))
    return np.where(measured, allowed + case.doubt + case.difference_tolerance * biggest, allowed)


def fill(case: Case) -> None:
    """Runs the best oracle there is over the visited entries."""
    count = len(case.entries)
    case.true, case.floor, case.doubt = np.full(count, np.nan), np.zeros(count), np.zeros(count)
    if not case.reason:
        by_complex_step(case)
        missing = ~np.isfinite(case.true)
        if missing.any():
            case.notes.append(f"{case.leaf.name}: complex arithmetic breaks down in {int(missing.sum())} entries; differences there")
            by_differences(case, missing)
    else:
        by_differences(case, np.ones(count, dtype=bool))


def contradicted(case: Case, slope: Slope, delta: Array) -> bool:
    """Whether converged differences along a direction contradict the complex step."""
    pushed = float(case.probe.dy @ case.probe.push(case.leaf, delta))
    scale = max(abs(pushed), abs(slope.value), float(np.abs(case.hand * delta).sum()))
    if not np.isfinite(pushed) or not case.reliable(slope, scale):
        return False
    gap = abs(pushed - slope.value)
    return not gap <= 8 * slope.error + 10 * case.difference_tolerance * scale


def distrust(case: Case, slope: Slope, delta: Array) -> None:
    """Where converged differences contradict the complex step, they take its place."""
    if case.reason or not contradicted(case, slope, delta):
        return
    kept = case.true.copy()
    everything = np.ones(len(case.entries), dtype=bool)
    by_differences(case, everything)
    span = np.abs(kept).max(initial=0) + np.abs(case.true).max(initial=0)
    agree = ~(np.abs(kept - case.true) > case.doubt + 1e-6 * span)
    case.true, case.doubt = np.where(agree, kept, case.true), np.where(agree, 0.0, case.doubt)
    if not agree.all():
        case.reason = lost(case)


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


def confirm(case: Case, wrong: Array) -> Array:
    """Errors too small to be sure of must be the same at nudged points: rounding is not."""
    outputs = float(np.abs(case.probe.dy * case.probe.job.y0).max(initial=0))
    big = max(np.abs(case.hand).max(initial=0), np.abs(case.true).max(initial=0), outputs)
    error = np.abs(case.g - case.true)
    faint = np.flatnonzero(wrong & (error <= tol("tensor") * EPS64 * big))
    if not len(faint) or case.reason:
        return wrong
    pick = faint[np.argsort(-error[faint])][:8]
    seen = [nudged_errors(case, pick) for _ in range(8)]
    values = np.array([s for s in seen if s is not None])
    steady = np.zeros(len(pick), dtype=bool)
    if len(values) >= 6:
        steady = np.abs(values.mean(axis=0)) > 4 * values.std(axis=0)
    wrong[faint] = False
    wrong[pick[steady]] = True
    return wrong


def nudged_errors(case: Case, pick: Array) -> Array | None:
    """hand - true at the picked entries, with inputs moved by a few units in the last place."""
    job = case.probe.job
    other = Pass(job.forward, job.backward, tree.replace(job.args, job.nudged(case.probe.rng, EPS64)), job.names)
    other.leaves = [other.leaves[[x.name for x in other.leaves].index(leaf.name)] for leaf in job.leaves]
    try:
        other.adopt(other.run(other.base)[0])
        grad = other.gradient(case.probe.dy)[case.place]
        probe = Probe(other, case.probe.dy, case.probe.rng)
        true = case.probe.dy @ probe.columns(other.leaves[case.place], case.entries[pick])
    except Exception:
        return None
    return None if grad is None else np.asarray(grad.ravel()[case.entries[pick]] - true)


# -- verdict ------------------------------------------------------------------------------------
def index_of(case: Case, i: int) -> tuple[int, ...]:
    """The index in the tensor of the i-th visited entry."""
    return tuple(int(n) for n in np.unravel_index(int(case.entries[i]), case.leaf.value.shape))


def find_large(case: Case) -> None:
    """For tensors too large to visit: random-sign probes, and bisection to an entry on failure."""
    if len(case.entries) == case.leaf.value.size:
        return
    entry = bisect(case.probe, case.leaf, case.hand, case.reason == "", case.difference_tolerance, case.eps)
    if entry is not None and entry not in case.entries:
        case.entries = np.concatenate([case.entries, [entry]])


def judge(case: Case, others: dict[str, Array]) -> tuple[Row, list[Fault], list[str]]:
    """The row and the faults of one tensor."""
    probe, leaf = case.probe, case.leaf
    case.reason = probe.complex_reason(leaf) or ""
    case.lossy = [] if case.reason else lossy_calls(probe.job, leaf)
    delta = probe.signs(leaf.value.shape) * probe.scale(leaf)
    slope = probe.slope(leaf, delta)
    case.near = slope.step if np.isfinite(slope.step) else None
    choose_entries(case)
    if len(case.entries) < leaf.value.size and not case.reason:
        if contradicted(case, slope, delta) or (case.lossy and not case.reliable(slope, 0.0)):
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
    row = make_row(case, slope, delta, wrong)
    faults = [make_fault(case, row, wrong, others)] if wrong.any() else []
    return row, faults, case.notes


def make_row(case: Case, slope: Slope, delta: Array, wrong: Array) -> Row:
    """The four votes as numbers."""
    leaf, probe = case.leaf, case.probe
    with np.errstate(invalid="ignore"):
        error = np.abs(case.g - case.true)
    rank = np.where(wrong, np.where(np.isfinite(error), error, np.inf) + 1e300, error)
    worst = int(np.argmax(np.where(np.isnan(rank), -1.0, rank)))
    biggest = float(np.abs(case.true).max(initial=0))
    inner, size = float((case.hand * delta).sum()), float(np.abs(case.hand * delta).sum())
    usable = case.reliable(slope, max(size, abs(slope.value))) and not slope.kink
    safe = not case.reason
    true, hand = float(case.true[worst]), float(case.g[worst])
    relative = float(np.max(error / np.maximum(np.abs(case.true), 1e-300), initial=0, where=case.true != 0))
    return Row(
        op="",
        tensor=leaf.name,
        shape=tuple(leaf.value.shape),
        dtype=str(leaf.value.dtype),
        complex_step=ratio(float(error.max(initial=0)), biggest) if safe else None,
        finite_difference=ratio(abs(inner - slope.value), max(size, abs(slope.value))) if usable else None,
        adjoint=probe.adjoint(leaf, case.place, delta, safe),
        taylor=probe.taylor(leaf, delta, inner) if usable else None,
        index=index_of(case, worst),
        hand=hand,
        true=true,
        ulps=abs(hand - true) / float(np.spacing(max(abs(true), 1e-300))),
        oracle="complex step" if safe else "differences",
        reason=case.reason,
        checked=len(case.entries),
        size=leaf.value.size,
        worst_entry=relative,
        verdict="wrong" if wrong.any() else "right",
    )


def ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else (0.0 if top == 0 else np.inf)


def make_fault(case: Case, row: Row, wrong: Array, others: dict[str, Array]) -> Fault:
    """One line: kind, tensor, index, sample, both values."""
    kind = kinds.name(evidence(case, wrong, others))
    i = int(np.flatnonzero(case.entries == np.ravel_multi_index(row.index or (), case.leaf.value.shape))[0]) if row.index else 0
    sample, said = blame_sample(case, i)
    oracle = "complex step" if row.oracle == "complex step" else "differences"
    text = (
        f"the gradient of {case.leaf.name} is wrong: {kind.text}; worst at {case.leaf.name}"
        f"{where(row.index)}: hand-written {row.hand:.10g}, true {row.true:.10g} by {oracle}{said}"
    )
    return Fault(kind.word, text, case.leaf.name, row.index, sample, row.hand, row.true, kind.factor)


def batch_length(case: Case) -> int | None:
    """The length of the output's axis 0, where there is one output with one."""
    y = case.probe.job.y_tree
    shapes = case.probe.job.y_shapes
    if not shapes or tree.is_branch(y) and len({s[:1] for s in shapes}) > 1:
        return None
    if shapes[0]:
        return int(shapes[0][0])
    firsts = [v.shape[0] for _, v in case.probe.job.flat if isinstance(v, np.ndarray) and v.ndim > 1]
    return int(firsts[0]) if firsts else None


def sample_masks(case: Case) -> Array | None:
    """(B, outputs): which outputs belong to which sample."""
    batch, shapes = batch_length(case), case.probe.job.y_shapes
    if batch is None or batch < 2 or batch > 512 or not all(s and s[0] == batch for s in shapes):
        return None
    owner = np.concatenate([np.repeat(np.arange(batch), int(np.prod(s[1:]))) for s in shapes])
    return np.asarray(owner[None, :] == np.arange(batch)[:, None], dtype=np.float64)


def evidence(case: Case, wrong: Array, others: dict[str, Array]) -> kinds.Evidence:
    shape = case.leaf.value.shape
    full = np.zeros(case.leaf.value.size)
    visited, bad = np.zeros(full.size, dtype=bool), np.zeros(full.size, dtype=bool)
    full[case.entries], visited[case.entries], bad[case.entries] = case.true, True, wrong
    ones = mean = shares = None
    if case.columns is not None and visited.all() and not case.reason:
        dy = case.probe.dy
        ones = case.columns.sum(axis=0).reshape(shape)
        mean = (np.full_like(dy, dy.mean()) @ case.columns).reshape(shape)
        masks = sample_masks(case)
        if masks is not None and len(masks) * full.size <= 2_000_000:
            shares = ((masks * dy) @ case.columns).reshape(len(masks), *shape)
    inputs = {n: np.asarray(v, dtype=np.float64) for n, v in case.probe.job.flat if tree.kind_of(v) == "float"}
    return kinds.Evidence(
        case.hand,
        full.reshape(shape),
        bad.reshape(shape),
        visited.reshape(shape),
        batch_length(case),
        others,
        inputs,
        ones,
        mean,
        shares,
    )


def blame_sample(case: Case, i: int) -> tuple[int | None, str]:
    """The sample whose share of the worst entry is wrong; its index and how to say it."""
    index, shape = index_of(case, i), case.leaf.value.shape
    masks = sample_masks(case)
    if shape and masks is not None and shape[0] == len(masks):
        return index[0], f", sample {index[0]}"
    if shape and masks is None and batch_length(case) == shape[0] and len(shape) > 1:
        return index[0], f", sample {index[0]}"
    if masks is None or case.columns is None or len(masks) > 64:
        return None, ""
    try:
        hands = [case.probe.job.gradient(m * case.probe.dy)[case.place] for m in masks]
    except Exception:
        return None, ""
    if any(h is None for h in hands):
        return None, ""
    hand = np.array([h.ravel()[case.entries[i]] for h in hands if h is not None])
    gaps = np.abs(hand - (masks * case.probe.dy) @ case.columns[:, i])
    if not np.isfinite(gaps).all() or not gaps.max() > 0:
        return None, ""
    first = int(np.argmax(gaps))
    if gaps[first] >= 0.999 * gaps.sum():
        return first, f"; the error comes from sample {first} alone"
    return first, f"; largest share of the error: sample {first}"

