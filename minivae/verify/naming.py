"""Names what is wrong from the pattern of wrong numbers: a flipped sign, a factor, a transposition,
a forgotten sum, …; and says it in one line, with the index, the sample and both values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minivae.types import Array
from minivae.verify.derivatives import tol
from minivae.verify.oracles import Trial
from minivae.verify.passes import EPS32, kind_of
from minivae.verify.report import Fault, blame_sample, sample_masks, where, worst_of


class Kind(NamedTuple):
    """A short word, a sentence, and the factor hand/true where there is a constant one."""

    word: str
    text: str
    factor: float | None = None


class Evidence(NamedTuple):
    """What the naming may look at. Arrays have the tensor's shape; `visited`: entries compared."""

    hand: Array
    true: Array
    wrong: Array
    visited: Array
    batch: int | None  # length of the output's axis 0, where it is a batch
    lengths: tuple[tuple[int, ...], ...]  # shapes whose axes may have been averaged over
    others: dict[str, Array]  # the true gradients of the other tensors
    inputs: dict[str, Array]
    ones: Array | None  # the true gradient if the upstream were 1 everywhere
    mean: Array | None  # … if it were its own mean everywhere
    samples: Array | None  # (batch, *shape): each sample's share of the true gradient


def alike(a: Array | None, b: Array | None) -> bool:
    """Whether two arrays agree to the accuracy a pattern needs to be named."""
    if a is None or b is None or a.shape != b.shape or a.size == 0:
        return False
    scale = max(np.abs(a).max(), np.abs(b).max())
    return bool(scale > 0 and np.abs(a - b).max() <= 1e-6 * scale)


# -- patterns --------------------------------------------------------------------------------------
def likely_cause(k: float, e: Evidence) -> str:
    """The likely reason for a constant factor, in words."""
    k = abs(k)

    def close(value: float) -> bool:
        return value > 0 and abs(value - 1) > 1e-9 and abs(k / value - 1) < 1e-4

    products: dict[int, str] = {e.batch: f"the batch size (B = {e.batch})"} if e.batch else {}
    for axis, n in enumerate(e.hand.shape):
        products.setdefault(n, f"the length of axis {axis} ({n})")
    products.setdefault(e.hand.size, f"the number of entries ({e.hand.size})")
    for shape in e.lengths:
        for count in range(1, len(shape) + 1):
            for axes in itertools.combinations(shape, count):
                n = int(np.prod(axes))
                products.setdefault(n, f"{' x '.join(map(str, axes))} = {n} of shape {shape}")
    for n, words in products.items():
        if n > 1 and close(n):
            return f": {words}, so a mean's 1/{n} is missing"
        if n > 1 and close(1 / n):
            return f": one over {words}, so a mean stands for a sum"
    if close(2) or close(0.5):
        return ": a factor of 2 " + ("too many" if k > 1 else "is missing")
    for n, words in products.items():
        if n > 2 and (close((n - 1) / n) or close(n / (n - 1))):
            return f": (n - 1)/n or its inverse with n {words}: n and n - 1 (ddof) are mixed up"
        if n > 1 and (close(n**0.5) or close(n**-0.5)):
            return f": the square root of {words}, or its inverse"
    return ""


def by_factor(e: Evidence) -> Kind | None:
    """hand = k * true with one k."""
    g, t = e.hand[e.visited], e.true[e.visited]
    if not np.any(t):
        return None
    if not np.any(g):
        return Kind("zero", "the gradient is zero everywhere: it was never computed, or lost")
    strong = np.abs(t) > 1e-9 * np.abs(t).max()
    k = float(g @ t / (t @ t))
    many = strong.sum() > 1 or e.hand.size == 1
    shift = abs(k - 1) * np.abs(t).max()
    fits = np.abs(g - k * t).max() <= max(1e-9 * np.abs(g).max(), tol("alike") * shift)
    few = e.wrong[e.visited].sum() < max(1, 0.5 * strong.sum())
    if not many or not fits or k == 1 or few:
        return None
    if abs(k + 1) < 1e-6:
        return Kind("sign", "the sign is flipped (-1x the true gradient)", -1.0)
    size = f"{k:.6g}" if abs(abs(k) - 1) > 1e-3 else f"{k:.13g}"
    text = f"a constant factor {size}x the true gradient{likely_cause(k, e)}"
    return Kind("factor", text + " and the sign flipped" * (k < 0), k)


