"""What is said of a tensor: its votes and figures as numbers; and what is wrong, named from the
pattern of wrong numbers (a flipped sign, a factor, …), in one line with index, sample and both
values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minivae.types import EPS32, Array, kind_of
from minivae.types.differences import taylor_rate
from minivae.verify.oracles import Trial
from minivae.verify.report import Fault, where
from minivae.verify.strategies import gradients
from minivae.verify.suspects import strict_tolerance

Candidates = Iterator[tuple[Fault, Array | None]]  # the fault, where the gradient is this array


def fill_row(trial: Trial) -> None:
    """The two votes and two figures as numbers."""
    leaf, probe, slope, row = trial.leaf, trial.probe, trial.slope, trial.row
    row.oracle = "differences" if trial.reason else "complex step"
    row.reason, row.checked, row.visible = trial.reason, len(trial.entries), trial.seen
    unknown = trial.blank.any() or not (len(trial.entries) or np.isfinite(trial.seen))
    row.verdict = "wrong" if trial.wrong.any() else "not checked" if unknown else "right"
    error, truth = trial.error, np.abs(trial.true)
    row.worst_entry = float(np.max(error / np.maximum(truth, 1e-300), initial=0, where=truth != 0))
    if len(trial.entries):
        among = trial.wrong if trial.wrong.any() else ~trial.wrong
        i = int(np.argmax(np.where(among, error, -1.0)))
        row.index, row.hand, row.true = trial.index(i), float(trial.g[i]), float(trial.true[i])
        row.ulps = abs(row.hand - row.true) / float(np.spacing(max(abs(row.true), 1e-300)))
        row.complex_step = None if trial.reason else ratio(error.max(), truth.max())
    parts, roomy = trial.hand * trial.delta, probe.clock.fits(forward=30, backward=1, complex=1)
    inner, scale = float(parts.sum()), max(float(np.abs(parts).sum()), abs(slope.value))
    if trial.reliable(slope, scale) and not slope.kink:
        row.finite_difference = ratio(abs(inner - slope.value), scale)
        if roomy:
            row.taylor = taylor_rate(probe.line(leaf, trial.delta), inner, probe.job.y_eps)
    if roomy:
        row.adjoint = adjoint(trial)


def adjoint(trial: Trial) -> float | None:
    """|<v, J u> - <J^T v, u>| over the larger sum of moduli, for an upstream v of its own."""
    probe = trial.probe
    v = probe.signs(probe.job.y0.shape) * probe.rng.uniform(0.5, 1.5, probe.job.y0.shape)
    back = None if trial.reason else gradients(probe.job, v)[trial.place]
    left = v * (np.nan if back is None else probe.pushed(trial.leaf, trial.delta))
    if back is None or not np.isfinite(left).all():
        return None
    right = back * trial.delta
    return ratio(abs(left.sum() - right.sum()), max(np.abs(left).sum(), np.abs(right).sum()))


def ratio(top: float, bottom: float) -> float:
    """top / bottom; 0 for nothing of nothing."""
    return float(top / bottom) if bottom > 0 else (0.0 if top == 0 else math.inf)


class Evidence:
    """One wrong tensor, and what its gradient may have been mixed up with.

    Arrays have the tensor's shape; `true` is NaN where nothing was compared, so that no pattern of
    the whole array fits. `truths`: the tensors' true gradients; `batch`: length of the output's
    axis 0, where that is a batch.
    """

    def __init__(self, trial: Trial, truths: dict[str, Array], batch: int | None) -> None:
        job, shape = trial.probe.job, trial.hand.shape
        self.trial, self.hand, self.dy, self.batch = trial, trial.hand, trial.probe.dy, batch or 0
        self.true: Array = np.full(shape, np.nan)
        self.wrong: Array = np.zeros(shape, dtype=bool)
        self.true.flat[trial.entries], self.wrong.flat[trial.entries] = trial.true, trial.wrong
        strong = np.abs(trial.true) > 1e-9 * np.abs(trial.true).max()
        self.most = 2 * trial.wrong.sum() > strong.sum()  # whether most entries are wrong
        self.near = 1e-6 * trial.error.max() + strict_tolerance(trial)
        self.others = {name: true for name, true in truths.items() if name != trial.leaf.name}
        self.owner: Array | None = None  # the sample that each output belongs to
        if 2 <= self.batch <= 512 and all(shape[:1] == (batch,) for shape in job.y_shapes):
            owner = [np.repeat(np.arange(self.batch), math.prod(s[1:])) for s in job.y_shapes]
            self.owner = np.concatenate(owner)
        self.inputs = {n: np.asarray(v, np.float64) for n, v in job.flat if kind_of(v) == "float"}

    def fits(self, other: Array | None) -> bool:
        """Whether the hand-written gradient is this one rather than the true one."""
        if other is None or other.shape != self.true.shape:
            return False
        return bool(np.all(np.abs(self.trial.g - other.flat[self.trial.entries]) <= self.near))

    def true_for(self, dy: Array, of: Any = slice(None)) -> Array | None:
        """The true gradient for another upstream, of some outputs; None where the Jacobian is not
        known."""
        columns = self.trial.columns if self.trial.complete and not self.trial.reason else None
        return None if columns is None else (dy[of] @ columns[of]).reshape(self.true.shape)


# -- what the hand-written gradient may be instead of the true one ---------------------------------
def another_upstream(e: Evidence) -> Candidates:
    """The gradient for another upstream."""
    text = "the upstream is ignored: it is the gradient for an upstream of 1"
    yield Fault("upstream-ignored", text), e.true_for(np.ones_like(e.dy))
    text = "the upstream is replaced by its mean over all outputs"
    yield Fault("upstream-ignored", text), e.true_for(np.full_like(e.dy, e.dy.mean()))


def constant_factor(e: Evidence) -> Candidates:
    """k * true with one k."""
    text = "the gradient is zero everywhere: it was never computed, or lost"
    yield Fault("zero", text), 0 * e.hand
    k = float(e.trial.g @ e.trial.true / (e.trial.true @ e.trial.true))
    if abs(k + 1) < 1e-6:
        yield Fault("sign", "the sign is flipped (-1x the true gradient)", factor=-1.0), -e.true
    size = f"{k:.6g}" if abs(abs(k) - 1) > 1e-3 else f"{k:.13g}"
    text = f"a constant factor {size}x the true gradient{likely_cause(abs(k), e)}"
    yield Fault("factor", text + " and the sign flipped" * (k < 0), factor=k), k * e.true


def likely_cause(k: float, e: Evidence) -> str:
    """The likely reason for a constant factor, in words; "" where none is known."""
    counts = {e.batch: f"the batch size (B = {e.batch})"}  # what a mean may divide by
    for shape in (*e.trial.probe.job.y_shapes, *(v.shape for v in e.inputs.values())):
        for r in range(1, min(len(shape), 5) + 1):
            for part in itertools.combinations(shape[:5], r):
                words = f"the {' x '.join(map(str, part))} of shape {shape}"
                counts.setdefault(math.prod(part), words)
    means: list[tuple[float, str]] = []
    others = [(2.0, "a factor of 2 too many"), (0.5, "a factor of 2 is missing")]
    for n, what in counts.items():
        if n > 1:
            means += [(n, f"{what}, so a mean's 1/{n} is missing")]
            means += [(1 / n, f"one over {what}, so a mean stands for a sum")]
            text = f"(n - 1)/n or its inverse with n {what}: n and n - 1 (ddof) are mixed up"
            others += [((n - 1) / n, text), (n / (n - 1), text)]
            text = f"the square root of {what}, or its inverse"
            others += [(n**0.5, text), (n**-0.5, text)]
    return next((f": {text}" for value, text in means + others if abs(k / value - 1) < 1e-4), "")


def another_place(e: Evidence) -> Candidates:
    """The right values, or another tensor's, in the wrong places."""
    true, it = e.true, "it is the true gradient"
    for a, b in itertools.combinations(range(true.ndim), 2):
        text = f"{it} transposed (axes {a} and {b} swapped)"
        yield Fault("transposed", text), np.swapaxes(true, a, b)
    yield Fault("transposed", f"{it} transposed and reshaped"), true.T.reshape(true.shape)
    for name, other in e.others.items():
        yield Fault("swapped", f"{it} of {name}: two gradients are swapped"), other
    ranks = np.argsort(np.argsort(e.hand, None))
    text = "the right values stand in the wrong places (an axis or an index is mixed up)"
    yield Fault("permuted", text), np.sort(true, None)[ranks].reshape(true.shape)


