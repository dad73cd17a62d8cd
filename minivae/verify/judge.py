"""Weighs what the oracles say of one tensor: which entries are wrong, and which only look it, by
rounding, on a kink, or where the oracle itself fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minivae.types import Array
from minivae.verify.arguments import gradients
from minivae.verify.derivatives import Slope, between, bisect
from minivae.verify.oracles import (
    Probe,
    Trial,
    choose_entries,
    fill,
    lost,
    tol,
    tolerances,
)
from minivae.verify.passes import EPS64, vector
from minivae.verify.rounding import moved_errors, rounding_explains, worst_and_random

ASIDE = 1e-12  # relative: from a point on kinks to points beside it
MOST_EXAMINED = 32  # suspects looked at one by one
Point = tuple[Probe, Array]  # a point, and the hand-written gradient there


def judge(trial: Trial) -> tuple[Array, Slope, Array]:
    """(which visited entries are wrong, a slope by differences, the direction it is along)."""
    probe, leaf = trial.probe, trial.leaf
    trial.reason = probe.complex_reason(leaf)
    delta = probe.signs(leaf.value.shape) * probe.scale(leaf)
    slope = probe.slope(probe.line(leaf, delta), leaf)
    trial.near = slope.step if np.isfinite(slope.step) else None
    unsure = bool(probe.seen) and not trial.reliable(slope, 0.0)
    if not trial.reason and (unsure or contradicted(trial, slope, delta)):
        trial.reason = lost(trial)
    choose_entries(trial)
    if not trial.complete:
        look_along_directions(trial)
    fill(trial)
    wrong = ~(np.abs(trial.g - trial.true) <= tolerances(trial)[0])
    if wrong.any():
        wrong = settle(trial, wrong)
    if trial.complete:
        biggest = float(np.abs(trial.hand).max(initial=0))
        sure = tolerances(trial)[0]
        trial.seen = float(np.median(sure)) / biggest if biggest > 0 and sure.size else 0.0
    return wrong, slope, delta


def contradicted(trial: Trial, slope: Slope, delta: Array) -> bool:
    """Whether converged differences along a direction contradict the complex step."""
    pushed = float(trial.probe.dy @ trial.probe.push({trial.leaf.place: delta}))
    scale = max(abs(pushed), abs(slope.value), float(np.abs(trial.hand * delta).sum()))
    if not np.isfinite(pushed) or not trial.reliable(slope, scale):
        return False
    return (
        not abs(pushed - slope.value) <= 8 * slope.error + 10 * trial.difference_tolerance * scale
    )


# -- tensors too large to visit --------------------------------------------------------------------
def look_along_directions(trial: Trial) -> None:
    """Three random-sign probes, beside the point where it lies on kinks; where one fails, bisection
    to an entry, which is visited too."""
    point: Point | None = (trial.probe, trial.hand)
    if not trial.reason and has_kinks(trial):
        point = beside(trial, np.zeros(trial.hand.shape), np.random.default_rng(3))
    entry = point and first_wrong_entry(trial, point)
    if entry is not None:
        trial.entries = np.union1d(trial.entries, [entry])


def first_wrong_entry(trial: Trial, point: Point, probes: int = 3) -> int | None:
    """An entry that random-sign probes and bisection find wrong at a point, or None."""
    probe, hand = point
    biggest = float(np.abs(hand).max(initial=0)) or 1.0
    for k in range(probes):
        delta = probe.signs(hand.shape) * (probe.scale(trial.leaf) if k == 1 else 1.0)
        gap, doubt = gap_along(trial, point, delta)
        trial.seen = max(trial.seen, 2 * doubt / float(np.abs(delta).max()) / biggest)
        if not gap <= doubt:

            def part(mask: Array, delta: Array = delta) -> float:
                return gap_along(trial, point, mask.reshape(hand.shape) * delta)[0]

            return bisect(part, hand.size)
    return None


def gap_along(trial: Trial, point: Point, delta: Array) -> tuple[float, float]:
    """(|hand.u - true.u|, how large rounding and the oracle's own error may make it)."""
    probe, hand = point
    leaf, parts = trial.leaf, hand * delta
    norm, size = float(np.sqrt((parts * parts).sum())), float(np.abs(parts).sum())
    coarse = 4 * trial.eps * size if trial.eps > EPS64 else 0.0
    if not trial.reason:
        pushed = probe.push({leaf.place: delta})
        true = float(probe.dy @ pushed)
        total = float(np.abs(probe.dy * pushed).sum())
        doubt = tol("direction") * EPS64 * max(norm, abs(true) * 1e-2, total * 1e-3)
        # Beside the point there is no estimate: what fails there is looked at entry by entry.
        noise = trial.noise if probe is trial.probe else 0.0
        moved = float(np.sqrt(((noise * delta) ** 2).sum()))
        return abs(float(parts.sum()) - true), doubt + coarse + tol("noise") * moved
    slope = probe.slope(probe.line(leaf, delta), leaf, rungs=18)
    if not np.isfinite(slope.value):
        return 0.0, np.inf
    rough = trial.difference_tolerance * max(norm, abs(slope.value))
    return abs(float(parts.sum()) - slope.value), 8 * slope.error + rough + coarse


# -- suspects --------------------------------------------------------------------------------------
def settle(trial: Trial, wrong: Array) -> Array:
    """Clears the suspects that rounding explains, that sit on a kink, or whose oracle is wrong."""
    error = np.where(np.isfinite(trial.true), np.abs(trial.g - trial.true), np.inf)
    strict, lenient = tolerances(trial)
    small = wrong & (error <= lenient)
    if small.any():
        picks = worst_and_random(trial, small, error, 12)
        explained = rounding_explains(
            (trial.g - trial.true)[picks], trial.true[picks], strict[picks],
            *moved_errors(trial, picks),
        )  # fmt: skip
        refuted = picks[~explained]
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
    slow = 200 * trial.probe.cost > trial.probe.clock.left()
    for i in worst_and_random(trial, wrong, error, 3 if slow else 9):
        slope = trial.probe.entry_slope(trial.leaf, int(trial.entries[i]), trial.near)
        hand, oracle = float(trial.g[i]), float(trial.true[i])
        scale = max(abs(hand), abs(oracle) if np.isfinite(oracle) else 0.0)
        near = 4 * slope.error + 10 * trial.difference_tolerance * scale
        if slope.kink or not trial.reliable(slope, scale) or not np.isfinite(slope.value):
            continue
        if abs(oracle - slope.value) <= near:
            continue
        trial.reason = lost(trial)
        if len(trial.entries) > MOST_EXAMINED * 16:
            keep = worst_and_random(trial, wrong, error, MOST_EXAMINED)
            trial.entries, trial.true = trial.entries[keep], trial.true[keep]
        fill(trial)
        trial.columns = None
        return np.asarray(~(np.abs(trial.g - trial.true) <= tolerances(trial)[1]))
    return wrong


# -- kinks -----------------------------------------------------------------------------------------
def aside(trial: Trial, side: Array, rng: np.random.Generator) -> list[object]:
    """The inputs a little aside, every entry of every tensor at random; but those of this tensor in
    the direction of `side`, where it is not zero."""
    job, deltas = trial.probe.job, {}
    for leaf in job.leaves:
        sign = rng.choice([-1.0, 1.0], leaf.value.shape)
        if leaf.place == trial.leaf.place:
            sign = np.where(side == 0, sign, side)
        size = rng.uniform(0.5, 1.5, leaf.value.shape)
        deltas[leaf.place] = ASIDE * trial.probe.scale(leaf) * sign * size
    return job.moved(deltas)


def beside(trial: Trial, side: Array, rng: np.random.Generator) -> Point | None:
    """A point aside, off the kinks of this one, and the hand-written gradient there."""
    old = trial.probe
    other = old.job.at(aside(trial, side, rng))
    try:
        other.adopt(other.run(other.base)[0])
        grad = gradients(other, old.dy)[trial.place]
        if grad is None or not np.isfinite(grad).all():
            return None
        probe = Probe(other, old.dy, np.random.default_rng(5), old.clock)
    except Exception:
        return None
    probe.mode = old.mode
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
    for factor in (1.0, -1.0, 0.0, 0.0):
        point = beside(trial, factor * side.reshape(trial.hand.shape), rng)
        if point is None:
            break
        first = first_wrong_entry(trial, point, probes=2)
        if first is not None:
            break
        grads.append(point[1].ravel()[trial.entries])
    verdict = np.zeros(len(wrong), dtype=bool)
    spanned = np.zeros(len(wrong), dtype=bool)
    if len(grads) == 4:
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
        verdict[i] = not between(trial.g[i], low_i, high_i, margin_i)
    for i in np.flatnonzero(wrong & ~verdict):
        trial.kinks.append(int(trial.entries[i]))
        trial.true[i] = trial.g[i]
    return verdict


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
