"""Checks that cost nothing and need no step: zero, doubling, a batch reordered, split, repeated."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae import ops
from minivae.proof.case import DIMS, Case
from minivae.proof.exact_gradients import ExactGradients
from minivae.types import EPS64, Array, leaves
from minivae.types.foreign import quiet
from minivae.verify.contract import SAME_RUN
from minivae.verify.passes import Pass, apart
from minivae.verify.strategies import gradients

Flat = list[Array | None]


def failures(case: Case, K: Any = ops) -> list[str]:
    """One line for each exact check that the row fails under K."""
    exact = ExactGradients(case, K)
    job, dy = exact.job, exact.dy
    with quiet():
        g = gradients(job, dy)
        found = bitwise(job, dy, g)
        if case.kind == "model":
            return found + repeated(exact, g)
        if all(shape and DIMS["B"] in shape for shape in job.y_shapes):
            found += reordered(job, dy, g) + split(job, dy, g)
    return found


def names(job: Pass) -> list[str]:
    return [leaf.name for leaf in job.leaves]


def bitwise(job: Pass, dy: Array, g: Flat) -> list[str]:
    """backward(0) is 0 and backward(2 dy) is 2 backward(dy), to the last bit."""
    zero, double = gradients(job, 0 * dy), gradients(job, 2 * dy)
    found = []
    for name, a, b, c in zip(names(job), g, zero, double, strict=True):
        if a is None or b is None or c is None:
            found.append(f"{name}: no gradient")
            continue
        if not (b == 0).all():
            found.append(f"{name}: not zero for an upstream of zero")
        if not np.array_equal(2 * a, c):
            found.append(f"{name}: doubling the upstream does not double it bit for bit")
    return found


def batch_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of a batch array that runs over samples."""
    return shape.index(DIMS["B"]) if DIMS["B"] in shape else None


def take(value: Any, order: Array) -> Any:
    """The samples of a batch array in another order; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    axis = batch_axis(value.shape)
    return value if axis is None else np.take(value, order, axis=axis)


def upstream_pieces(job: Pass, dy: Array) -> list[Array]:
    """The upstream vector cut into the outputs' shapes."""
    sizes = [int(np.prod(shape)) for shape in job.y_shapes]
    cuts = np.split(dy, np.cumsum(sizes)[:-1])
    return [piece.reshape(shape) for piece, shape in zip(cuts, job.y_shapes, strict=True)]


def reordered(job: Pass, dy: Array, g: Flat) -> list[str]:
    """Samples in another order: batch gradients follow it, the parameters' stay."""
    order = np.random.default_rng(2).permutation(DIMS["B"])
    moved = np.concatenate([take(p, order).ravel() for p in upstream_pieces(job, dy)])
    other = gradients(job, moved, [take(v, order) for v in job.base])
    found = []
    for name, a, b in zip(names(job), g, other, strict=True):
        if a is None or b is None or apart(take(a, order), b, SAME_RUN * EPS64):
            found.append(f"{name}: another order of the samples changes it")
    return found


def split(job: Pass, dy: Array, g: Flat) -> list[str]:
    """The gradient is the sum over samples of what each one's upstream gives alone."""
    total: list[Any] = [0.0] * len(g)
    for b in range(DIMS["B"]):
        mask = np.arange(DIMS["B"]) == b
        pieces = []
        for piece in upstream_pieces(job, dy):
            axis = batch_axis(piece.shape)
            shape = [DIMS["B"] if i == axis else 1 for i in range(piece.ndim)]
            pieces.append((piece * mask.reshape(shape)).ravel())
        one = gradients(job, np.concatenate(pieces))
        total = [t + (0.0 if o is None else o) for t, o in zip(total, one, strict=True)]
    return [
        f"{name}: it is not the sum over samples"
        for name, a, t in zip(names(job), g, total, strict=True)
        if a is None or apart(a, np.asarray(t), SAME_RUN * EPS64)
    ]


def repeated(exact: ExactGradients, g: Flat) -> list[str]:
    """Every sample twice: the loss is a mean over the batch, so nothing changes."""
    job = exact.job
    twice = np.concatenate([np.arange(DIMS["B"])] * 2)
    data = {"x", "eps", "q", "weight"}
    values = [
        take(v, twice) if job.names[arg] in data else v
        for (arg, v) in zip(owners(job), job.base, strict=True)
    ]
    if any(job.names[leaf.arg] in data for leaf in job.leaves):
        return []  # the samples themselves are what is differentiated
    loss = job.output(values)
    found = ["the loss changes when every sample is there twice"] * apart(
        loss, job.y0, SAME_RUN * EPS64
    )
    for name, a, b in zip(names(job), g, gradients(job, exact.dy, values), strict=True):
        if a is None or b is None or apart(a, b, SAME_RUN * EPS64):
            found.append(f"{name}: it changes when every sample is there twice")
    return found


def owners(job: Pass) -> list[int]:
    """For each flat input, the number of its argument."""
    return [i for i, arg in enumerate(job.args) for _ in leaves(arg)]
