"""Is an error rounding? Measured at points a few last places away, and at milder ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify.arguments import gradients
from minivae.verify.oracles import Trial, tol
from minivae.verify.passes import Pass, eps_of, kind_of
from minivae.verify.report import Fault, Row, where

NUDGES = 6  # points some units in the last place away
APART = 16  # so many units that tied entries do not meet again
Errors = tuple[Array, Array]  # hand - true, and true
Hands = list[Array | None]


def worst_and_random(trial: Trial, among: Array, error: Array, count: int) -> Array:
    """Up to `count` of the marked entries: largest errors, largest relative errors, random ones."""
    places = np.flatnonzero(among)
    if len(places) <= count:
        return places
    each = count // 3
    relative = error / np.maximum(np.abs(trial.true), 1e-300)
    first = places[np.argsort(-error[places], kind="stable")[:each]]
    second = places[np.argsort(-np.nan_to_num(relative[places]), kind="stable")[:each]]
    rest = np.random.default_rng(0).choice(places, each, replace=False)
    return np.unique(np.concatenate([first, second, rest]))


def rounding_explains(
    gap: Array, true: Array, strict: Array, nearby: list[Array], milder: list[Errors]
) -> Array:
    """Which errors are rounding: those that come and go with the last bits of the inputs, or that
    vanish where the pass is less saturated. One that only this very point has is no rounding."""
    if len(nearby) < 3:
        return np.ones(len(gap), dtype=bool)
    seen = np.array(nearby)
    middle, spread = seen.mean(axis=0), np.abs(seen - seen.mean(axis=0)).max(axis=0)
    outlier = ~(np.abs(gap - middle) <= 16 * spread + strict)
    steady = np.abs(middle) > 4 * seen.std(axis=0)
    lasting = np.ones(len(gap), dtype=bool)
    here = np.abs(gap) / np.maximum(np.abs(true), 1e-300)
    for there, truth in milder:
        lasting &= ~(np.abs(there) / np.maximum(np.abs(truth), 1e-300) < 0.1 * here)
    return np.asarray(~outlier & ~(steady & lasting))


def moved_errors(trial: Trial, picks: Array) -> tuple[list[Array], list[Errors]]:
    """The picked entries' errors at points a few last places away, and at milder points."""
    job, rng = trial.probe.job, np.random.default_rng(1)
    count = NUDGES if trial.probe.clock.left() > 0 else NUDGES // 2
    near = [errors_at(trial, picks, job.nudged(rng, APART * trial.eps)) for _ in range(count)]
    milder = []
    if not trial.reason:
        for fraction in (0.3, 0.05):
            deltas = {x.place: x.value.astype(np.float64) for x in job.leaves}
            milder.append(errors_at(trial, picks, job.moved(deltas, fraction - 1)))
    return [e[0] for e in near if e is not None], [e for e in milder if e is not None]


def errors_at(trial: Trial, picks: Array, values: Sequence[object]) -> Errors | None:
    """(hand - true, true) of the picked entries at other inputs; None where they cannot be had.
    Where there is no complex step, the truth nearby is taken to be the truth here."""
    other = trial.probe.job.at(values)
    entries = trial.entries[picks]
    try:
        other.adopt(other.run(other.base)[0])
        grad = gradients(other, trial.probe.dy)[trial.place]
        true = trial.true[picks]
        if not trial.reason:
            true = trial.probe.dy @ trial.probe.columns(trial.leaf, entries, values)
    except Exception:
        return None
    if grad is None or not np.isfinite(true).all():
        return None
    return grad.ravel()[entries] - true, np.asarray(true)


def noises(job: Pass, dy: Array, hands: Hands, rng: np.random.Generator, eps: float) -> list[Array]:
    """How much each gradient moves when inputs and upstream are nudged by a few last places: the
    middle one of three."""
    changes = [np.zeros((3, *leaf.value.shape)) for leaf in job.leaves]
    for k in range(3):
        moved = dy * (1 + 2 * eps * rng.uniform(-1, 1, dy.shape))
        try:
            grads = gradients(job, moved, job.nudged(rng, eps))
        except Exception:  # a point where nothing may move: no estimate
            break
        for i, (g, hand) in enumerate(zip(grads, hands, strict=True)):
            if g is not None and hand is not None:
                change = np.abs(g - hand)
                changes[i][k] = np.where(np.isfinite(change), change, 0.0)
    return [np.median(three, axis=0) for three in changes]


def float32_faults(
    job: Pass, trial: Trial, native: Array | None, row: Row, dy: Array
) -> list[Fault]:
    """The gradient in the caller's own precision against the same source in float64."""
    wide, exact = trial.probe.job, trial.hand
    if native is None or not native.size:
        return []
    eps = max(eps_of(job.leaves[trial.place].value), job.y_eps)
    match = max(tol("float32_match"), 64 * eps)
    if not float(np.abs(job.y0 - wide.y0).max(initial=0)) <= match * np.abs(wide.y0).max(initial=0):
        return []  # the forward itself has lost its figures: no verdict on backward's rounding
    gap, limit = native - exact, match * np.abs(exact).max() + 0 * exact
    picks = np.flatnonzero(~(np.abs(gap) <= limit))
    if not len(picks):
        return []
    picks = picks[np.argsort(-np.abs(gap.ravel()[picks]), kind="stable")[:12]]

    def errors(values: Sequence[Any]) -> tuple[Array, Array] | None:
        small = [np.asarray(v, np.asarray(b).dtype) if kind_of(b) == "float" else v
                 for v, b in zip(values, job.base, strict=True)]  # fmt: skip
        try:
            one, two = (
                gradients(job, dy, small)[trial.place],
                gradients(wide, dy, values)[trial.place],
            )
        except Exception:
            return None
        if one is None or two is None:
            return None
        return (one - two).ravel()[picks], two.ravel()[picks]

    rng = np.random.default_rng(1)
    near = [errors(wide.nudged(rng, APART * eps)) for _ in range(6)]
    places = {x.place: x.value.astype(np.float64) for x in wide.leaves}
    milder = [errors(wide.moved(places, fraction - 1)) for fraction in (0.3, 0.05)]
    explained = rounding_explains(
        gap.ravel()[picks], exact.ravel()[picks], limit.ravel()[picks],
        [e[0] for e in near if e is not None], [e for e in milder if e is not None],
    )  # fmt: skip
    if explained.all():
        return []
    worst = int(picks[~explained][0])
    at = tuple(int(n) for n in np.unravel_index(worst, exact.shape))
    name = trial.leaf.name
    row.verdict, row.index, row.hand, row.true = "wrong", at, float(native[at]), float(exact[at])
    text = (
        f"the gradient of {name} is wrong in {row.dtype} only: {name}{where(at)} is "
        f"{native[at]:.8g}, the same source in float64 gives {exact[at]:.8g}"
    )
    return [Fault("float32", text, name, at, hand=float(native[at]), true=float(exact[at]))]
