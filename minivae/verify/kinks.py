"""Points that lie on kinks: which gradients are subgradients, one by one and, at ties, together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minivae.types import Array
from minivae.verify.arguments import gradients
from minivae.verify.derivatives import between
from minivae.verify.directions import Point, failing_direction, locate
from minivae.verify.oracles import Trial, tol
from minivae.verify.passes import EPS64, vector
from minivae.verify.probe import Probe

ASIDE = 1e-12  # relative: from a point on kinks to points beside it
MOST_EXAMINED = 32  # suspects looked at one by one, however little time is left


def aside(
    trial: Trial, side: Array, rng: np.random.Generator, tensor: tuple[int, float] | None = None
) -> list[object]:
    """The inputs a little aside, every entry of every tensor at random; but those of this tensor in
    the direction of `side`, where it is not zero; and one tensor as a whole, further."""
    job, deltas = trial.probe.job, {}
    for leaf in job.leaves:
        sign = rng.choice([-1.0, 1.0], leaf.value.shape)
        if leaf.place == trial.leaf.place:
            sign = np.where(side == 0, sign, side)
        size = rng.uniform(0.5, 1.5, leaf.value.shape)
        if tensor and tensor[0] == leaf.place:
            sign = np.full(leaf.value.shape, tensor[1])
        deltas[leaf.place] = ASIDE * trial.probe.scale(leaf) * sign * size
    return job.moved(deltas)


def beside(
    trial: Trial,
    side: Array,
    rng: np.random.Generator,
    tensor: tuple[int, float] | None = None,
) -> Point | None:
    """A point aside, off the kinks of this one, and the hand-written gradient there."""
    old = trial.probe
    other = old.job.at(aside(trial, side, rng, tensor))
    try:
        other.adopt(other.run(other.base)[0])
        grad = gradients(other, old.dy)[trial.place]
        if grad is None or not np.isfinite(grad).all():
            return None
        probe = Probe(other, old.dy, np.random.default_rng(5), old.clock)
    except Exception:
        return None
    probe.modes = old.modes
    return probe, grad


def has_kinks(trial: Trial) -> bool:
    """Whether the slopes on the two sides of the point differ in any output."""
    probe, leaf = trial.probe, trial.leaf
    step = ASIDE * probe.scale(leaf) * np.random.default_rng(2).uniform(0.5, 1.5, leaf.value.shape)
    sides = []
    for t in (1.0, -1.0):
        try:
            sides.append(probe.push({leaf.place: step}, probe.job.moved({leaf.place: step}, t)))
        except Exception:
            return True
    gap = np.abs(sides[0] - sides[1])
    return not gap.max(initial=0) <= 1e-5 * np.abs(sides[0]).max(initial=0)


def on_kinks(trial: Trial, wrong: Array, error: Array, strict: Array) -> Array:
    """Clears the suspects that lie on kinks and have one of their subgradients.

    All at once first: they are moved up, down and at random, off their kinks, where the
    hand-written gradient is smooth and easily held to the truth; it must span what it is here.
    What that leaves is looked at one by one. What nobody looked at is not called wrong.
    """
    order = np.flatnonzero(wrong)
    order = order[np.argsort(-error[order], kind="stable")]
    side, rng, grads = np.zeros(trial.hand.size), np.random.default_rng(4), []
    side[trial.entries[order]] = 1.0
    first: int | None = None
    here = side.reshape(trial.hand.shape)
    whole = [(x.place, way) for x in trial.probe.job.leaves for way in (8.0, -8.0)]
    moves = [(f * here, None) for f in (1.0, -1.0, 0.0, 0.0)] + [(0 * here, w) for w in whole]
    for towards, tensor in moves:
        point = beside(trial, towards, rng, tensor)
        if point is None:
            break
        failing = failing_direction(trial, point, probes=2)
        if failing is not None:
            first = locate(trial, point, failing)
            break
        grads.append(point[1].ravel()[trial.entries])
    verdict = np.zeros(len(wrong), dtype=bool)
    spanned = np.zeros(len(wrong), dtype=bool)
    if len(grads) == len(moves):
        low, high = np.min(grads, axis=0), np.max(grads, axis=0)
        margin = strict + 1e-5 * np.abs(grads).max(axis=0)
        spanned = (low - margin <= trial.g) & (trial.g <= high + margin)
    order = order[~spanned[order]]
    if first is not None and wrong[trial.entries == first].any():
        order = np.concatenate([np.flatnonzero(trial.entries == first), order])
    for n, i in enumerate(order):
        if n >= MOST_EXAMINED and trial.probe.clock.left() < 0:
            break
        low_i, high_i = one_sided(trial, int(i))
        margin_i = strict[i] + 1e-5 * max(abs(low_i), abs(high_i), abs(trial.g[i]))
        inside = between(trial.g[i], low_i, high_i, margin_i)
        seen = [float(g[i]) for g in grads]
        verdict[i] = not inside and not several_kinks(trial.g[i], low_i, high_i, seen, margin_i)
    for i in np.flatnonzero(wrong & ~verdict):
        trial.kinks.append(int(trial.entries[i]))
        trial.true[i] = trial.g[i]
    return verdict


def several_kinks(hand: float, low: float, high: float, seen: list[float], margin: float) -> bool:
    """Whether an entry that moves several kinks at once (one datum, through many units at zero) may
    have this gradient: its slopes beside the point are more than its own two sides tell."""
    if all(between(slope, low, high, margin) for slope in seen):
        distinct = [s for s in seen if min(abs(s - low), abs(s - high)) > margin]
        if not distinct:
            return False
    slopes = np.array([*seen, low, high])
    middle = float(slopes.mean())
    return bool(abs(hand - middle) <= 4 * float(np.abs(slopes - middle).max()) + margin)


def one_sided(trial: Trial, i: int) -> tuple[float, float]:
    """The true partial derivatives of the i-th visited entry on its two sides."""
    leaf, entry = trial.leaf, trial.entries[i : i + 1]
    step = np.zeros(leaf.value.size)
    step[entry] = ASIDE * trial.probe.scale(leaf).ravel()[entry]
    delta = {leaf.place: step.reshape(leaf.value.shape)}
    found = [
        float(
            (trial.probe.dy @ trial.probe.columns(leaf, entry, trial.probe.job.moved(delta, t)))[0]
        )
        for t in (1.0, -1.0)
    ]
    return found[0], found[1]


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
        given = hands(weight)
        parts = [
            (g * deltas[t.leaf.place]).ravel()
            for t, g in zip(trials, given, strict=True)
            if g is not None
        ]
        size = float(np.abs(weight * right).sum()) + sum(float(np.abs(p).sum()) for p in parts)
        hand, true = sum(float(p.sum()) for p in parts), float(weight @ right)
        moves = sum(float(np.abs(d).sum()) for d in deltas.values())
        rounding = (
            tol("floor") * probe.job.y_eps * float(np.abs(probe.dy * probe.job.y0).max(initial=0))
        )
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
    largest = max(float(np.abs(d).max(initial=0)) for d in deltas.values()) or 1.0
    step /= largest
    try:
        if exact:
            sides = [probe.push(deltas, job.moved(deltas, t)) for t in (step, -step)]
            return sides[0], sides[1], 1e-5, 1e-13
        sides = [(vector(job.run(job.moved(deltas, t))[0]) - job.y0) / t for t in (step, -step)]
    except Exception:
        return None
    biggest = float(np.abs(sides[0]).max(initial=0)) or 1.0
    sure = max(1e-4, 8 * float(probe.rounding.max(initial=0)) / step / biggest)
    return sides[0], sides[1], sure, sure
