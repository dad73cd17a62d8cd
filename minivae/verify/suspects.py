"""How near the truth a gradient has to be; and errors that are none: those that rounding explains,
and the subgradients of points on kinks, one by one and, at ties, together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minivae.types import EPS64, Array
from minivae.types.analytic import STEP
from minivae.types.differences import between
from minivae.verify.derivatives import Probe, tol
from minivae.verify.oracles import Trial, failing_direction, locate
from minivae.verify.passes import Deltas, Pass, lost_below, signed
from minivae.verify.report import Fault, where
from minivae.verify.strategies import gradients

NUDGES = 6  # points some units in the last place away
APART = 16  # so many units that tied entries do not meet again
ASIDE = 1e-12  # relative: from a point on kinks to points beside it,
NEARER = 1e-20  # and from an entry of 0, where that far is outside forward's domain
AWAY = 1e-2  # to points where differences have room
MOST_EXAMINED = 32  # suspects looked at one by one
Errors = tuple[Array, Array]  # hand - true, and true


# -- how near the truth ----------------------------------------------------------------------------
def strict_tolerance(trial: Trial) -> Array:
    """How far hand and oracle may be apart, entry by entry, whatever the reason."""
    size = np.maximum(np.abs(trial.g), np.abs(trial.true))
    allowed = tol("entry32" if trial.eps > EPS64 else "entry") * trial.eps * size
    known = np.abs(trial.true[trial.doubt <= np.abs(trial.true)])  # not a jump, nor NaN
    largest = max(trial.biggest, known.max(initial=0))
    # A sum's rounding is its terms', but one huge entry is in few of the sums; and h*h, the complex
    # step's own, shows where all is 0.
    typical = 1e3 * np.median(known[known > 0]) if known.any() else np.inf
    allowed += tol("sum") * EPS64 * min(largest, typical) + STEP**1.75
    measured = (trial.doubt > 0) | bool(trial.reason)
    extra = np.where(measured, trial.doubt + trial.difference_limit * largest, 0.0)
    return np.asarray(allowed + extra)


def rounding_tolerance(trial: Trial) -> Array:
    """How far they may be apart if rounding explains it."""
    noise = trial.probe.noises[trial.place]
    typical = float(np.median(noise)) if noise.size else 0.0
    coarse = 16 * trial.eps * trial.biggest if trial.eps > EPS64 else 0.0
    moves = tol("noise") * np.maximum(noise.ravel()[trial.entries], typical)
    return np.asarray(strict_tolerance(trial) + moves + coarse + faint(trial))


def faint(trial: Trial) -> float:
    """What may cancel in one entry: so small an error is none until somebody has looked at it."""
    job, dy = trial.probe.job, trial.probe.dy
    inputs = max(float(np.abs(leaf.value).max(initial=0)) for leaf in job.leaves)
    big = max(trial.biggest, float(np.abs(dy * job.y0).max(initial=0)))
    return tol("faint") * EPS64 * big * max(1.0, inputs)


# -- rounding --------------------------------------------------------------------------------------
def worst(trial: Trial, among: Array, count: int) -> Array:
    """Up to `count` of the marked entries, those with the largest errors and relative errors."""
    places, error = np.flatnonzero(among), trial.error
    relative = np.nan_to_num(error / np.maximum(np.abs(trial.true), 1e-300))
    ranked = [places[np.argsort(-e[places], kind="stable")] for e in (error, relative)]
    return np.unique(np.stack(ranked, axis=1).ravel()[:count])


def rounding_explains(
    job: Pass, here: Errors, strict: Array, errors_at: Callable[[Sequence[Any]], Errors], eps: float
) -> Array:
    """Which errors are rounding: those that come and go with the last bits of the inputs, or that
    vanish where the pass is less saturated. One that only this very point has is no rounding."""

    def examined(points: Iterable[Sequence[Any]]) -> Iterator[Errors]:
        for values in points:
            with contextlib.suppress(Exception):  # a point where nothing may move
                gap, true = errors_at(values)
                if np.isfinite(true).all():
                    yield gap, np.abs(gap) / np.maximum(np.abs(true), 1e-300)

    count = NUDGES if job.clock.fits(forward=2 * NUDGES, backward=NUDGES) else NUDGES // 2
    rng, gap = np.random.default_rng(1), here[0]
    nearby = [e for e, _ in examined(job.moved(job.nudge(rng, APART * eps)) for _ in range(count))]
    if len(nearby) < 3:
        return np.ones(len(gap), dtype=bool)
    middle, spread = np.mean(nearby, axis=0), np.std(nearby, axis=0)
    outlier = ~(np.abs(gap - middle) <= 16 * np.abs(nearby - middle).max(axis=0) + strict)
    lasting = np.abs(middle) > 4 * spread
    relative = np.abs(gap) / np.maximum(np.abs(here[1]), 1e-300)
    whole = {leaf.place: leaf.value.astype(np.float64) for leaf in job.leaves}
    for _, there in examined(job.moved(whole, fraction - 1) for fraction in (0.3, 0.05)):
        lasting &= ~(there < np.maximum(1e-3 * relative, 1e-13))
    return np.asarray(~outlier & ~lasting)


def is_rounding(trial: Trial, picks: Array, strict: Array) -> Array:
    """Which of the picked errors rounding explains. Where there is no complex step, the truth
    nearby is taken to be the truth here."""
    here = trial.true[picks]

    def errors_at(values: Sequence[Any]) -> Errors:
        other, true = trial.at(values), here
        if not trial.reason:
            true = other.probe.dy @ other.probe.columns(trial.leaf, trial.entries[picks])
        return other.g[picks] - true, true

    errors = trial.g[picks] - here, here
    alone = strict[picks] + tol("sum") * EPS64 * trial.biggest  # a sum may round so at one point
    return rounding_explains(trial.probe.job, errors, alone, errors_at, trial.eps)


def float32_faults(job: Pass, trial: Trial, native: Array | None, dy: Array) -> list[Fault]:
    """The gradient in the caller's own precision against the same source in float64."""
    wide, exact, row, name = trial.probe.job, trial.hand, trial.row, trial.leaf.name
    if native is None or not native.size:
        return []
    eps = max(job.leaves[trial.place].eps, job.y_eps)
    match = max(tol("float32_match"), 64 * eps)
    # A forward that has itself lost its figures: no verdict on backward's rounding.
    sound = np.abs(job.y0 - wide.y0).max(initial=0) <= match * np.abs(wide.y0).max(initial=0)
    gap, limit = (native - exact).ravel(), match * np.abs(exact).max() + lost_below(job, dy, eps)
    picks = np.flatnonzero(~(np.abs(gap) <= limit))
    picks = picks[np.argsort(-np.abs(gap[picks]), kind="stable")[:12]]
    if not sound or not len(picks) or not job.clock.fits(forward=10, backward=10):
        return []
    seen = [exact.ravel()[picks]]

    def errors_at(values: Sequence[Any]) -> Errors:
        found = gradients(job, dy, job.narrowed(values)), gradients(wide, dy, values)
        one, two = (np.asarray(grads[trial.place], np.float64).ravel()[picks] for grads in found)
        seen.append(two)
        return one - two, two

    near = np.full(len(picks), limit)
    lasting = ~rounding_explains(wide, (gap[picks], seen[0]), near, errors_at, eps)
    hands = native.ravel()[picks]  # at a kink that rounding moves, what float64 gives beside it
    lasting &= ~between(hands, np.min(seen, axis=0), np.max(seen, axis=0), near)
    if not lasting.any():
        return []
    at = tuple(int(n) for n in np.unravel_index(int(picks[lasting][0]), exact.shape))
    row.verdict, row.index, row.hand, row.true = "wrong", at, float(native[at]), float(exact[at])
    text = f"the gradient of {name} is wrong in {row.dtype} only: {name}{where(at)} is "
    text += f"{row.hand:.8g}, the same source in float64 gives {row.true:.8g}"
    return [Fault("float32", text, name, at, hand=row.hand, true=row.true)]