def another_sum(e: Evidence) -> Candidates:
    """Only some samples' shares, or a wrong share of one."""
    if e.owner is None or e.true.size == 1 or e.true_for(e.dy) is None:
        return
    shares = np.array([e.true_for(e.dy, e.owner == b) for b in range(e.batch)])
    for b, share in enumerate(shares):
        text = f"the sum over the batch is missing: it is sample {b}'s share alone"
        yield Fault("missing-batch-sum", text, sample=b), share
        text = f"sample {b}'s share is missing"
        yield Fault("missing-sample", text, sample=b), e.true - share
        k = ((e.hand - e.true) * share).sum() / (share * share).sum()
        text = f"the error comes from sample {b} alone, whose share is {1 + k:.6g}x the true one"
        kind = "some-entries" if e.true.shape[:1] == (e.batch,) else "wrong"
        yield Fault(kind, text, sample=b), e.true + k * share
    nearest = np.abs(np.where(shares != 0, shares, np.inf) - e.hand).argmin(axis=0)
    share = np.take_along_axis(shares, nearest[None], axis=0)[0]
    text = "each wrong entry holds one sample's share: overwritten where it must be added up"
    yield Fault("overwritten", text), np.where(e.wrong, share, e.hand)


def another_factor(e: Evidence) -> Candidates:
    """A factor that is one of the inputs, or constant along an axis."""
    for name, value in e.inputs.items():
        try:
            wide = np.broadcast_to(value, e.true.shape)
        except ValueError:
            continue
        if 2 * np.count_nonzero(wide) > wide.size > 2:
            without = np.where(wide == 0, e.hand, e.true / wide)
            yield Fault("dropped-factor", f"the factor {name} is missing"), without
            text = f"the factor {name} is there once too often"
            yield Fault("extra-factor", text), e.true * wide
    for axis, length in enumerate(e.true.shape):
        along = tuple(i for i in range(e.true.ndim) if i != axis)
        if length not in (1, e.true.size):
            top, bottom = ((v * e.true).sum(along, keepdims=True) for v in (e.hand, e.true))
            text = f"a factor that depends on axis {axis} only"
            yield Fault("factor", text), top / bottom * e.true


