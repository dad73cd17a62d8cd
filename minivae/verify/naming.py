"""Names what is wrong from the pattern of wrong numbers: a flipped sign, a factor, a transposition,
a forgotten sum, …; and says it in one line, with the index, the sample and both values."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from minivae.types import Array, kind_of
from minivae.verify.derivatives import tol
from minivae.verify.oracles import Trial
from minivae.verify.passes import EPS32
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


# -- other numbers than the true ones --------------------------------------------------------------
Numbers = tuple[str, str, Array | None]  # a word, a sentence, and the gradient that it means


def other_upstreams(e: Evidence) -> Iterator[Numbers]:
    """The gradient for another upstream."""
    text = "the upstream is ignored: it is the gradient for an upstream of 1"
    yield "upstream-ignored", text, e.ones
    yield "upstream-ignored", "the upstream is replaced by its mean over all outputs", e.mean


def other_places(e: Evidence) -> Iterator[Numbers]:
    """The right values, or another tensor's, in the wrong places."""
    true, axes = e.true, range(e.true.ndim)
    text = "it is the transposed true gradient"
    for a, b in itertools.combinations(axes, 2):
        yield "transposed", f"{text} (axes {a} and {b} swapped)", np.swapaxes(true, a, b)
    if true.ndim > 1:
        yield "transposed", f"{text}, reshaped", true.T.reshape(true.shape)
    for name, other in e.others.items():
        yield "swapped", f"it is the true gradient of {name}: two gradients are swapped", other
    if true.size < 3 or e.wrong.sum() < 2:
        return
    text = "it is the true gradient"
    for a in axes:
        yield "permuted", f"{text} flipped along axis {a}", np.flip(true, a)
    for a, step in itertools.product(axes, (1, -1)):
        yield "permuted", f"{text} shifted by {step} along axis {a}", np.roll(true, step, a)
    yield "permuted", f"{text} flipped along every axis", np.flip(true)
    order, varied = np.argsort(e.hand, None), np.ptp(true) > 1e-6 * np.abs(true).max()
    sorted_like_hand = np.empty(true.size)
    sorted_like_hand[order] = np.sort(true, None)
    text = "the right values stand in the wrong places (an axis or an index is mixed up)"
    yield "permuted", text, sorted_like_hand.reshape(true.shape) if varied else None


def other_sums(e: Evidence) -> Iterator[Numbers]:
    """Only some samples' shares."""
    if e.samples is None or len(e.samples) < 2:
        return
    for b, share in enumerate(e.samples):
        text = f"the sum over the batch is missing: it is sample {b}'s share alone"
        yield "missing-batch-sum", text, share
        yield "missing-sample", f"sample {b}'s share is missing", e.true - share
    text = "each wrong entry holds one sample's share: overwritten where it must be added up"
    nearest = np.abs(np.where(e.samples != 0, e.samples, np.inf) - e.hand).argmin(axis=0)
    share = np.take_along_axis(e.samples, nearest[None], axis=0)[0]
    yield "overwritten", text, np.where(e.wrong, share, e.hand)


def other_factors(e: Evidence) -> Iterator[Numbers]:
    """A factor that is one of the inputs, or constant along an axis."""
    true, usable = e.true, np.abs(e.true) > 1e-9 * np.abs(e.true).max()
    if true.ndim == 0 or usable.sum() < 3 or not e.wrong[usable].mean() > 0.5:
        return
    for name, value in e.inputs.items():
        try:
            wide = np.broadcast_to(value, true.shape)
        except ValueError:
            continue
        if np.ptp(wide) > 0:
            without = np.where(wide == 0, e.hand, true / wide)
            yield "dropped-factor", f"the factor {name} is missing", without
            yield "extra-factor", f"the factor {name} is there once too often", true * wide
    for axis in range(true.ndim):
        along = tuple(i for i in range(true.ndim) if i != axis)
        if along and true.shape[axis] not in (1, true.size):
            ratio = (e.hand * true).sum(along, keepdims=True) / (true**2).sum(along, keepdims=True)
            yield "factor", f"a factor that depends on axis {axis} only", ratio * true


