"""`check`: is this hand-written backward pass right? The procedure, from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minivae.types import EPS32, EPS64, Array, Shape
from minivae.types.analytic import Analytic
from minivae.types.differences import Slope
from minivae.types.foreign import Clock, one_line, quiet
from minivae.verify import contract, naming, oracles, suspects
from minivae.verify.contract import widen
from minivae.verify.derivatives import Probe
from minivae.verify.oracles import Trial
from minivae.verify.passes import Function, Pass, Rng
from minivae.verify.report import Fault, Report, Row
from minivae.verify.strategies import Hands, batch_of, in_float64, input_faults, point_notes, read


def check(
    forward: Function,
    backward: Function,
    inputs: Any,
    *,
    name: str | None = None,
    names: Sequence[str] | None = None,
    wrt: Sequence[str] | None = None,
    seed: int = 0,
    out_shape: Shape | None = None,
    allow_views: bool = False,
    seconds: float = 5.0,
    reference: Function | None = None,
) -> Report:
    """Compare a backward pass with its forward, at one point, by complex steps and differences.

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
    Everything wrong with the pass is in the report, and what it raises is a line there. Raises
    TypeError or ValueError for a wrong use of `names`, `wrt`, `seconds` (not above 0) or `seed`,
    and for inputs nested without end; what is no Exception (SystemExit, say) is let through.
    """
    if not seconds > 0:
        raise ValueError(f"seconds is {seconds}: give a number above 0")
    clock, rng = Clock(seconds), np.random.default_rng(seed)
    forward, args, labels = read(forward, inputs, names)
    wrt = [wrt] if isinstance(wrt, str) else wrt
    report = Report(str(name or getattr(forward, "__name__", "pass")))
    with quiet():
        try:
            job = Pass(forward, backward, args, labels, wrt, clock)
        except RecursionError:
            raise ValueError("the inputs hold themselves, or are nested without end") from None
        report.faults += input_faults(job)
        if reference is not None or any(leaf.eps > EPS64 for leaf in job.leaves):
            clock.kept = (3, 1)  # forward and backward in float64 as well
        if not report.faults:
            try:
                examine(job, report, rng, out_shape, reference)
            except Exception as error:
                text = f"forward or backward raised {one_line(error)} when called again"
                report.faults.append(Fault("error", text))
    if allow_views:
        report.notes = [note for note in report.notes if " is a view of " not in note]
    return report


def examine(
    job: Pass, report: Report, rng: Rng, out_shape: Shape | None, reference: Function | None
) -> None:
    """The checks in order of what they need; stops where the next would make no sense."""
    faults, first_run = contract.forward_faults(job, out_shape)
    report.faults += faults
    if any(f.kind != "mutates" for f in faults):
        return
    dy = job.draw_upstream(rng)
    pieces, live, faults, notes = contract.backward_in_either_order(job, dy, first_run)
    report.faults += faults
    report.notes += notes
    if pieces is None or any(f.kind in ("error", "scalar") for f in faults):
        return
    native = in_float64(pieces)
    report.faults += contract.repetition_faults(job, dy, live, pieces)
    faults, notes = contract.second_forward(job, dy, native)
    report.faults += faults
    report.notes += notes + point_notes(job)
    wide, hands = widen(job, dy, native, report, reference)
    if wide is not None:
        vote(job, wide, dy, native, hands, report, rng)


def vote(
    job: Pass, wide: Pass, dy: Array, native: Hands, hands: Hands, report: Report, rng: Rng
) -> None:
    """One trial for each tensor whose gradient fits and is finite: a probe along a direction for
    each, then entries, where a probe failed first; then all together."""
    coarse = wide.y_eps > EPS64 or any(leaf.eps > EPS64 for leaf in job.leaves)
    probe = Probe(wide, dy, rng, hands, EPS32 if coarse else EPS64, wide.output_noise(rng))
    trials: list[Trial] = []
    for i, leaf in enumerate(wide.leaves):
        hand, dtype = hands[i], str(job.leaves[i].value.dtype)
        row = Row(report.name, leaf.name, leaf.value.shape, dtype, size=leaf.value.size)
        report.rows.append(row)
        if hand is not None and np.isfinite(hand).all() and native[i] is not None:
            trials.append(Trial(probe, i, row))
            continue
        row.verdict = "no gradient" if native[i] is None else "not finite"
        if not any(f.tensor in (leaf.name, "") for f in report.faults):
            text = f"backward gave no gradient of {leaf.name}"
            report.faults.append(Fault("none", text, leaf.name))
    for trial in trials:
        first_probe(trial)
    order = sorted(trials, key=lambda trial: trial.failing is None)
    for done, trial in enumerate(order):
        alike = sum((other.failing is None) == (trial.failing is None) for other in order[done:])
        judge(trial, max(1e-3 * job.clock.seconds, 0.6 * job.clock.left() / alike))
    for trial in trials:
        naming.fill_row(trial)
    if trials:
        name_faults(trials, report)
    if not report.faults and wide is not job and wide.backward is job.backward:
        for trial in trials:
            report.faults += suspects.float32_faults(job, trial, native[trial.place], dy)
    report.notes += [note for trial in trials for note in naming.trial_notes(trial)]


# -- one tensor ------------------------------------------------------------------------------------
def first_probe(trial: Trial) -> None:
    """Along random signs, by one complex step, if there is time: does the gradient fail?"""
    probe, leaf = trial.probe, trial.leaf
    if probe.clock.fits(complex=1):
        signs = probe.signs(leaf.value.shape)
        pushed, trial.reason = probe.first_push(leaf, signs)
        if pushed is not None and oracles.fails_along(trial, signs, pushed):
            trial.failing = signs


def judge(trial: Trial, seconds: float) -> None:
    """Decides which of the visited entries are wrong."""
    probe, leaf, clock = trial.probe, trial.leaf, trial.probe.clock
    if np.isnan(trial.seen) and not (trial.reason and clock.fits(forward=8)):
        seen_jointly(trial)
        return
    trial.delta = probe.signs(leaf.value.shape) * leaf.scale
    if trial.reason or clock.fits(forward=20):
        trial.slope = probe.slope(leaf, trial.delta)
    if not trial.reason:
        hear_differences(trial)
    if trial.reason:
        fails = oracles.fails_along(trial, trial.delta, trial.slope)
        trial.failing = trial.delta if fails else None
    oracles.choose_entries(trial, seconds)
    if not trial.complete and trial.failing is None:
        trial.failing = oracles.failing_direction(trial)
    trial.wrong = compare(trial)
    if trial.failing is not None and not trial.complete and not trial.wrong.any():
        trial.wrong = search(trial, trial.failing)
    if np.isinf(trial.seen):
        seen_jointly(trial)
    if trial.complete:
        sure = suspects.strict_tolerance(trial)
        trial.seen = float(np.median(sure)) / trial.biggest if trial.biggest and sure.size else 0.0


def hear_differences(trial: Trial) -> None:
    """Lets differences along the trial's direction deny the complex step; where they are not sure,
    as on a kink, those at a point somewhat aside of this one."""
    leaf, clock, rng = trial.leaf, trial.probe.clock, np.random.default_rng(6)
    if not clock.fits(complex=1):
        return
    pushed = float(trial.probe.dy @ trial.probe.pushed(leaf, trial.delta))
    if denied(trial, trial.slope, trial.delta, pushed):
        return
    sure = trial.reliable(trial.slope, abs(pushed)) and not trial.slope.kink
    for way in () if sure else ({}, {leaf.place: 1.0}, {leaf.place: -1.0}):
        roomy = clock.fits(forward=20, backward=1, complex=1)
        if other := suspects.beside(trial, way, rng, suspects.AWAY) if roomy else None:
            pushed = float(other.probe.dy @ other.probe.pushed(leaf, trial.delta))
            denied(other, other.probe.slope(leaf, trial.delta), trial.delta, pushed)
            trial.reason = other.reason
            return


def seen_jointly(trial: Trial) -> None:
    """What is seen of a tensor that there is no time for: it is held to the joint probe alone."""
    trial.seen = trial.probe.joint.visible / (trial.biggest or 1.0)


def denied(trial: Trial, slope: Slope, delta: Array, value: float) -> bool:
    """Whether differences along `delta` are sure that the complex step's slope is not this value:
    it is given up for this tensor, and the reason names the calls seen to lose imaginary parts."""
    sizes = np.array([abs(slope.value), abs(value), np.abs(trial.hand * delta).sum()])
    scale = float(sizes.max(where=np.isfinite(sizes), initial=0))
    near = 8 * slope.error + 10 * trial.difference_limit * scale
    if not trial.reliable(slope, scale) or not abs(value - slope.value) > near:
        return False
    natural = float(np.abs(trial.leaf.scale[delta != 0] / delta[delta != 0]).min())
    if trial.probe.line(trial.leaf, delta).may_hide(value, natural):
        return False
    calls = ", ".join(sorted(Analytic.seen)) or "a call that loses the imaginary part"
    trial.reason = f"the complex step disagrees with differences: forward is not analytic ({calls})"
    return True


def search(trial: Trial, failing: Array) -> Array:
    """Follows a probe that failed to its entry, and compares that one too; where the point lies on
    kinks, only if a probe beside them fails as well."""
    if not trial.roomy(12 + np.log2(trial.hand.size) + len(trial.entries)):
        roomy = trial.probe.clock.fits(forward=2, complex=3)
        if not trial.reason and np.isfinite(trial.slope.value) and roomy:
            hand, gap = float((trial.hand * failing).sum()), oracles.gap_along(trial, failing)[0]
            large = abs(gap) > suspects.faint(trial) * trial.hand.size
            if large and not suspects.has_kinks(trial):
                trial.unplaced = hand, hand - gap
        seen_jointly(trial)
        return trial.wrong
    kinked = not trial.reason and suspects.has_kinks(trial)
    point = suspects.beside(trial, {}, np.random.default_rng(3)) if kinked else trial
    along = oracles.failing_direction(point) if point and kinked else failing
    if point is None or along is None or (entry := oracles.locate(point, along)) in trial.entries:
        return trial.wrong
    trial.entries = np.union1d(trial.entries, [entry])
    return compare(trial)


def compare(trial: Trial) -> Array:
    """Which of the visited entries are wrong: not those that rounding explains, that sit on a kink,
    or whose oracle is wrong."""
    oracles.fill(trial)
    strict, clock = suspects.strict_tolerance(trial), trial.probe.clock
    error = trial.error
    wrong = np.asarray(~(error <= strict) & ~trial.blank)
    small = wrong & (error <= suspects.rounding_tolerance(trial))
    if small.any():
        count = next((n for n in (12, 3) if clock.fits(forward=8, backward=8, complex=8 * n)), 0)
        picks = suspects.worst(trial, small, count)
        refuted = picks[~suspects.is_rounding(trial, picks, strict)] if count else picks
        if not len(refuted) >= 0.75 * len(picks) > 0:
            wrong = wrong & ~small  # also where nobody has looked at them
        wrong[refuted] = True
    if wrong.any() and not trial.reason:
        wrong = doubt_the_oracle(trial, wrong)
    if wrong.any() and not trial.reason:
        kinks = suspects.on_kinks if suspects.has_kinks(trial) else suspects.on_seams
        wrong = kinks(trial, wrong, strict)
    elif (corner := wrong & np.isin(trial.entries, trial.corners)).any():
        wrong = (wrong & ~corner) | suspects.on_kinks(trial, corner, strict)
    return wrong


def doubt_the_oracle(trial: Trial, wrong: Array) -> Array:
    """Asks differences about a few suspects: where they side with the hand-written gradient, the
    complex step is given up for this tensor."""
    clock = trial.probe.clock
    if not clock.fits(forward=16) and not trial.probe.joint.fails:
        seen_jointly(trial)
        return np.zeros_like(wrong)
    for i in suspects.worst(trial, wrong, 3):
        if not clock.fits(forward=16):
            break
        entry = int(trial.entries[i])
        slope, delta = trial.probe.entry_slope(trial.leaf, entry), trial.leaf.unit(entry)
        if not slope.kink and denied(trial, slope, delta, float(trial.true[i])):
            return compare(trial)
    return wrong


# -- what comes out --------------------------------------------------------------------------------
def name_faults(trials: list[Trial], report: Report) -> None:
    """One fault for each wrong tensor; if none is, one where tensors are wrong together."""
    report.faults += [naming.unknown_fault(t) for t in trials if t.row.verdict == "not checked"]
    wrong, probe = [trial for trial in trials if trial.wrong.any()], trials[0].probe
    if wrong:
        batch = batch_of(probe.job)
        truths = {t.leaf.name: t.true.reshape(t.leaf.value.shape) for t in trials if t.complete}
        report.faults += [naming.make_fault(trial, truths, batch) for trial in wrong]
        return
    sampled, unplaced = [t for t in trials if not t.complete], [t for t in trials if t.unplaced]
    joint = probe.joint if sampled and probe.clock.kept == (0, 0) else None
    sums = (joint.hand, joint.true) if joint and joint.fails else None
    if sums := next((t.unplaced for t in unplaced), sums):
        among = unplaced or [t for t in trials if t.failing is not None] or sampled
        report.faults.append(naming.together_fault(among, *sums))
        for trial in among:
            trial.row.verdict = "not located"
    elif not report.faults and probe.clock.fits(2, 2, 4):
        exact = not any(t.reason for t in trials)
        here = exact or sampled or any(t.kinks for t in trials)
        if here and (tied := suspects.together(trials)):
            tied[-1].row.verdict = "wrong"
            report.faults.append(naming.together_fault(trials, *tied))