def dropped_term(e: Evidence) -> Candidates:
    """The true one without a term that is constant along an axis, or follows an input."""
    rest = e.true - e.hand
    for axis, length in enumerate(rest.shape):
        if length > 1 and rest.size > 2:
            text = f"a term constant along axis {axis} is missing or wrong (a mean or sum over it)"
            yield Fault("dropped-term", text), e.true - rest.mean(axis, keepdims=True)
    for name, v in e.inputs.items():
        if v.shape == rest.shape and rest.size > 2:
            text = f"a term proportional to {name} is missing or wrong"
            yield Fault("dropped-term", text), e.true - (rest * v).sum() / (v * v).sum() * v


def float32_accuracy(e: Evidence) -> Candidates:
    """Errors as rounding to float32 makes them, not in proportion to the gradient."""
    g, t, error = e.trial.g, e.trial.true, e.trial.error
    unit = EPS32 * np.abs(t).max()
    if not 1e-3 * unit <= error.max() <= 2 * unit or e.wrong.sum() <= 1:
        return
    proportional = np.abs(g - t - (g - t) @ t / (t @ t) * t).max() <= 0.1 * error.max()
    if np.array_equal(g.astype(np.float32), g) or (e.most and not proportional):
        text = "it has float32 accuracy only: something is rounded to float32 on the way"
        yield Fault("precision", text), e.hand


def few_entries(e: Evidence) -> Candidates:
    """The true one but for some entries."""
    places, seen = np.argwhere(e.wrong), len(e.trial.entries)
    count, of = len(places), f"({len(places)} of {seen} compared)"
    same = [a for a, n in enumerate(e.wrong.shape) if n > 1 and np.ptp(places[:, a]) == 0]
    if count == 1 < seen:
        yield Fault("one-entry", f"only this entry is wrong {of}"), e.hand
    elif count > 1 and same:
        text = f"only entries with index {places[0, same[0]]} on axis {same[0]} are wrong {of}"
        yield Fault("some-entries", text), e.hand
    elif 2 * count <= seen:
        yield Fault("some-entries", f"only some entries are wrong {of}"), e.hand


def cause(e: Evidence) -> Fault:
    """Of the first candidate that the gradient is; 'wrong' where it is none of them."""
    share = f"{e.wrong.sum()} of {len(e.trial.entries)} compared entries are wrong"
    unknown = Fault("wrong", f"{share}: a term or factor is missing or wrong")
    patterns = [another_upstream, constant_factor, another_place, another_sum]
    patterns += [another_factor, dropped_term] if e.most else []
    patterns += [float32_accuracy, few_entries]
    found = (fault for pattern in patterns for fault, other in pattern(e) if e.fits(other))
    return next(found, unknown) if np.isfinite(e.trial.true).all() else unknown


