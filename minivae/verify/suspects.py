"""Errors that are none: those that rounding explains, and the subgradients of points on kinks, one
by one and, at ties, together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minivae.types import Array, vector
from minivae.verify.derivatives import between, tol
from minivae.verify.oracles import Point, Probe, Trial, failing_direction, locate
from minivae.verify.passes import EPS64, Pass, eps_of, lost_below
from minivae.verify.report import Fault, where
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
    count = NUDGES if job.clock.fits(forward=2 * NUDGES, backward=NUDGES) else NUDGES // 2
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
            other = trial.probe.job.run_at(values)
            grad, true = gradients(other, trial.probe.dy)[trial.place], here
            if not trial.reason:
                true = trial.probe.dy @ trial.probe.columns(trial.leaf, entries, values)
        except Exception:
            return None
        if grad is None or not np.isfinite(true).all():
            return None
        return grad.ravel()[entries] - true, np.asarray(true)

    job, errors, safe = trial.probe.job, (trial.g[picks] - here, here), not trial.reason
    return rounding_explains(job, errors, strict[picks], errors_at, trial.eps, safe)


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


def float32_faults(job: Pass, trial: Trial, native: Array | None, dy: Array) -> list[Fault]:
    """The gradient in the caller's own precision against the same source in float64."""
    wide, exact, row, name = trial.probe.job, trial.hand, trial.row, trial.leaf.name
    if native is None or not native.size:
        return []
    eps = max(eps_of(job.leaves[trial.place].value), job.y_eps)
    match = max(tol("float32_match"), 64 * eps)
    apart = float(np.abs(job.y0 - wide.y0).max(initial=0))
    gap, limit = (native - exact).ravel(), match * np.abs(exact).max() + lost_below(job, dy, eps)
    picks = np.flatnonzero(~(np.abs(gap) <= limit))
    picks = picks[np.argsort(-np.abs(gap[picks]), kind="stable")[:12]]
    seen = [exact.ravel()[picks]]

    def errors_at(values: Sequence[Any]) -> Errors | None:
        try:
            one = gradients(job, dy, job.narrowed(values))[trial.place]
            two = gradients(wide, dy, values)[trial.place]
        except Exception:
            return None
        if one is None or two is None:
            return None
        seen.append(two.ravel()[picks])
        return (one - two).ravel()[picks], seen[-1]

    if not apart <= match * np.abs(wide.y0).max(initial=0):
        return []  # the forward itself has lost its figures: no verdict on backward's rounding
    if not len(picks) or not job.clock.fits(forward=10, backward=10):
        return []
    here, near = (gap[picks], seen[0]), np.full(len(picks), limit)
    lasting = ~rounding_explains(wide, here, near, errors_at, eps)
    hands = native.ravel()[picks]  # at a kink that rounding moves, what float64 gives beside it
    lasting &= (hands < np.min(seen, axis=0) - near) | (hands > np.max(seen, axis=0) + near)
    if not lasting.any():
        return []
    at = tuple(int(n) for n in np.unravel_index(int(picks[lasting][0]), exact.shape))
    row.verdict, row.index, row.hand, row.true = "wrong", at, float(native[at]), float(exact[at])
    text = (
        f"the gradient of {name} is wrong in {row.dtype} only: {name}{where(at)} is "
        f"{row.hand:.8g}, the same source in float64 gives {row.true:.8g}"
    )
    return [Fault("float32", text, name, at, hand=row.hand, true=row.true)]


# -- kinks -----------------------------------------------------------------------------------------
def beside(trial: Trial, towards: dict[int, Array], rng: np.random.Generator) -> Point | None:
    """A point off the kinks of this one, and the hand-written gradient there: every entry of every
    tensor a little aside, where `towards` names its side (not 0) that way, at random otherwise."""
    old, deltas = trial.probe, {}
    for leaf in old.job.leaves:
        random, side = rng.choice([-1.0, 1.0], leaf.value.shape), towards.get(leaf.place, 0)
        size = ASIDE * leaf.scale * rng.uniform(0.5, 1.5, leaf.value.shape)
        deltas[leaf.place] = size * np.where(side == 0, random, side)
    try:
        other = old.job.run_at(old.job.moved(deltas))
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
    here = np.zeros(trial.hand.shape)
    here.flat[trial.entries[order]] = 1.0
    moves = [{trial.leaf.place: way * here} for way in (1.0, -1.0, 0.0, 0.0)]
    moves += [{x.place: np.full(x.value.shape, way)} for x in trial.probe.job.leaves
              for way in (8.0, -8.0)]  # fmt: skip
    grads: list[Array] = []
    for towards in moves:
        roomy = clock.fits(forward=4, backward=1, complex=2)
        point = beside(trial, towards, rng) if roomy else None
        failing = failing_direction(trial, point, probes=2) if point else None
        if point is None or failing is not None:
            break
        grads.append(point[1].ravel()[trial.entries])
    else:
        low, high = np.min(grads, axis=0), np.max(grads, axis=0)
        margin = strict + 1e-5 * np.abs(grads).max(axis=0)
        order = order[~((low - margin <= trial.g) & (trial.g <= high + margin))[order]]
    if point is not None and failing is not None:
        place = locate(trial, point, failing)
        order = np.concatenate([np.flatnonzero(wrong & (trial.entries == place)), order])
    elif len(order) and clock.fits(forward=20, backward=8):
        more = [beside(trial, {}, rng) for _ in range(8)]
        grads += [point[1].ravel()[trial.entries] for point in more if point is not None]
    verdict = np.zeros(len(wrong), dtype=bool)
    for i in order:
        if not clock.fits(complex=2):
            break
        verdict[i] = not is_subgradient(trial, int(i), [float(g[i]) for g in grads], strict[i])
    for i in np.flatnonzero(wrong & ~verdict):
        trial.kinks.append(int(trial.entries[i]))
        trial.true[i] = trial.g[i]
    return verdict