def by_place(e: Evidence) -> Kind | None:
    """The right values, or another tensor's, in the wrong places."""
    hand, true, axes = e.hand, e.true, range(e.hand.ndim)
    for a, b in itertools.combinations(axes, 2):
        if alike(hand, np.swapaxes(true, a, b)):
            text = f"it is the transposed true gradient (axes {a} and {b} swapped)"
            return Kind("transposed", text)
    if hand.ndim > 1 and alike(hand, true.T.reshape(hand.shape)):
        return Kind("transposed", "it is the transposed true gradient, reshaped")
    for name, other in e.others.items():
        if alike(hand, other):
            return Kind("swapped", f"it is the true gradient of {name}: two gradients are swapped")
    if hand.size < 3 or e.wrong.sum() < 2:
        return None
    moved = [(np.flip(true, a), f"it is the true gradient flipped along axis {a}") for a in axes]
    moved += [
        (np.roll(true, step, a), f"it is the true gradient shifted by {step} along axis {a}")
        for a in axes
        for step in (1, -1)
    ]
    moved.append((np.flip(true), "it is the true gradient flipped along every axis"))
    for other, text in moved:
        if alike(hand, other):
            return Kind("permuted", text)
    varied = np.ptp(true) > 1e-6 * np.abs(true).max()
    if varied and alike(np.sort(hand, None), np.sort(true, None)):
        text = "the right values stand in the wrong places (an axis or an index is mixed up)"
        return Kind("permuted", text)
    return None


def by_upstream(e: Evidence) -> Kind | None:
    """The gradient for another upstream."""
    if alike(e.hand, e.ones):
        text = "the upstream is ignored: it is the gradient for an upstream of 1"
        return Kind("upstream-ignored", text)
    if alike(e.hand, e.mean):
        return Kind("upstream-ignored", "the upstream is replaced by its mean over all outputs")
    return None


def by_samples(e: Evidence) -> Kind | None:
    """Only some samples' shares arrived."""
    if e.samples is None or len(e.samples) < 2:
        return None
    for b, share in enumerate(e.samples):
        if alike(e.hand, share):
            text = f"the sum over the batch is missing: it is sample {b}'s share alone"
            return Kind("missing-batch-sum", text)
        if alike(e.hand, e.true - share):
            return Kind("missing-sample", f"sample {b}'s share is missing")
    hand, shares = e.hand[e.wrong], e.samples[:, e.wrong]
    scale = np.abs(shares).max() or 1.0
    if ((np.abs(shares - hand) <= 1e-6 * scale) & (shares != 0)).any(axis=0).all():
        text = "each wrong entry holds one sample's share: overwritten where it must be added up"
        return Kind("overwritten", text)
    return None


def by_rounding(e: Evidence) -> Kind | None:
    """float32 accuracy, and no pattern that rounding never has."""
    rest = e.hand - e.true
    longer = [axis for axis in range(rest.ndim) if rest.shape[axis] > 1]
    level = any(np.ptp(rest, axis=a).max() <= 1e-3 * np.abs(rest).max() for a in longer)
    if e.visited.all() and level:
        return None
    g, t = e.hand[e.visited], e.true[e.visited]
    error, unit = np.abs(g - t), EPS32 * np.abs(t).max()
    if not 1e-3 * unit <= error.max() <= 2 * unit or e.wrong.sum() <= 1:
        return None
    text = "it has float32 accuracy only: "
    if np.array_equal(g.astype(np.float32).astype(np.float64), g):
        return Kind("precision", text + "rounded to float32 on the way")
    k = float((g - t) @ t / (t @ t))
    patterned = np.abs(g - t - k * t).max() <= 0.1 * error.max()
    if e.wrong.mean() > 0.5 and not patterned:
        return Kind("precision", text + "something is rounded to float32 on the way")
    return None


def by_ratio(e: Evidence) -> Kind | None:
    """A factor that is one of the inputs, or constant along an axis."""
    usable = np.abs(e.true) > 1e-9 * np.abs(e.true).max()
    if e.hand.ndim == 0 or usable.sum() < 3 or not e.wrong[usable].mean() > 0.5:
        return None
    for name, value in e.inputs.items():
        try:
            wide = np.broadcast_to(value, e.hand.shape)
        except ValueError:
            continue
        if np.ptp(wide) > 0 and alike(e.hand * wide, e.true):
            return Kind("dropped-factor", f"the factor {name} is missing")
        if np.ptp(wide) > 0 and alike(e.hand, e.true * wide):
            return Kind("extra-factor", f"the factor {name} is there once too often")
    for axis in range(e.hand.ndim):
        along = tuple(i for i in range(e.hand.ndim) if i != axis)
        if not along or e.hand.shape[axis] == 1 or e.hand.size == e.hand.shape[axis]:
            continue
        ratio = (e.hand * e.true).sum(along, keepdims=True) / (e.true**2).sum(along, keepdims=True)
        if np.isfinite(ratio).all() and alike(e.hand, ratio * e.true):
            return Kind("factor", f"a factor that depends on axis {axis} only")
    return None


def by_few(e: Evidence) -> Kind | None:
    """Only some entries are wrong."""
    count, seen = int(e.wrong.sum()), int(e.visited.sum())
    if count == 1 and seen > 1:
        return Kind("one-entry", f"only this entry is wrong (1 of {seen} compared)")
    places = np.argwhere(e.wrong)
    for axis in range(e.hand.ndim):
        if e.hand.shape[axis] > 1 and count > 1 and len(set(places[:, axis])) == 1:
            text = f"only entries with index {places[0, axis]} on axis {axis} are wrong"
            return Kind("some-entries", f"{text} ({count} of {seen} compared)")
    if count <= 0.5 * seen:
        return Kind("some-entries", f"only some entries are wrong ({count} of {seen} compared)")
    return None


