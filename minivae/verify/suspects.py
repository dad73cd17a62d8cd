"""Errors that are none: those that rounding explains, and the subgradients of points on kinks, one
by one and, at ties, together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array
from minivae.verify.derivatives import between, tol
from minivae.verify.oracles import Point, Probe, Trial, failing_direction, locate
from minivae.verify.passes import EPS64, Pass, eps_of, kind_of, vector
from minivae.verify.report import Fault, Row, where
from minivae.verify.strategies import Hands, gradients

NUDGES = 6  # points some units in the last place away
APART = 16  # so many units that tied entries do not meet again
ASIDE = 1e-12  # relative: from a point on kinks to points beside it
MOST_EXAMINED = 32  # suspects looked at one by one
Errors = tuple[Array, Array]  # hand - true, and true


# -- rounding --------------------------------------------------------------------------------------
def worst_and_random(trial: Trial, among: Array, error: Array, count: int) -> Array:
    """Up to `count` of the marked entries: largest errors, largest relative errors, random ones."""
    places = np.flatnonzero(among)
    if not 0 < count < len(places):
        return places[:count]
    each = max(1, count // 3)
    relative = np.nan_to_num(error / np.maximum(np.abs(trial.true), 1e-300))
    largest = [places[np.argsort(-e[places], kind="stable")[:each]] for e in (error, relative)]
    rest = np.random.default_rng(0).choice(places, each, replace=False)
    return np.unique(np.concatenate([*largest, rest][:count]))


def rounding_explains(
    job: Pass,
    here: Errors,
    strict: Array,
    errors_at: Callable[[Sequence[Any]], Errors | None],
    eps: float,
    milder: bool = True,
) -> Array:
    """Which errors are rounding: those that come and go with the last bits of the inputs, or that
    vanish where the pass is less saturated. One that only this very point has is no rounding."""
    gap, rng = here[0], np.random.default_rng(1)
    roomy = job.clock.fits(forward=2 * NUDGES, backward=NUDGES)
    count = NUDGES if roomy else NUDGES // 2
    near = [errors_at(job.nudged(rng, APART * eps)) for _ in range(count)]
    nearby = np.array([errors[0] for errors in near if errors is not None])
    if len(nearby) < 3:
        return np.ones(len(gap), dtype=bool)
    middle, spread = nearby.mean(axis=0), np.abs(nearby - nearby.mean(axis=0)).max(axis=0)
    outlier = ~(np.abs(gap - middle) <= 16 * spread + strict)
    lasting = np.abs(middle) > 4 * nearby.std(axis=0)
    relative = np.abs(gap) / np.maximum(np.abs(here[1]), 1e-300)
    whole = {leaf.place: leaf.value.astype(np.float64) for leaf in job.leaves}
    for fraction in (0.3, 0.05) if milder else ():
        there = errors_at(job.moved(whole, fraction - 1))
        if there is not None:
            size = np.abs(there[0]) / np.maximum(np.abs(there[1]), 1e-300)
            lasting &= ~(size < 0.1 * relative)
    return np.asarray(~outlier & ~lasting)


def is_rounding(trial: Trial, picks: Array, strict: Array) -> Array:
    """Which of the picked errors rounding explains. Where there is no complex step, the truth
    nearby is taken to be the truth here."""
    entries, here = trial.entries[picks], trial.true[picks]

    def errors_at(values: Sequence[Any]) -> Errors | None:
        try:
            other = trial.probe.job.at(values)
            other.adopt(other.run(other.base)[0])
            grad, true = gradients(other, trial.probe.dy)[trial.place], here
            if not trial.reason:
                true = trial.probe.dy @ trial.probe.columns(trial.leaf, entries, values)
        except Exception:
            return None
        if grad is None or not np.isfinite(true).all():
            return None
        return grad.ravel()[entries] - true, np.asarray(true)

    errors = (trial.g[picks] - here, here)
    safe = not trial.reason
    return rounding_explains(trial.probe.job, errors, strict[picks], errors_at, trial.eps, safe)


def noises(job: Pass, dy: Array, hands: Hands, rng: np.random.Generator, eps: float) -> list[Array]:
    """How much each gradient moves when inputs and upstream are nudged by a few last places: the
    middle one of three."""
    changes = [np.zeros((3, *leaf.value.shape)) for leaf in job.leaves]
    if not job.clock.fits(forward=3, backward=3):  # what rounding seldom exceeds
        return [np.full(g.shape, 1e-6 * np.abs(g).max(initial=0)) if g is not None else c[0]
                for g, c in zip(hands, changes, strict=True)]  # fmt: skip
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
    picks = picks[np.argsort(-np.abs(gap.ravel()[picks]), kind="stable")[:12]]

    def errors_at(values: Sequence[Any]) -> Errors | None:
        small = [np.asarray(v, np.asarray(b).dtype) if kind_of(b) == "float" else v
                 for v, b in zip(values, job.base, strict=True)]  # fmt: skip
        try:
            one = gradients(job, dy, small)[trial.place]
            two = gradients(wide, dy, values)[trial.place]
        except Exception:
            return None
        return None if one is None or two is None else (
            (one - two).ravel()[picks], two.ravel()[picks])  # fmt: skip

    if not len(picks) or not job.clock.fits(forward=10, backward=10):
        return []
    here = gap.ravel()[picks], exact.ravel()[picks]
    lasting = ~rounding_explains(wide, here, limit.ravel()[picks], errors_at, eps)
    if not lasting.any():
        return []
    at = tuple(int(n) for n in np.unravel_index(int(picks[lasting][0]), exact.shape))
    name, hand, true = trial.leaf.name, float(native[at]), float(exact[at])
    row.verdict, row.index, row.hand, row.true = "wrong", at, hand, true
    text = (
        f"the gradient of {name} is wrong in {row.dtype} only: {name}{where(at)} is {hand:.8g}, "
        f"the same source in float64 gives {true:.8g}"
    )
    return [Fault("float32", text, name, at, hand=hand, true=true)]


# -- kinks -----------------------------------------------------------------------------------------
def beside(
    trial: Trial, side: Array, rng: np.random.Generator, tensor: tuple[int, float] | None = None
) -> Point | None:
    """A point off the kinks of this one, and the hand-written gradient there: every entry of every
    tensor a little aside at random; but those of this tensor in the direction of `side`, where it
    is not zero; and one tensor as a whole, further."""
    old, deltas = trial.probe, {}
    for leaf in old.job.leaves:
        sign = rng.choice([-1.0, 1.0], leaf.value.shape)
        if leaf.place == trial.leaf.place:
            sign = np.where(side == 0, sign, side)
        size = rng.uniform(0.5, 1.5, leaf.value.shape)
        if tensor and tensor[0] == leaf.place:
            sign = np.full(leaf.value.shape, tensor[1])
        deltas[leaf.place] = ASIDE * leaf.scale * sign * size
    other = old.job.at(old.job.moved(deltas))
    try:
        other.adopt(other.run(other.base)[0])
        grad = gradients(other, old.dy)[trial.place]
        if grad is None or not np.isfinite(grad).all():
            return None
        probe = Probe(other, old.dy, np.random.default_rng(5))
    except Exception:
        return None
    probe.modes = old.modes
    return probe, grad


def has_kinks(trial: Trial) -> bool:
    """Whether the slopes on the two sides of the point differ in any output."""
    probe, leaf = trial.probe, trial.leaf
    step = ASIDE * leaf.scale * np.random.default_rng(2).uniform(0.5, 1.5, leaf.value.shape)
    delta = {leaf.place: step}
    try:
        up, down = (probe.push(delta, probe.job.moved(delta, t)) for t in (1.0, -1.0))
    except Exception:
        return True
    return not np.abs(up - down).max(initial=0) <= 1e-5 * np.abs(up).max(initial=0)


def on_kinks(trial: Trial, wrong: Array, error: Array, strict: Array) -> Array:
    """Clears the suspects that lie on kinks and have one of their subgradients.

    All at once first: they are moved up, down and at random, off their kinks, where the
    hand-written gradient is smooth and easily held to the truth; it must span what it is here.
    What that leaves is looked at one by one. What nobody looked at is not called wrong.
    """
    clock, rng = trial.probe.clock, np.random.default_rng(4)
    order = np.flatnonzero(wrong)
    order = order[np.argsort(-error[order], kind="stable")]
    grads: list[Array] = []
    here = np.zeros(trial.hand.shape)
    here.flat[trial.entries[order]] = 1.0
    whole = [(x.place, way) for x in trial.probe.job.leaves for way in (8.0, -8.0)]
    moves = [(f * here, None) for f in (1.0, -1.0, 0.0, 0.0)] + [(0 * here, w) for w in whole]
    first: int | None = None
    for towards, tensor in moves:
        roomy = clock.fits(forward=4, backward=1, complex=2)
        point = beside(trial, towards, rng, tensor) if roomy else None
        if point is None:
            break
        failing = failing_direction(trial, point, probes=2)
        if failing is not None:
            first = locate(trial, point, failing)
            break
        grads.append(point[1].ravel()[trial.entries])
    verdict, spanned = np.zeros(len(wrong), dtype=bool), np.zeros(len(wrong), dtype=bool)
    if len(grads) == len(moves):
        low, high = np.min(grads, axis=0), np.max(grads, axis=0)
        margin = strict + 1e-5 * np.abs(grads).max(axis=0)
        spanned = (low - margin <= trial.g) & (trial.g <= high + margin)
    order = order[~spanned[order]]
    if first is not None and wrong[trial.entries == first].any():
        order = np.concatenate([np.flatnonzero(trial.entries == first), order])
    for n, i in enumerate(order):
        if not clock.fits(complex=2) or (n >= MOST_EXAMINED and clock.left() < 0):
            break
        verdict[i] = not is_subgradient(trial, int(i), [float(g[i]) for g in grads], strict[i])
    for i in np.flatnonzero(wrong & ~verdict):
        trial.kinks.append(int(trial.entries[i]))
        trial.true[i] = trial.g[i]
    return verdict


def is_subgradient(trial: Trial, i: int, seen: list[float], strict: float) -> bool:
    """Whether the i-th visited entry has a slope between those on its two sides; or, where it moves
    several kinks at once (one datum, through many units at zero), one like those `seen` beside."""
    leaf, probe, hand = trial.leaf, trial.probe, float(trial.g[i])
    entry, step = trial.entries[i : i + 1], np.zeros(trial.leaf.value.size)
    step[entry] = ASIDE * leaf.scale.ravel()[entry]
    delta = {leaf.place: step.reshape(leaf.value.shape)}
    low, high = (
        float((probe.dy @ probe.columns(leaf, entry, probe.job.moved(delta, t)))[0])
        for t in (1.0, -1.0)
    )
    margin = strict + 1e-5 * max(abs(low), abs(high), abs(hand))
    if between(hand, low, high, margin):
        return True
    if all(min(abs(s - low), abs(s - high)) <= margin for s in seen):
        return False
    slopes = np.array([*seen, low, high])
    middle = float(slopes.mean())
    return bool(abs(hand - middle) <= 4 * float(np.abs(slopes - middle).max()) + margin)


# -- ties ------------------------------------------------------------------------------------------
def together(
    trials: list[Trial], hands: Callable[[Array], Sequence[Array | None]]
) -> tuple[Trial, float, float] | None:
    """(tensor, hand, true) where entries that are right one by one are wrong together: ties.

    Moves every entry of every tensor by the same amount, then by the same factor. Tied entries stay
    tied, so the outputs they make stay smooth, and the hand-written gradients must add up to the
    slope there. `hands(dy)` gives the gradients of all tensors for another upstream.
    """
    probe = trials[0].probe
    exact = not any(trial.reason for trial in trials)
    for shift in (True, False):
        deltas = {
            t.leaf.place: np.ones(t.leaf.value.shape) if shift else t.leaf.value.astype(np.float64)
            for t in trials
        }
        found = slopes_beside(probe, deltas, exact)
        if found is None:
            continue
        right, left, sure, floor = found
        smooth = np.abs(right - left) <= sure * np.abs(right) + floor * np.abs(right).max(initial=0)
        weight = probe.dy * smooth
        pairs = zip(trials, hands(weight), strict=True)
        parts = [(g * deltas[t.leaf.place]).ravel() for t, g in pairs if g is not None]
        size = float(np.abs(weight * right).sum()) + sum(float(np.abs(p).sum()) for p in parts)
        hand, true = sum(float(p.sum()) for p in parts), float(weight @ right)
        moves = sum(float(np.abs(d).sum()) for d in deltas.values())
        largest = float(np.abs(probe.dy * probe.job.y0).max(initial=0))
        rounding = tol("floor") * probe.job.y_eps * largest
        if np.isfinite(hand - true) and not abs(hand - true) <= 10 * sure * size + rounding * moves:
            return next((t for t in trials if t.kinks), trials[0]), hand, true
    return None


def slopes_beside(
    probe: Probe, deltas: dict[int, Array], exact: bool
) -> tuple[Array, Array, float, float] | None:
    """The slopes of all outputs on the two sides along a direction, how sure each is, and what of
    the largest is noise."""
    job = probe.job
    step = ASIDE if exact else 1e-6 if job.y_eps == EPS64 else 1e-2
    step /= max(float(np.abs(d).max(initial=0)) for d in deltas.values()) or 1.0
    try:
        if exact:
            up, down = (probe.push(deltas, job.moved(deltas, t)) for t in (step, -step))
            return up, down, 1e-5, 1e-13
        up, down = ((vector(job.run(job.moved(deltas, t))[0]) - job.y0) / t for t in (step, -step))
    except Exception:
        return None
    biggest = float(np.abs(up).max(initial=0)) or 1.0
    sure = max(1e-4, 8 * float(probe.rounding.max(initial=0)) / step / biggest)
    return up, down, sure, sure
