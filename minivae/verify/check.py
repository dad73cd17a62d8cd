"""`check`: is this hand-written backward pass right? The procedure, from top to bottom."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array, copy, leaves
from minivae.verify import contract, naming, oracles
from minivae.verify.contract import fitting, gradients
from minivae.verify.derivatives import Slope, taylor_rate
from minivae.verify.oracles import Probe, Trial, tol
from minivae.verify.passes import (
    EPS32,
    EPS64,
    Clock,
    Pass,
    eps_of,
    kind_of,
    one_line,
    quiet,
    unpack,
    vector,
)  # fmt: skip
from minivae.verify.report import Fault, Report, Row
from minivae.verify.strategies import input_faults, point_notes, read
from minivae.verify.suspects import (
    MOST_EXAMINED,
    Hands,
    beside,
    float32_faults,
    has_kinks,
    is_rounding,
    noises,
    on_kinks,
    together,
    worst_and_random,
)  # fmt: skip


def check(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Any,
    *,
    name: str | None = None,
    names: Sequence[str] | None = None,
    wrt: Sequence[str] | None = None,
    seed: int = 0,
    out_shape: tuple[int, ...] | None = None,
    allow_views: bool = False,
    seconds: float = 5.0,
    reference: Callable[..., Any] | None = None,
) -> Report:
    """Compare a backward pass with its forward, at one point, by four independent votes.

    forward(*inputs) -> (y, cache) and backward(dy, cache) -> gradients, one per float input, in the
    order of the inputs. Inputs, outputs and gradients may be nested dicts, lists, tuples and named
    tuples of arrays; integer arrays (labels, indices) need no gradient. A dict of inputs whose keys
    are forward's parameters is passed by name.

    `names` names the inputs (forward's parameter names otherwise). `wrt` limits the check to some
    of them; the others are constants. `out_shape` states the output's shape. `allow_views` leaves
    out the notes on gradients that are views. `seconds` bounds the whole call: nothing is begun
    that does not fit, by the measured cost of a call, but forward, backward and one probe are
    always run; what is left unvisited is reported, and never called wrong. `reference` is the same
    forward in float64, for one that computes in float32 only.
    Never raises for what it is handed: everything wrong is in the report.
    Raises TypeError or ValueError for a wrong use of `names` and `wrt` only.
    """
    clock = Clock(seconds)
    forward, args, labels = read(forward, inputs, names)
    report = Report(str(name or getattr(forward, "__name__", "pass")))
    with quiet():
        job = Pass(forward, backward, args, labels, [wrt] if isinstance(wrt, str) else wrt, clock)
        report.faults += input_faults(job)
        if not report.faults:
            examine(job, report, np.random.default_rng(seed), out_shape, reference)
    if allow_views:
        report.notes = [note for note in report.notes if " is a view of " not in note]
    for row in report.rows:
        row.op = report.name
    return report


def examine(
    job: Pass,
    report: Report,
    rng: np.random.Generator,
    out_shape: tuple[int, ...] | None,
    reference: Callable[..., Any] | None,
) -> None:
    """The checks in order of what they need; stops where the next would make no sense."""
    faults, first_run = contract.forward_faults(job, out_shape)
    report.faults += faults
    if any(f.kind != "mutates" for f in faults):
        return
    dy = upstream(job, rng)
    pieces, live, faults, notes = contract.backward_in_either_order(job, dy, first_run)
    report.faults += faults
    report.notes += notes
    if pieces is None or any(f.kind in ("error", "scalar") for f in faults):
        return
    native = fitting(job, pieces)
    report.faults += contract.linearity_faults(job, dy, native)
    report.faults += contract.overwritten(job, live, pieces)
    report.notes += point_notes(job)
    wide, hands = widen(job, dy, native, report, reference)
    if wide is not None:
        vote(job, wide, dy, native, hands, report, rng)


def upstream(job: Pass, rng: np.random.Generator) -> Array:
    """An upstream gradient: random signs, no two moduli equal, none 1; numbers float32 can hold, or
    float16 where y is."""
    dy = rng.choice([-1.0, 1.0], job.y0.size) * rng.uniform(0.5, 1.5, job.y0.size)
    return np.asarray(dy.astype(np.float16 if job.y_eps > EPS32 else np.float32).astype(np.float64))


def widen(
    job: Pass, dy: Array, native: Hands, report: Report, reference: Callable[..., Any] | None
) -> tuple[Pass | None, Hands]:
    """The pass in float64, where its source (or `reference`) takes float64, and its gradients
    there; None where nothing can be judged."""
    if reference is None and all(eps_of(leaf.value) == EPS64 for leaf in job.leaves):
        return job, native
    wide, gap = with_reference(job, reference) if reference else job.widened(), np.inf
    try:
        wide.adopt(copy(unpack(wide.run(wide.base))[0]))
        hands = gradients(wide, dy)
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
        given = zip([v for _, v in leaves(args)], job.base, strict=True)
        native = [np.asarray(v, dtype=np.asarray(b).dtype)[()] if kind_of(b) == "float" else b
                  for v, b in given]  # fmt: skip
        return job.backward(job.upstream(vector(dy)), job.run(native)[1])

    wide = job.widened(forward)
    wide.backward = backward
    return wide


def vote(
    job: Pass,
    wide: Pass,
    dy: Array,
    native: Hands,
    hands: Hands,
    report: Report,
    rng: np.random.Generator,
) -> None:
    """One trial for each tensor whose gradient fits and is finite; then all together."""
    probe = Probe(wide, dy, rng)
    eps = [EPS32 if eps_of(x.value) > EPS64 or wide.y_eps > EPS64 else EPS64 for x in job.leaves]
    noise = functools.cache(lambda: noises(wide, dy, hands, rng, max(eps)))
    found: list[tuple[Trial, Row, Array]] = []
    for i, leaf in enumerate(wide.leaves):
        hand, dtype = hands[i], str(job.leaves[i].value.dtype)
        if hand is None or not np.isfinite(hand).all() or native[i] is None:
            verdict = "no gradient" if native[i] is None else "not finite"
            report.rows.append(Row("", leaf.name, leaf.value.shape, dtype, verdict=verdict))
            if not any(f.tensor in (leaf.name, "") for f in report.faults):
                text = f"backward gave no gradient of {leaf.name}"
                report.faults.append(Fault("none", text, leaf.name))
            continue
        share = max(0.0, 0.6 * job.clock.left()) / (len(wide.leaves) - i)
        trial = Trial(probe, leaf, i, hand, lambda i=i: noise()[i], eps[i], share)  # type: ignore[misc]
        wrong, slope, delta = judge(trial)
        found.append((trial, make_row(trial, slope, delta, wrong, dtype), wrong))
        report.rows.append(found[-1][1])
    name_faults(found, report)
    if found and not report.faults and wide is not job and wide.backward is job.backward:
        for trial, row, _ in found:
            report.faults += float32_faults(job, trial, native[trial.place], row, dy)
    report.notes += [note for trial, _, _ in found for note in naming.trial_notes(trial)]


# -- one tensor ------------------------------------------------------------------------------------
def judge(trial: Trial) -> tuple[Array, Slope, Array]:
    """(which visited entries are wrong, a slope by differences, the direction it is along)."""
    probe, leaf, clock = trial.probe, trial.leaf, trial.probe.clock
    trial.reason = probe.complex_reason(leaf)
    delta = probe.signs(leaf.value.shape) * probe.scale(leaf)
    slope = Slope(np.nan, np.inf, np.nan, np.nan, False, np.nan)
    if trial.reason or clock.fits(forward=20):
        slope = probe.slope(probe.line(leaf, delta), leaf)
    trial.near = slope.step if np.isfinite(slope.step) else None
    unsure = bool(probe.seen) and not trial.reliable(slope, 0.0)
    taken = not trial.reason and np.isfinite(slope.value)
    if taken and (unsure or contradicted(trial, slope, delta)):
        trial.reason = not_analytic(trial)
    oracles.choose_entries(trial)
    here = (probe, trial.hand)
    failing = None if trial.complete else oracles.failing_direction(trial, here)
    wrong = compare(trial)
    if failing is not None and not wrong.any():
        wrong = search(trial, wrong, failing)
    if trial.complete:
        sure = oracles.strict_tolerance(trial)
        trial.seen = float(np.median(sure)) / trial.biggest if trial.biggest and sure.size else 0.0
    return wrong, slope, delta


def not_analytic(trial: Trial) -> str:
    """Why the complex step cannot be believed, with the calls seen to lose the imaginary part."""
    calls = ", ".join(sorted(trial.probe.seen)) or "a call that loses the imaginary part"
    text = "the complex step disagrees with converged differences: forward is not analytic"
    return f"{text} ({calls})"


def contradicted(trial: Trial, slope: Slope, delta: Array) -> bool:
    """Whether converged differences along a direction contradict the complex step."""
    pushed = float(trial.probe.dy @ trial.probe.push({trial.leaf.place: delta}))
    scale = max(abs(pushed), abs(slope.value), float(np.abs(trial.hand * delta).sum()))
    if not np.isfinite(pushed) or not trial.reliable(slope, scale):
        return False
    near = 8 * slope.error + 10 * trial.difference_tolerance * scale
    return not abs(pushed - slope.value) <= near


def search(trial: Trial, wrong: Array, failing: Array) -> Array:
    """Follows a probe that failed to its entry, and compares that one too; where the point lies on
    kinks, only if a probe beside them fails as well."""
    point: oracles.Point = (trial.probe, trial.hand)
    if not trial.reason and has_kinks(trial):
        other = beside(trial, np.zeros(trial.hand.shape), np.random.default_rng(3))
        found = oracles.failing_direction(trial, other) if other else None
        if other is None or found is None:
            return wrong
        point, failing = other, found
    entry = oracles.locate(trial, point, failing)
    if entry in trial.entries:
        return wrong
    trial.entries = np.union1d(trial.entries, [entry])
    return compare(trial)


def compare(trial: Trial) -> Array:
    """Which of the visited entries are wrong: not those that rounding explains, that sit on a kink,
    or whose oracle is wrong."""
    oracles.fill(trial)
    strict, clock = oracles.strict_tolerance(trial), trial.probe.clock
    wrong = np.asarray(~(np.abs(trial.g - trial.true) <= strict))
    if not wrong.any():
        return wrong
    error = np.where(np.isfinite(trial.true), np.abs(trial.g - trial.true), np.inf)
    small = wrong & (error <= oracles.rounding_tolerance(trial))
    if small.any() and clock.left() < 0:
        wrong = wrong & ~small  # nobody has looked at them
    elif small.any():
        picks = worst_and_random(trial, small, error, 12 if clock.fits(complex=200) else 3)
        refuted = picks[~is_rounding(trial, picks, strict)]
        if len(refuted) < 0.75 * len(picks):
            wrong = wrong & ~small
        wrong[refuted] = True
    if wrong.any() and not trial.reason:
        wrong = doubt_the_oracle(trial, wrong, error)
    if wrong.any() and not trial.reason and has_kinks(trial):
        wrong = on_kinks(trial, wrong, error, strict)
    return wrong


def doubt_the_oracle(trial: Trial, wrong: Array, error: Array) -> Array:
    """Asks differences about a few suspects: where they side with the hand-written gradient, the
    complex step is given up for this tensor."""
    count = 9 if trial.probe.clock.fits(complex=200) else 3
    for i in worst_and_random(trial, wrong, error, count):
        slope = trial.probe.entry_slope(trial.leaf, int(trial.entries[i]), trial.near)
        hand, oracle = float(trial.g[i]), float(trial.true[i])
        scale = max(abs(hand), abs(oracle) if np.isfinite(oracle) else 0.0)
        near = 4 * slope.error + 10 * trial.difference_tolerance * scale
        if slope.kink or not trial.reliable(slope, scale) or not np.isfinite(slope.value):
            continue
        if abs(oracle - slope.value) <= near:
            continue
        trial.reason = not_analytic(trial)
        if len(trial.entries) > MOST_EXAMINED * 16:
            keep = worst_and_random(trial, wrong, error, MOST_EXAMINED)
            trial.entries = trial.entries[keep]
        oracles.fill(trial)
        trial.columns = None
        return np.asarray(~(np.abs(trial.g - trial.true) <= oracles.rounding_tolerance(trial)))
    return wrong


# -- what comes out --------------------------------------------------------------------------------
def name_faults(found: list[tuple[Trial, Row, Array]], report: Report) -> None:
    """One fault for each wrong tensor; if none is, one where tensors are wrong together."""
    trials = [trial for trial, _, _ in found]
    if any(wrong.any() for _, _, wrong in found):
        batch = naming.batch_of(trials[0].probe.job)
        truths = {t.leaf.name: t.true.reshape(t.leaf.value.shape) for t in trials if t.complete}
        report.faults += [
            naming.make_fault(trial, row, wrong, truths, batch)
            for trial, row, wrong in found
            if wrong.any()
        ]
        return
    exact = all(t.complete and not t.reason for t in trials)
    kinks = any(t.kinks for t in trials)
    late = trials and trials[0].probe.clock.left() < 0 and not kinks
    if trials and not late and (exact or kinks or not all(t.complete for t in trials)):
        job = trials[0].probe.job
        tied = together(trials, lambda dy: [gradients(job, dy)[t.place] for t in trials])
        if tied is not None:
            row = next(row for trial, row, _ in found if trial is tied[0])
            row.verdict = "wrong"
            report.faults.append(naming.tie_fault(*tied, trials, row))


def make_row(trial: Trial, slope: Slope, delta: Array, wrong: Array, dtype: str) -> Row:
    """The four votes as numbers."""
    leaf, probe, safe = trial.leaf, trial.probe, not trial.reason
    row = Row("", leaf.name, tuple(leaf.value.shape), dtype, size=leaf.value.size)
    row.oracle, row.reason = "complex step" if safe else "differences", trial.reason
    row.checked, row.visible = len(trial.entries), trial.seen
    row.verdict = "wrong" if wrong.any() else "right"
    error, truth = np.abs(trial.g - trial.true), np.abs(trial.true)
    row.worst_entry = float(np.max(error / np.maximum(truth, 1e-300), initial=0, where=truth != 0))
    if safe:
        row.complex_step = ratio(float(error.max(initial=0)), float(truth.max(initial=0)))
    if len(trial.entries):
        worst = naming.worst_of(trial, wrong)
        row.index, row.hand, row.true = (
            trial.index(worst), float(trial.g[worst]), float(trial.true[worst]))  # fmt: skip
        row.ulps = abs(row.hand - row.true) / float(np.spacing(max(abs(row.true), 1e-300)))
    inner, size = float((trial.hand * delta).sum()), float(np.abs(trial.hand * delta).sum())
    scale = max(size, abs(slope.value))
    roomy = probe.clock.fits(forward=30)
    if trial.reliable(slope, scale) and not slope.kink:
        row.finite_difference = ratio(abs(inner - slope.value), scale)
        if roomy:
            row.taylor = taylor_rate(probe.line(leaf, delta), inner, probe.job.y_eps)
    if roomy:
        row.adjoint = probe.adjoint(leaf, trial.place, delta, safe)
    return row


def ratio(top: float, bottom: float) -> float:
    """top / bottom; 0 for nothing of nothing."""
    return top / bottom if bottom > 0 else (0.0 if top == 0 else np.inf)
