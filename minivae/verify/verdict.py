"""Puts what was found on one tensor into a row of votes and one line of blame."""

from __future__ import annotations

import numpy as np

from minivae.types import Array
from minivae.verify import kinds, tree
from minivae.verify.findiff import Slope
from minivae.verify.oracles import Case, index_of
from minivae.verify.report import Fault, Row, where

TIES = kinds.Kind("ties", "tied entries each take the whole gradient; together they have it once")


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
    relative = float(
        np.max(error / np.maximum(np.abs(case.true), 1e-300), initial=0, where=case.true != 0)
    )
    return Row(
        op="",
        tensor=leaf.name,
        shape=tuple(leaf.value.shape),
        dtype=str(leaf.value.dtype),
        complex_step=ratio(float(error.max(initial=0)), biggest) if safe else None,
        finite_difference=ratio(abs(inner - slope.value), max(size, abs(slope.value)))
        if usable
        else None,
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
    kind = kinds.name(evidence(case, wrong, others)) if not case.ties else TIES
    i = (
        int(
            np.flatnonzero(
                case.entries == np.ravel_multi_index(row.index or (), case.leaf.value.shape)
            )[0]
        )
        if row.index
        else 0
    )
    sample, said = blame_sample(case, i)
    oracle = "complex step" if row.oracle == "complex step" else "differences"
    text = (
        f"the gradient of {case.leaf.name} is wrong: {kind.text}; worst at {case.leaf.name}"
        f"{where(row.index)}: hand-written {row.hand:.10g}, true {row.true:.10g} by {oracle}{said}"
    )
    return Fault(
        kind.word, text, case.leaf.name, row.index, sample, row.hand, row.true, kind.factor
    )


def batch_length(case: Case) -> int | None:
    """The length of the output's axis 0, where there is one output with one."""
    y = case.probe.job.y_tree
    shapes = case.probe.job.y_shapes
    if not shapes or (tree.is_branch(y) and len({s[:1] for s in shapes}) > 1):
        return None
    if shapes[0]:
        return int(shapes[0][0])
    firsts = [
        v.shape[0] for _, v in case.probe.job.flat if isinstance(v, np.ndarray) and v.ndim > 1
    ]
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
    inputs = {
        n: np.asarray(v, dtype=np.float64)
        for n, v in case.probe.job.flat
        if tree.kind_of(v) == "float"
    }
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