# -- kinks -----------------------------------------------------------------------------------------
def sideways(probe: Probe, by_differences: Any) -> float:
    """How far from a point on kinks its sides are looked at, relative to the entries."""
    return ASIDE if not by_differences else 1e-2 if probe.job.coarse else 1e-6


def beside(
    trial: Trial, ways: dict[int, float], rng: np.random.Generator, far: float = ASIDE
) -> Trial | None:
    """The trial at a point off the kinks of this one: every entry of every tensor a little aside,
    those of the tensors at the places of `ways` all to one side and so much further."""
    job, deltas = trial.probe.job, {}
    for leaf in job.leaves:
        random, way = signed(rng, leaf.value.shape), ways.get(leaf.place)
        deltas[leaf.place] = far * leaf.scale * (way * np.abs(random) if way else random)
    with contextlib.suppress(Exception):
        other = trial.at(job.moved(deltas))
        if np.isfinite(other.hand).all() and np.isfinite(other.probe.job.y0).all():
            return other
    return None


def slopes_at(probe: Probe, deltas: Deltas, steps: Sequence[float], exact: bool = True) -> Array:
    """The outputs' slopes along delta at points so many steps along it, by complex steps; or those
    of the secants to them. NaN where forward, on real numbers, gives none."""
    job, points = probe.job, [probe.job.moved(deltas, t) for t in steps]
    with contextlib.suppress(Exception):
        outputs = np.array([job.output(v) for v in points])
        if exact and np.isfinite(outputs).all():
            return np.array(
                [probe.push(deltas, v, y) for v, y in zip(points, outputs, strict=True)]
            )
        if not exact:
            return (outputs - job.y0) / np.reshape(steps, (-1, 1))
    return np.full((len(points), *probe.dy.shape), np.nan)