# -- patterns --------------------------------------------------------------------------------------
def by_numbers(e: Evidence, candidates: Iterable[Numbers]) -> Kind | None:
    """The first of the candidates that the hand-written gradient is."""
    if not e.visited.all():
        return None
    return next(
        (Kind(word, text) for word, text, other in candidates if alike(e.hand, other)), None
    )


def likely_cause(k: float, e: Evidence) -> str:
    """The likely reason for a constant factor, in words."""
    k = abs(k)

    def close(value: float) -> bool:
        return abs(value - 1) > 1e-9 and abs(k / value - 1) < 1e-4

    counts: dict[int, str] = {e.batch: f"the batch size (B = {e.batch})"} if e.batch else {}
    for axis, n in enumerate(e.hand.shape):
        counts.setdefault(n, f"the length of axis {axis} ({n})")
    counts.setdefault(e.hand.size, f"the number of entries ({e.hand.size})")
    for shape in e.lengths:
        for count in range(1, len(shape) + 1):
            for axes in itertools.combinations(shape, count):
                n = int(np.prod(axes))
                counts.setdefault(n, f"{' x '.join(map(str, axes))} = {n} of shape {shape}")
    several = {n: words for n, words in counts.items() if n > 1}
    for n, words in several.items():
        if close(n):
            return f": {words}, so a mean's 1/{n} is missing"
        if close(1 / n):
            return f": one over {words}, so a mean stands for a sum"
    if close(2) or close(0.5):
        return ": a factor of 2 " + ("too many" if k > 1 else "is missing")
    for n, words in several.items():
        if n > 2 and (close((n - 1) / n) or close(n / (n - 1))):
            return f": (n - 1)/n or its inverse with n {words}: n and n - 1 (ddof) are mixed up"
        if close(n**0.5) or close(n**-0.5):
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


def by_few(e: Evidence) -> Kind | None:
    """Only some entries are wrong."""
    count, seen, places = int(e.wrong.sum()), int(e.visited.sum()), np.argwhere(e.wrong)
    if count == 1 and seen > 1:
        return Kind("one-entry", f"only this entry is wrong (1 of {seen} compared)")
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
    if e.hand.size < 3 or not e.visited.all() or not e.wrong.mean() > 0.5:
        return None
    for axis in range(e.hand.ndim):
        level = np.ptp(rest, axis=axis).max() <= 1e-6 * np.abs(rest).max()
        if e.hand.shape[axis] > 1 and level:
            text = f"a term constant along axis {axis} is missing or wrong (a mean or sum over it)"
            return Kind("dropped-term", text)
    for name, value in e.inputs.items():
        if value.shape == rest.shape and alike(
            rest, float((rest * value).sum() / (value**2).sum()) * value
        ):
            return Kind("dropped-term", f"a term proportional to {name} is missing or wrong")
    return None


def patterns(e: Evidence, small: bool) -> Iterator[Kind | None]:
    """What each pattern says, in order. An error far smaller than the gradient fits any pattern of
    the true values."""
    if not small:
        yield by_numbers(e, other_upstreams(e))
    yield by_factor(e)
    if small:
        yield by_term(e)
        yield by_rounding(e)
    else:
        yield by_numbers(e, itertools.chain(other_places(e), other_sums(e), other_factors(e)))
    yield by_few(e)
    yield by_term(e)


def kind_of_fault(e: Evidence) -> Kind:
    """The first pattern that fits; 'wrong' when none does."""
    g, t = e.hand[e.visited], e.true[e.visited]
    share = f"{int(e.wrong.sum())} of {int(e.visited.sum())} compared entries are wrong"
    unknown = Kind("wrong", f"{share}: a term or factor is missing or wrong")
    if not np.isfinite(e.hand).all() or not np.isfinite(t).all():
        return unknown
    with np.errstate(all="ignore"):
        found = patterns(e, small=np.abs(g - t).max() <= 1e-4 * np.abs(t).max())
        return next((kind for kind in found if kind is not None), unknown)


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