def by_term(e: Evidence) -> Kind | None:
    """What is missing is constant along an axis, or follows an input: a dropped term."""
    rest = e.true - e.hand
    if e.hand.size < 3:
        return None
    for axis in range(e.hand.ndim):
        level = np.ptp(rest, axis=axis).max() <= 1e-6 * np.abs(rest).max()
        if e.hand.shape[axis] > 1 and level:
            text = f"a term constant along axis {axis} is missing or wrong (a mean or sum over it)"
            return Kind("dropped-term", text)
    for name, value in e.inputs.items():
        if value.shape != e.hand.shape or not np.any(value):
            continue
        if alike(rest, float((rest * value).sum() / (value**2).sum()) * value):
            return Kind("dropped-term", f"a term proportional to {name} is missing or wrong")
    return None


def by_small_term(e: Evidence) -> Kind | None:
    """A dropped term far smaller than the gradient: its own pattern tells it from rounding."""
    small = np.abs(e.hand - e.true).max() <= 1e-4 * np.abs(e.true).max()
    return by_term(e) if small and e.wrong.mean() > 0.5 else None


# (pattern, needs every entry, fits an error far smaller than the gradient)
NAMERS: tuple[tuple[Callable[[Evidence], Kind | None], bool, bool], ...] = (
    (by_upstream, True, False), (by_factor, False, True), (by_place, True, False),
    (by_small_term, True, True), (by_rounding, False, True), (by_samples, True, False),
    (by_ratio, True, False), (by_few, False, True), (by_term, True, False),
)  # fmt: skip


def kind_of_fault(e: Evidence) -> Kind:
    """The first pattern that fits; 'wrong' when none does."""
    with np.errstate(all="ignore"):
        g, t = e.hand[e.visited], e.true[e.visited]
        # An error this small fits any pattern of the true values.
        small = np.abs(g - t).max() <= 1e-4 * np.abs(t).max()
        if np.isfinite(e.hand).all() and np.isfinite(t).all():
            for namer, whole, fits_small in NAMERS:
                if (small and not fits_small) or (whole and not e.visited.all()):
                    continue
                found = namer(e)
                if found is not None:
                    return found
    share = f"{int(e.wrong.sum())} of {int(e.visited.sum())} compared entries are wrong"
    return Kind("wrong", f"{share}: a term or factor is missing or wrong")


# -- the line --------------------------------------------------------------------------------------


def evidence(trial: Trial, others: dict[str, Array], batch: int | None) -> Evidence:
    """Everything that is known of one wrong tensor."""
    shape, job = trial.leaf.value.shape, trial.probe.job
    full = np.zeros(trial.leaf.value.size)
    visited, bad = np.zeros(full.size, dtype=bool), np.zeros(full.size, dtype=bool)
    full[trial.entries], visited[trial.entries], bad[trial.entries] = (
        trial.true, True, trial.wrong)  # fmt: skip
    ones = mean = shares = None
    if trial.columns is not None and trial.complete and not trial.reason:
        dy = trial.probe.dy
        ones = trial.columns.sum(axis=0).reshape(shape)
        mean = (np.full_like(dy, dy.mean()) @ trial.columns).reshape(shape)
        masks = sample_masks(trial, batch)
        if masks is not None and len(masks) * full.size <= 2_000_000:
            shares = ((masks * dy) @ trial.columns).reshape(len(masks), *shape)
    inputs = {n: np.asarray(v, np.float64) for n, v in job.flat if kind_of(v) == "float"}
    lengths = tuple(s for s in (*job.y_shapes, *(v.shape for v in inputs.values())) if len(s) <= 5)
    others = {n: g for n, g in others.items() if n != trial.leaf.name}
    arrays = (trial.hand, full.reshape(shape), bad.reshape(shape), visited.reshape(shape))
    return Evidence(*arrays, batch, lengths, others, inputs, ones, mean, shares)


def make_fault(trial: Trial, others: dict[str, Array], batch: int | None) -> Fault:
    """One line: kind, tensor, index, sample, both values."""
    kind, row = kind_of_fault(evidence(trial, others, batch)), trial.row
    sample, said = blame_sample(trial, worst_of(trial), batch)
    if said.startswith("; largest") and kind.word not in ("wrong", "one-entry", "some-entries"):
        sample, said = None, ""  # the cause is named already
    place = "worst at" if trial.complete else "worst of those compared at"
    text = (
        f"the gradient of {row.tensor} is wrong: {kind.text}; {place} {row.tensor}"
        f"{where(row.index)}: hand-written {row.hand:.10g}, true {row.true:.10g} by {row.oracle}"
        f"{said}"
    )
    return Fault(kind.word, text, row.tensor, row.index, sample, row.hand, row.true, kind.factor)
