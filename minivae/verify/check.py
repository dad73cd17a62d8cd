"""`check`: is this hand-written backward pass right? The procedure, from top to bottom."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify import blame, contract
from minivae.verify.arguments import fitting, gradients, read
from minivae.verify.derivatives import Slope, taylor_rate
from minivae.verify.judge import judge
from minivae.verify.kinks import together
from minivae.verify.oracles import Trial, tol
from minivae.verify.passes import (
    EPS32,
    EPS64,
    Clock,
    Pass,
    copy,
    eps_of,
    kind_of,
    leaves,
    one_line,
    quiet,
    unpack,
    vector,
)
from minivae.verify.probe import Probe
from minivae.verify.report import Fault, Report, Row, where
from minivae.verify.rounding import float32_faults, noises

Hands = list[Array | None]


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
    out the notes on gradients that are views. `seconds` bounds the whole
    call: what is then left unvisited is reported, and never called wrong. `reference` is the same
    forward in float64, for one that computes in float32 only.
    Never raises for what it is handed: everything wrong is in the report.
    Raises TypeError or ValueError for a wrong use of `names` and `wrt` only.
    """
    clock = Clock(seconds)
    forward, args, labels = read(forward, inputs, names)
    report = Report(str(name or getattr(forward, "__name__", "pass")))
    with quiet():
        job = Pass(forward, backward, args, labels, [wrt] if isinstance(wrt, str) else wrt)
        rng = np.random.default_rng(seed)
        report.faults += contract.input_faults(job)
        if not report.faults:
            examine(job, report, rng, out_shape, reference, clock)
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
    clock: Clock,
) -> None:
    """The checks in order of what they need; stops where the next would make no sense."""
    report.faults += contract.forward_faults(job, out_shape)
    if any(f.kind != "mutates" for f in report.faults):
        return
    dy = upstream(job, rng)
    pieces, live, faults, notes = contract.backward_in_either_order(job, dy)
    report.faults += faults
    report.notes += notes
    if pieces is None or any(f.kind in ("error", "scalar") for f in faults):
        return
    native = [fitting(piece, leaf) for piece, leaf in zip(pieces, job.leaves, strict=True)]
    report.faults += contract.linearity_faults(job, dy, native, clock)
    report.faults += contract.overwritten(job, live, pieces)
    report.notes += contract.point_notes(job)
    wide, hands = widen(job, dy, native, report, reference)
    if wide is not None:
        vote(job, wide, dy, native, hands, report, rng, clock)


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
    wide = with_reference(job, reference) if reference else job.widened()
    gap = np.inf
    try:
        wide.adopt(copy(unpack(wide.run(wide.base))[0]))
        hands = gradients(wide, dy)
        gap = float(np.abs(job.y0 - wide.y0).max(initial=0))
        problem = "" if np.isfinite(gap) else "its output is not finite"
    except Exception as error:
        problem = one_line(error)
    if reference is not None:
        if problem or not gap <= tol("float32_match") * float(np.abs(wide.y0).max(initial=0)):
            text = f"forward and reference disagree: {problem or f'by up to {gap:.3g}'}"
            report.faults.append(Fault("reference", text, "y"))
            return None, native
        return wide, hands
    if not problem:
        return wide, hands
    if any(eps_of(leaf.value) > EPS32 for leaf in job.leaves):
        text = f"forward takes float16 only ({problem}): pass float32 inputs, or reference="
        report.faults.append(Fault("dtype", text))
        return None, native
    report.notes.append(
        f"forward does not run in float64 ({problem}): checked in its own precision"
    )
    return job, native


def with_reference(job: Pass, reference: Callable[..., Any]) -> Pass:
    """A pass in float64 whose forward is `reference` and whose backward is the one on trial, run in
    its own precision after its own forward."""

    def forward(*args: Any) -> Any:
        result = reference(*args)
        pair = isinstance(result, tuple) and len(result) == 2
        return (result[0] if pair and vector(result[0]).size == job.y0.size else result), args

    def backward(dy: Any, args: Any) -> Any:
        given = [v for _, v in leaves(args)]
        native = [
            np.asarray(v, dtype=np.asarray(b).dtype)[()] if kind_of(b) == "float" else b
            for v, b in zip(given, job.base, strict=True)
        ]
        cache = job.run(native)[1]
        return job.backward(job.upstream(vector(dy)), cache)

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
    clock: Clock,
) -> None:
    """One trial for each tensor whose gradient fits and is finite; then all together."""
    probe = Probe(wide, dy, rng, clock)
    eps = [EPS32 if eps_of(x.value) > EPS64 or wide.y_eps > EPS64 else EPS64 for x in job.leaves]
    noise = functools.cache(lambda: noises(wide, dy, hands, rng, max(eps)))
    trials: list[Trial] = []
    found: list[tuple[Row, Array]] = []
    for i, leaf in enumerate(wide.leaves):
        hand, dtype = hands[i], str(job.leaves[i].value.dtype)
        if hand is None or not np.isfinite(hand).all() or native[i] is None:
            verdict = "no gradient" if native[i] is None else "not finite"
            report.rows.append(Row("", leaf.name, leaf.value.shape, dtype, verdict=verdict))
            if not any(f.tensor in (leaf.name, "") for f in report.faults):
                text = f"backward gave no gradient of {leaf.name}"
                report.faults.append(Fault("none", text, leaf.name))
            continue
        share = max(0.0, 0.6 * clock.left()) / (len(wide.leaves) - i)
        trial = Trial(probe, leaf, i, hand, lambda i=i: noise()[i], eps[i], share)  # type: ignore[misc]
        wrong, slope, delta = judge(trial)
        row = make_row(trial, slope, delta, wrong, dtype)
        trials.append(trial)
        found.append((row, wrong))
        report.rows.append(row)
    name_faults(trials, found, report)
    if trials and not report.faults and wide is not job and wide.backward is job.backward:
        for trial, (row, _) in zip(trials, found, strict=True):
            report.faults += float32_faults(job, trial, native[trial.place], row, dy)
    report.notes += [note for trial in trials for note in trial_notes(trial)]


