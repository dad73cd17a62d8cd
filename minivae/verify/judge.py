"""Weighs what the oracles say of one tensor: which entries are wrong, and which only look it, by
rounding, on a kink, or where the oracle itself fails."""

from __future__ import annotations

import numpy as np

from minivae.types import Array
from minivae.verify.derivatives import Slope
from minivae.verify.directions import Point, failing_direction, locate
from minivae.verify.kinks import MOST_EXAMINED, beside, has_kinks, on_kinks
from minivae.verify.oracles import (
    Trial,
    choose_entries,
    fill,
    not_analytic,
    rounding_tolerance,
    strict_tolerance,
)
from minivae.verify.rounding import moved_errors, rounding_explains, worst_and_random


def judge(trial: Trial) -> tuple[Array, Slope, Array]:
    """(which visited entries are wrong, a slope by differences, the direction it is along)."""
    probe, leaf = trial.probe, trial.leaf
    trial.reason = probe.complex_reason(leaf)
    delta = probe.signs(leaf.value.shape) * probe.scale(leaf)
    slope = Slope(np.nan, np.inf, np.nan, np.nan, False, np.nan)
    if trial.reason or probe.clock.left() > 20 * probe.cost:
        slope = probe.slope(probe.line(leaf, delta), leaf)
    trial.near = slope.step if np.isfinite(slope.step) else None
    unsure = bool(probe.seen) and not trial.reliable(slope, 0.0)
    taken = not trial.reason and np.isfinite(slope.value)
    if taken and (unsure or contradicted(trial, slope, delta)):
        trial.reason = not_analytic(trial)
    choose_entries(trial)
    failing = None if trial.complete else failing_direction(trial, (probe, trial.hand))
    wrong = compare(trial)
    if failing is not None and not wrong.any():
        wrong = search(trial, wrong, failing)
    if trial.complete:
        biggest = float(np.abs(trial.hand).max(initial=0))
        sure = strict_tolerance(trial)
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
def search(trial: Trial, wrong: Array, failing: Array) -> Array:
    """Follows a probe that failed to its entry, and compares that one too; where the point lies on
    kinks, only if a probe beside them fails as well."""
    point: Point = (trial.probe, trial.hand)
    if not trial.reason and has_kinks(trial):
        other = beside(trial, np.zeros(trial.hand.shape), np.random.default_rng(3))
        found = failing_direction(trial, other) if other else None
        if other is None or found is None:
            return wrong
        point, failing = other, found
    entry = locate(trial, point, failing)
    if entry in trial.entries:
        return wrong
    trial.entries = np.union1d(trial.entries, [entry])
    return compare(trial)


# -- suspects --------------------------------------------------------------------------------------
def compare(trial: Trial) -> Array:
    """Which of the visited entries are wrong: not those that rounding explains, that sit on a kink,
    or whose oracle is wrong."""
    fill(trial)
    wrong = ~(np.abs(trial.g - trial.true) <= strict_tolerance(trial))
    if not wrong.any():
        return np.asarray(wrong)
    error = np.where(np.isfinite(trial.true), np.abs(trial.g - trial.true), np.inf)
    strict = strict_tolerance(trial)
    small = wrong & (error <= rounding_tolerance(trial))
    if small.any() and trial.probe.clock.left() < 0:
        wrong = wrong & ~small  # nobody has looked at them
    elif small.any():
        slow = 200 * trial.probe.cost > trial.probe.clock.left()
        picks = worst_and_random(trial, small, error, 3 if slow else 12)
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
        trial.reason = not_analytic(trial)
        if len(trial.entries) > MOST_EXAMINED * 16:
            keep = worst_and_random(trial, wrong, error, MOST_EXAMINED)
            trial.entries, trial.true = trial.entries[keep], trial.true[keep]
        fill(trial)
        trial.columns = None
        return np.asarray(~(np.abs(trial.g - trial.true) <= rounding_tolerance(trial)))
    return wrong