def has_kinks(trial: Trial) -> bool:
    """Whether the slopes on the two sides of the point differ in any output."""
    rng, leaf = np.random.default_rng(2), trial.leaf
    delta = leaf.scale * rng.uniform(0.5, 1.5, leaf.value.shape)
    up, down = slopes_at(trial.probe, {leaf.place: delta}, (ASIDE, -ASIDE))
    return not np.abs(up - down).max(initial=0) <= 1e-5 * np.abs(up).max(initial=0)


def on_kinks(trial: Trial, wrong: Array, strict: Array) -> Array:
    """Clears the suspects that lie on kinks and have one of their subgradients.

    All at once first: at points beside, off the kinks, the hand-written gradient is smooth and
    easily held to the truth; it must span what it is here. What that leaves is looked at one by
    one, largest errors first. What nobody looked at is not called wrong.
    """
    clock, rng = trial.probe.clock, np.random.default_rng(4)
    far = sideways(trial.probe, trial.reason)
    order = np.flatnonzero(wrong)
    order = order[np.argsort(-trial.error[order], kind="stable")]
    grads: list[Array] = []
    for ways in ({}, {}, *({x.place: w} for x in trial.probe.job.leaves for w in (8.0, -8.0))):
        roomy = trial.roomy(2) and clock.fits(forward=4, backward=1)
        other = beside(trial, ways, rng, far) if roomy else None
        if other is None:
            break
        if (failing := failing_direction(other)) is not None:
            first = trial.entries[order] == locate(other, failing)
            order = np.concatenate([order[first], order[~first]])
            break
        grads.append(other.g)
    else:
        margin = strict + max(1e-5, 2 * far) * np.abs(grads).max(axis=0)
        low, high = np.min(grads, axis=0), np.max(grads, axis=0)
        spanned = between(trial.g, low, high, margin) & between(trial.true, low, high, margin)
        order = order[~spanned[order]]
    verdict = np.zeros(len(wrong), dtype=bool)
    for i in order:
        if not clock.fits(forward=2, complex=2):
            break
        verdict[i] = not is_subgradient(trial, int(i), strict[i])
    cleared = np.flatnonzero(wrong & ~verdict)
    trial.kinks += trial.entries[cleared].tolist()
    trial.true[cleared] = trial.g[cleared]
    return verdict