def on_seams(trial: Trial, wrong: Array, error: Array, strict: Array) -> Array:
    """Clears tiny errors where two branches meet almost smoothly and backward took the other."""
    tiny = np.flatnonzero(wrong & (error <= 1e-5 * trial.biggest))
    for i in tiny if len(tiny) <= MOST_EXAMINED else ():
        if trial.probe.clock.fits(complex=2):
            up, down = one_sided(trial, int(i))
            wrong[i] = not between(float(trial.g[i]), up.sum(), down.sum(), strict[i])
    return wrong


def one_sided(trial: Trial, i: int) -> tuple[Array, Array]:
    """The slopes of the i-th visited entry in each output, times the upstream, on its two sides."""
    probe, at, step = trial.probe, trial.index(i), np.zeros(trial.leaf.value.shape)
    step[at] = ASIDE * trial.leaf.scale[at]
    points = (probe.job.moved({trial.leaf.place: step}, t) for t in (1.0, -1.0))
    up, down = (probe.columns(trial.leaf, trial.entries[i : i + 1], values) for values in points)
    return probe.dy * up[:, 0], probe.dy * down[:, 0]


def is_subgradient(trial: Trial, i: int, seen: list[float], strict: float) -> bool:
    """Whether the i-th visited entry has a slope between those on its two sides, in all outputs
    together or in each; or, where it moves several kinks at once (one datum, through many units at
    zero), one like those `seen` beside."""
    hand, (up, down) = float(trial.g[i]), one_sided(trial, i)
    high, low = float(up.sum()), float(down.sum())
    margin = strict + 1e-5 * max(abs(low), abs(high), abs(hand))
    if between(hand, low, high, margin):
        return True
    kinked = np.flatnonzero(~(np.abs(up - down) <= margin))
    if 1 < len(kinked) <= 8 and trial.probe.clock.fits(forward=9, backward=9):
        parts = [trial.back(np.where(np.arange(len(up)) == k, trial.probe.dy, 0)) for k in kinked]
        if all(p is not None and between(float(p.flat[trial.entries[i]]), up[k], down[k], margin)
               for k, p in zip(kinked, parts, strict=True)):  # fmt: skip
            return True
    if all(between(s, low, high, margin) for s in seen):
        return False  # these two sides are the outermost
    slopes = np.array([*seen, low, high])
    middle = float(slopes.mean())
    return bool(abs(hand - middle) <= 4 * float(np.abs(slopes - middle).max()) + margin)


# -- ties ------------------------------------------------------------------------------------------
def together(trials: list[Trial]) -> tuple[Trial, float, float] | None:
    """(tensor, hand, true) where entries that are right one by one are wrong together: ties.

    Moves every entry of every tensor by the same amount, then by the same factor. Tied entries stay
    tied, so the outputs they make stay smooth, and the hand-written gradients must add up to the
    slope there.
    """
    probe = trials[0].probe
    values = {t.leaf.place: t.leaf.value.astype(np.float64) for t in trials}
    for deltas in ({place: np.ones(value.shape) for place, value in values.items()}, values):
        found = smooth_slopes(probe, deltas, exact=not any(trial.reason for trial in trials))
        if found is None:
            continue
        slopes, sure = found
        weight, slopes = np.where(np.isnan(slopes), 0.0, probe.dy), np.nan_to_num(slopes)
        hands = gradients(probe.job, weight)
        pairs = [(hands[t.place], deltas[t.leaf.place]) for t in trials]
        parts = [(g * delta).ravel() for g, delta in pairs if g is not None]
        size = float(np.abs(weight * slopes).sum()) + sum(float(np.abs(p).sum()) for p in parts)
        hand, true = sum(float(p.sum()) for p in parts), float(weight @ slopes)
        moves = sum(float(np.abs(d).sum()) for d in deltas.values())
        rounding = tol("floor") * probe.job.y_eps * np.abs(probe.dy * probe.job.y0).max(initial=0)
        if np.isfinite(hand - true) and not abs(hand - true) <= 10 * sure * size + rounding * moves:
            return next((t for t in trials if t.kinks), trials[0]), hand, true
    return None


def smooth_slopes(
    probe: Probe, deltas: dict[int, Array], exact: bool
) -> tuple[Array, float] | None:
    """(the slopes of all outputs along a direction, NaN where those on the two sides differ; how
    sure they are)."""
    job, sure, floor = probe.job, 1e-5, 1e-13
    step = ASIDE if exact else 1e-6 if job.y_eps == EPS64 else 1e-2
    step /= max(float(np.abs(d).max(initial=0)) for d in deltas.values()) or 1.0
    points = [job.moved(deltas, t) for t in (step, -step)]
    try:
        if exact:
            up, down = (probe.push(deltas, values) for values in points)
            here = probe.push(deltas)
        else:
            here = up = (vector(job.run(points[0])[0]) - job.y0) / step
            down = (vector(job.run(points[1])[0]) - job.y0) / -step
            biggest = float(np.abs(up).max(initial=0)) or 1.0
            sure = floor = max(1e-4, 8 * float(probe.rounding.max(initial=0)) / step / biggest)
    except Exception:
        return None
    near = sure * np.abs(here) + floor * np.abs(here).max(initial=0)
    smooth = (np.abs(up - here) <= near) & (np.abs(down - here) <= near)
    return np.where(smooth, here, np.nan), sure