def name_faults(trials: list[Trial], found: list[tuple[Row, Array]], report: Report) -> None:
    """One fault for each wrong tensor; if none is, one where tensors are wrong together."""
    if any(wrong.any() for _, wrong in found):
        batch = blame.batch_of(trials[0].probe.job)
        truths = {t.leaf.name: t.true.reshape(t.leaf.value.shape) for t in trials if t.complete}
        for trial, (row, wrong) in zip(trials, found, strict=True):
            if wrong.any():
                report.faults.append(blame.make_fault(trial, row, wrong, truths, batch))
        return
    exact = all(t.complete and not t.reason for t in trials)
    kinks = any(t.kinks for t in trials)
    late = trials and trials[0].probe.clock.left() < 0 and not kinks
    if trials and not late and (exact or kinks or not all(t.complete for t in trials)):
        job = trials[0].probe.job
        places = [t.place for t in trials]
        tied = together(trials, lambda dy: [gradients(job, dy)[i] for i in places])
        if tied is not None:
            row = found[[t.leaf.name for t in trials].index(tied[0].leaf.name)][0]
            row.verdict = "wrong"
            report.faults.append(blame.tie_fault(*tied, trials, row))


def trial_notes(trial: Trial) -> list[str]:
    """What to know of one tensor's verdict: kinks, what was not visited, what could not be seen."""
    name, shape, notes = trial.leaf.name, trial.leaf.value.shape, list(trial.notes)
    if trial.kinks:
        first = [name + where(tuple(map(int, np.unravel_index(k, shape)))) for k in trial.kinks[:3]]
        count, more = len(trial.kinks), ", …" if len(trial.kinks) > 3 else ""
        lie = "entry lies on a kink" if count == 1 else "entries lie on kinks"
        notes.append(f"{count} {lie} ({', '.join(first)}{more}): each has one of its subgradients")
    if trial.reason:
        notes.append(f"{name}: judged by differences, because {trial.reason}")
    size, seen = trial.leaf.value.size, f"{trial.seen:.1g} of the largest entry"
    if not trial.complete:
        notes.append(
            f"{name}: {len(trial.entries)} of {size:,} entries visited, all others by random-sign "
            f"probes, which see an error of {seen} in any one of them"
        )
    elif trial.seen > 1e-3:
        advice = "; reference= sees more" if trial.coarse else ""
        notes.append(f"{name}: an error below {seen} cannot be seen{advice}")
    return notes


def make_row(trial: Trial, slope: Slope, delta: Array, wrong: Array, dtype: str) -> Row:
    """The four votes as numbers."""
    leaf, probe, safe = trial.leaf, trial.probe, not trial.reason
    error = np.abs(trial.g - trial.true)
    worst = blame.worst_of(trial, wrong)
    inner, size = float((trial.hand * delta).sum()), float(np.abs(trial.hand * delta).sum())
    scale = max(size, abs(slope.value))
    usable = trial.reliable(slope, scale) and not slope.kink
    true, hand = float(trial.true[worst]), float(trial.g[worst])
    relative = np.max(
        error / np.maximum(np.abs(trial.true), 1e-300), initial=0, where=trial.true != 0
    )
    biggest = float(np.abs(trial.true).max(initial=0))
    time_left = probe.clock.left() > 30 * probe.cost
    return Row(
        op="",
        tensor=leaf.name,
        shape=tuple(leaf.value.shape),
        dtype=dtype,
        complex_step=ratio(float(error.max(initial=0)), biggest) if safe else None,
        finite_difference=ratio(abs(inner - slope.value), scale) if usable else None,
        adjoint=probe.adjoint(leaf, trial.place, delta, safe) if time_left else None,
        taylor=taylor_rate(probe.line(leaf, delta), inner, probe.job.y_eps)
        if usable and time_left
        else None,
        index=trial.index(worst),
        hand=hand,
        true=true,
        ulps=abs(hand - true) / float(np.spacing(max(abs(true), 1e-300))),
        oracle="complex step" if safe else "differences",
        reason=trial.reason,
        checked=len(trial.entries),
        size=leaf.value.size,
        worst_entry=float(relative),
        visible=trial.seen,
        verdict="wrong" if wrong.any() else "right",
    )


def ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else (0.0 if top == 0 else np.inf)
