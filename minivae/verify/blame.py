"""What is known of a wrong tensor, and the line that says it: kind, index, sample, values."""

from __future__ import annotations

import numpy as np

from minivae.types import Array
from minivae.verify import passes
from minivae.verify.arguments import gradients
from minivae.verify.naming import Evidence, kind_of_fault
from minivae.verify.oracles import Trial
from minivae.verify.passes import Pass
from minivae.verify.report import Fault, Row, where


def batch_of(job: Pass) -> int | None:
    """The length of the output's axis 0, if it is a batch: reordering the inputs along it reorders
    the outputs. Inputs that are parameters by their name (W, weight, …) do not count."""
    lengths = {shape[:1] for shape in job.y_shapes}
    batch = next(iter(lengths))[0] if len(lengths) == 1 and () not in lengths else 0
    values, order, rank = list(job.base), np.arange(batch)[::-1], max(map(len, job.y_shapes))
    parameter = ("w", "kernel", "param", "theta", "gamma", "beta", "bias")
    for place, (name, value) in enumerate(job.flat):
        last = name.split(".")[-1].split("[")[0]
        named = last.lower().startswith(parameter) or last in ("A", "U", "R", "q", "k", "v")
        if (
            not named
            and isinstance(value, np.ndarray)
            and value.shape[:1] == (batch,)
            and batch > 1
        ):
            values[place], rank = value[order].copy(), max(rank, value.ndim)
    if rank < 2 or all(a is b for a, b in zip(values, job.base, strict=True)):
        if job.y_shapes and not any(job.y_shapes):  # a loss: its batch is its inputs'
            return next((v.shape[0] for _, v in job.flat if np.ndim(v) > 1), None)
        return None
    try:
        y = passes.float_parts(job.run(values)[0])
    except Exception:
        return None
    here = passes.float_parts(job.y_tree)
    same = (
        np.allclose(np.asarray(a)[order], b, rtol=1e-4, atol=1e-6 * float(np.abs(b).max(initial=0)))
        for a, b in zip(here, y, strict=True)
    )
    return batch if all(same) else None


def sample_masks(trial: Trial, batch: int | None) -> Array | None:
    """(B, outputs): which outputs belong to which sample."""
    shapes = trial.probe.job.y_shapes
    if batch is None or not 2 <= batch <= 512 or not all(s and s[0] == batch for s in shapes):
        return None
    owner = np.concatenate([np.repeat(np.arange(batch), int(np.prod(s[1:]))) for s in shapes])
    return np.asarray(owner[None, :] == np.arange(batch)[:, None], dtype=np.float64)


def evidence(trial: Trial, wrong: Array, others: dict[str, Array], batch: int | None) -> Evidence:
    """Everything that is known of one wrong tensor."""
    shape, job = trial.leaf.value.shape, trial.probe.job
    full = np.zeros(trial.leaf.value.size)
    visited, bad = np.zeros(full.size, dtype=bool), np.zeros(full.size, dtype=bool)
    full[trial.entries], visited[trial.entries], bad[trial.entries] = trial.true, True, wrong
    ones = mean = shares = None
    if trial.columns is not None and trial.complete and not trial.reason:
        dy = trial.probe.dy
        ones = trial.columns.sum(axis=0).reshape(shape)
        mean = (np.full_like(dy, dy.mean()) @ trial.columns).reshape(shape)
        masks = sample_masks(trial, batch)
        if masks is not None and len(masks) * full.size <= 2_000_000:
            shares = ((masks * dy) @ trial.columns).reshape(len(masks), *shape)
    inputs = {n: np.asarray(v, np.float64) for n, v in job.flat if passes.kind_of(v) == "float"}
    lengths = tuple(s for s in (*job.y_shapes, *(v.shape for v in inputs.values())) if len(s) <= 5)
    others = {n: g for n, g in others.items() if n != trial.leaf.name}
    arrays = (trial.hand, full.reshape(shape), bad.reshape(shape), visited.reshape(shape))
    return Evidence(*arrays, batch, lengths, others, inputs, ones, mean, shares)


def worst_of(trial: Trial, wrong: Array) -> int:
    """The visited entry with the largest error, among the wrong ones where there are any."""
    with np.errstate(invalid="ignore"):
        error = np.abs(trial.g - trial.true)
    error = np.where(np.isfinite(error), error, np.inf)
    return int(np.argmax(np.where(wrong, error, -1.0) if wrong.any() else error))


def make_fault(
    trial: Trial, row: Row, wrong: Array, others: dict[str, Array], batch: int | None
) -> Fault:
    """One line: kind, tensor, index, sample, both values."""
    kind = kind_of_fault(evidence(trial, wrong, others, batch))
    sample, said = blame_sample(trial, worst_of(trial, wrong), batch)
    place = "worst at" if trial.complete else "worst of those compared at"
    text = (
        f"the gradient of {row.tensor} is wrong: {kind.text}; {place} {row.tensor}"
        f"{where(row.index)}: hand-written {row.hand:.10g}, true {row.true:.10g} by {row.oracle}"
        f"{said}"
    )
    return Fault(kind.word, text, row.tensor, row.index, sample, row.hand, row.true, kind.factor)


def tie_fault(trial: Trial, hand: float, true: float, trials: list[Trial], row: Row) -> Fault:
    """The line for entries that are right one by one and wrong together."""
    names = [t.leaf.name for t in trials]
    which = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    index = trial.index(trial.kinks[0]) if trial.complete and trial.kinks else row.index
    text = (
        f"the gradients of {which} are wrong together at a tie ({row.tensor}{where(index)}): as "
        f"tied entries move as one, their gradients add up to {hand:.6g}, the slope is {true:.6g}"
    )
    return Fault("ties", text, row.tensor, index, None, hand, true)


def blame_sample(trial: Trial, i: int, batch: int | None) -> tuple[int | None, str]:
    """The sample whose share of the worst entry is wrong; its index and how to say it."""
    index, shape, job = trial.index(i), trial.leaf.value.shape, trial.probe.job
    masks = sample_masks(trial, batch)
    own = shape[:1] == (batch,) and masks is not None
    if own:
        return index[0], f", sample {index[0]}"
    if masks is None or trial.columns is None or len(masks) > 64:
        return None, ""
    try:
        hands = [gradients(job, m * trial.probe.dy)[trial.place] for m in masks]
        hand = np.array([np.asarray(h).ravel()[trial.entries[i]] for h in hands])
    except Exception:
        return None, ""
    gaps = np.abs(hand - (masks * trial.probe.dy) @ trial.columns[:, i])
    if not np.isfinite(gaps).all() or not gaps.max() > 0:
        return None, ""
    first = int(np.argmax(gaps))
    if gaps[first] >= 0.999 * gaps.sum():
        return first, f"; the error comes from sample {first} alone"
    return first, f"; largest share of the error: sample {first}"