# -- the line --------------------------------------------------------------------------------------
def make_fault(trial: Trial, truths: dict[str, Array], batch: int | None) -> Fault:
    """One line: cause, tensor, index, sample, both values."""
    e, row = Evidence(trial, truths, batch), trial.row
    fault, said = cause(e), ""
    if e.owner is not None and row.index and e.true.shape[0] == batch:
        fault.sample, said = row.index[0], f", sample {row.index[0]}"
    fault.tensor, fault.index, fault.hand, fault.true = row.tensor, row.index, row.hand, row.true
    place = "worst at" if trial.complete else "worst of those compared at"
    values = f"hand-written {row.hand:.10g}, true {row.true:.10g} by {row.oracle}{said}"
    fault.message = f"the gradient of {row.tensor} is wrong: {fault.message}; {place} "
    fault.message += f"{row.tensor}{where(row.index)}: {values}"
    return fault


def together_fault(
    trials: list[Trial], hand: float, true: float, tied: Trial | None = None
) -> Fault:
    """The line for gradients whose sum is wrong: at a tie, where each may be right by itself; or
    where time did not allow to see which is wrong."""
    names = " and ".join(", ".join(trial.leaf.name for trial in trials).rsplit(", ", 1))
    sums = f"the gradients add up to {hand:.8g}, the slope is {true:.8g}"
    if tied is None:
        which = "at least one gradient" if len(trials) > 1 else "the gradient"
        text = f"{which} of {names} is wrong: along random signs {sums}; more seconds tell where"
        return Fault("wrong", text, "" if len(trials) > 1 else names, hand=hand, true=true)
    index = tied.index(tied.kinks[0]) if tied.complete and tied.kinks else tied.row.index
    text = f"the gradients of {names} are wrong together at a tie ({tied.leaf.name}{where(index)})"
    text += f": as tied entries move as one, {sums}"
    return Fault("ties", text, tied.leaf.name, index, None, hand, true)


def unknown_fault(trial: Trial) -> Fault:
    """The line for a tensor of which some entries could not be judged at all."""
    name, blank, size = trial.leaf.name, trial.entries[trial.blank], trial.hand.size
    some = f" at {len(blank)} of {size:,} entries ({first_places(trial, blank)})" * bool(len(blank))
    text = f"nothing could be learnt of the gradient of {name}{some}: forward gives no numbers"
    return Fault("unknown", f"{text} beside this point; move it, or leave {name} out by wrt=", name)


def first_places(trial: Trial, flat: Sequence[int] | Array) -> str:
    """The first three of some entries, by their flat indices, in words."""
    few = [trial.leaf.name + where(np.unravel_index(k, trial.hand.shape)) for k in flat[:3]]
    return ", ".join(few) + ", …" * (len(flat) > 3)


def trial_notes(trial: Trial) -> list[str]:
    """What to know of one tensor's verdict: kinks, what was not visited, what could not be seen."""
    name, size, kinks = trial.leaf.name, trial.hand.size, trial.kinks
    notes: list[str] = []
    if kinks:
        lie = "entry lies on a kink" if len(kinks) == 1 else "entries lie on kinks"
        first = first_places(trial, kinks)
        notes.append(f"{len(kinks):,} {lie} ({first}): each has one of its subgradients")
    small = trial.entries[(np.abs(trial.true) < strict_tolerance(trial)) & (trial.true != 0)]
    if trial.row.verdict == "right" and len(small) and not trial.coarse:
        text = f"too small beside the largest to be judged: {len(small)} of {size:,} entries"
        notes.append(f"{name}: {text} ({first_places(trial, small)}); move the test point")
    if trial.reason:
        notes.append(f"{name}: judged by differences, because {trial.reason}")
    seen, count = f"{trial.seen:.1g} of the largest entry", len(trial.entries)
    if not trial.complete:
        visited = f"{count} of {size:,} entries visited ({count / size:.1%})"
        notes.append(f"{name}: {visited}; probes of all others see an error of {seen}")
    elif trial.seen > 1e-3:
        advice = "; reference= sees more" * trial.coarse
        notes.append(f"{name}: an error below {seen} cannot be seen{advice}")
    return notes
