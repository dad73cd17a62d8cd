"""Where a NaN came from: the last updates are repeated, and the one that failed is traced.

The noise of an update is a function of its number, so the very step that failed can be repeated.
"""

from __future__ import annotations

from copy import deepcopy

from minivae.data.standard import scale_advice
from minivae.parts import LIKELIHOODS
from minivae.parts.domains import REAL
from minivae.runs.state import State
from minivae.training.job import Job
from minivae.training.nan_origin import NanOrigin, trace_update
from minivae.types import Array

MOST_SAMPLES = 8  # named in a message


def replay(job: Job, last_good: State) -> tuple[State, Array | None]:
    """From a good state, go on until the first bad update: the state before it, and its rows.

    The rows are None if the epoch ends without a fault. Chunk by chunk first; only the chunk that
    went wrong is repeated update by update.
    """
    good = deepcopy(last_good)
    order = job.order(good.progress.epoch)
    while good.progress.update < job.updates_per_epoch:
        rows = job.next_rows(order, good.progress.update)
        after = advance(job, good, rows)
        if after is not None:
            good = after
            continue
        for one in rows:
            after = advance(job, good, one[None])
            if after is None:
                return good, one
            good = after
    return good, None


def advance(job: Job, state: State, rows: Array) -> State | None:
    """The state after these updates (n, B), or None if one of them went wrong."""
    before = state.progress
    step = job.step(state)
    lr, beta = job.schedule.chunk(before.t, len(rows))
    step(rows, before.t, lr, beta)
    theta, moments = step.state()
    after = State(theta, moments, deepcopy(before))
    if step.bad_step >= 0 or not after.finite():
        return None
    after.progress.sums.add(step.metrics())
    after.progress.update += len(rows)
    after.progress.t += len(rows)
    return after


def investigate(job: Job, last_good: State) -> tuple[str, State]:
    """What went wrong after the good state `last_good`, in one line, and the last good state."""
    good, rows = replay(job, last_good)
    where = f"update {good.progress.t} (epoch {good.progress.epoch + 1})"
    if rows is None:
        return (
            f"a number that is not finite appeared near {where} and did not when it was repeated: "
            "suspect the machine's memory or its cooling",
            good,
        )
    fault = trace_update(job, good, rows)
    if fault is None:
        return (
            f"{where} gave a number that is not finite on the {job.K.name} backend and not by the "
            "reference: run minivae verify, or use --backend numpy",
            good,
        )
    return f"{where}: {describe(fault)}; {advice(job, fault)}", good


def describe(fault: NanOrigin) -> str:
    """The fault in a sentence."""
    named = ", ".join(str(row) for row in sorted(fault.rows)[:MOST_SAMPLES])
    more = len(fault.rows) - MOST_SAMPLES
    rows = f"; training rows {named}" + (f" and {more} more" if more > 0 else "")
    return f"{fault.op} in {fault.place} gave {fault.what}{rows if named else ''}"


def advice(job: Job, fault: NanOrigin) -> str:
    """What to try next."""
    if fault.place == "the data":
        return "these rows hold values that are not numbers: clean them"
    data, likelihood = job.data, LIKELIHOODS[job.model.likelihood]
    unscaled = data.standard is None and scale_advice(data.train, data.scale, data.columns)
    if unscaled and likelihood.domain is REAL:  # counts cannot be standardised
        return "the columns are unscaled: --standardise (standardise=True) brings them to one scale"
    text = f"try a lower rate (--lr {min(job.schedule.lr(0) / 10, 1e-3):g})"
    if likelihood.scale is not None:
        text += " or a larger --c"
    return text