def on_seams(trial: Trial, wrong: Array, strict: Array) -> Array:
    """Clears tiny errors where two branches meet almost smoothly and backward took the other."""
    tiny = np.flatnonzero(wrong & (trial.error <= 1e-5 * trial.biggest))
    for i in tiny if len(tiny) <= MOST_EXAMINED else ():
        if trial.probe.clock.fits(forward=2, complex=2):
            wrong[i] = not is_subgradient(trial, int(i), strict[i])
    return wrong


def is_subgradient(trial: Trial, i: int, strict: float) -> bool:
    """Whether the i-th visited entry has a slope between those on its two sides, where each output
    may take its own side. The true one must be so as well, or there is more here than a kink."""
    probe, leaf, entry = trial.probe, trial.leaf, int(trial.entries[i])
    far, exact, unit = sideways(probe, trial.reason), not trial.reason, leaf.unit(entry)
    for step in (far, NEARER)[: 1 + (exact and leaf.value.flat[entry] == 0)]:
        step *= float(leaf.scale.flat[entry])
        up, down = probe.dy * slopes_at(probe, {leaf.place: unit}, (step, -step), exact)
        low, high = float(np.minimum(up, down).sum()), float(np.maximum(up, down).sum())
        if np.isfinite(high - low):
            both = np.array([trial.g[i], trial.true[i]])
            margin = strict + max(1e-5, 2 * far) * (high - low)
            return bool(between(both, low, high, margin).all())
    return False


# -- ties ------------------------------------------------------------------------------------------
def together(trials: list[Trial]) -> tuple[float, float, Trial] | None:
    """(hand, true, tensor) where entries that are right one by one are wrong together: ties.

    Moves every entry of every tensor by the same amount, then by the same factor. Tied entries stay
    tied, so the outputs they make stay smooth, and the hand-written gradients must add up to the
    slope there.
    """
    probe, exact = trials[0].probe, not any(trial.reason for trial in trials)
    values = {t.leaf.place: t.leaf.value.astype(np.float64) for t in trials}
    rounding = tol("floor") * probe.job.y_eps * np.abs(probe.dy * probe.job.y0).max(initial=0)
    for deltas in ({place: np.ones(value.shape) for place, value in values.items()}, values):
        slopes, sure = smooth_slopes(probe, deltas, exact)
        weight, slopes = np.where(np.isnan(slopes), 0.0, probe.dy), np.nan_to_num(slopes)
        hands = gradients(probe.job, weight)
        pairs = [(hands[t.place], deltas[t.leaf.place]) for t in trials]
        parts = np.concatenate([(g * delta).ravel() for g, delta in pairs if g is not None])
        size = float(np.abs(weight * slopes).sum() + np.abs(parts).sum())
        hand, true = float(parts.sum()), float(weight @ slopes)
        moves = sum(float(np.abs(d).sum()) for d in deltas.values())
        if np.isfinite(hand - true) and not abs(hand - true) <= 10 * sure * size + rounding * moves:
            return hand, true, next((t for t in trials if t.kinks), trials[0])
    return None


def smooth_slopes(probe: Probe, deltas: Deltas, exact: bool) -> tuple[Array, float]:
    """(the slopes of all outputs along a direction, NaN where those on the two sides differ; how
    sure they are)."""
    sure, floor = 1e-5, 1e-13
    step = sideways(probe, not exact)
    step /= max(float(np.abs(d).max(initial=0)) for d in deltas.values()) or 1.0
    up, down = slopes_at(probe, deltas, (step, -step), exact)
    here = slopes_at(probe, deltas, (0.0,))[0] if exact else up
    if not exact:
        biggest = float(np.abs(up).max(initial=0)) or 1.0
        sure = floor = max(1e-4, 8 * float(probe.rounding.max(initial=0)) / step / biggest)
    near = sure * np.abs(here) + floor * np.abs(here).max(initial=0)
    smooth = (np.abs(up - here) <= near) & (np.abs(down - here) <= near)
    return np.where(smooth, here, np.nan), sure
