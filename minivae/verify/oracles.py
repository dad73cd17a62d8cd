"""One tensor on trial: what the complex step and the differences say of its entries, and how
surely."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minivae.types import Array
from minivae.verify.evaluate import Leaf
from minivae.verify.findiff import Slope
from minivae.verify.tolerances import EPS64, tol
from minivae.verify.votes import Probe

LOST = "the complex step disagrees with converged differences: forward is not analytic ({})"
USUAL = "np.abs, np.sign, np.conj, norm and the like lose the imaginary part"


@dataclass
class Case:
    """One tensor on trial: the hand-written gradient, its noise, and what the oracles say."""

    probe: Probe
    leaf: Leaf
    place: int
    hand: Array
    noise: Array
    eps: float
    seconds: float
    entries: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    true: Array = field(default_factory=lambda: np.zeros(0))
    floor: Array = field(default_factory=lambda: np.zeros(0))
    doubt: Array = field(default_factory=lambda: np.zeros(0))  # the oracle's own error, by entry
    columns: Array | None = None
    reason: str = ""
    near: float | None = None
    notes: list[str] = field(default_factory=list)
    ties: bool = False
    lossy: list[str] = field(default_factory=list)

    @property
    def g(self) -> Array:
        """The hand-written gradient at the visited entries."""
        return self.hand.ravel()[self.entries]

    @property
    def difference_tolerance(self) -> float:
        coarse = self.probe.job.y_eps > EPS64
        return tol("finite_difference32" if coarse else "finite_difference")

    def reliable(self, slope: Slope, scale: float) -> bool:
        limit = tol("reliable32" if self.probe.job.y_eps > EPS64 else "reliable")
        return bool(slope.error <= limit * max(scale, abs(slope.value)))


def lost(case: Case) -> str:
    """Why the complex step cannot be believed, with the functions seen to lose the imaginary
    part."""
    return LOST.format(f"it calls {', '.join(case.lossy)}" if case.lossy else USUAL)


# -- oracles ------------------------------------------------------------------------------------
def choose_entries(case: Case) -> None:
    """Every entry where the time allows; else a random sample with the largest ones."""
    size = case.leaf.value.size
    calls = (
        16 if case.reason else 1
    )  # a difference takes many evaluations where a complex step takes one
    afford = int(max(24, case.seconds / (calls * case.probe.cost)))
    if size <= min(afford, 20_000):
        case.entries = np.arange(size)
        return
    order = np.argsort(np.abs(case.hand.ravel()))
    few = case.probe.rng.choice(size, 16, replace=False)
    case.entries = np.unique(np.concatenate([few, order[-4:], order[:4]]))


def by_complex_step(case: Case) -> None:
    """True values, floors and (where small) the Jacobian's columns of the visited entries."""
    dy, y0 = case.probe.dy, case.probe.job.y0
    weight = np.abs(dy * y0)
    count, chunk = len(case.entries), max(1, 4_000_000 // max(1, y0.size))
    true, floor, kept = np.empty(count), np.empty(count), []
    for first in range(0, count, chunk):
        part = slice(first, first + chunk)
        block = case.probe.columns(case.leaf, case.entries[part])
        true[part] = dy @ block
        touched = np.where(block != 0, weight[:, None], 0.0).max(axis=0)
        floor[part] = np.where(touched > 0, touched, weight.max(initial=0))
        kept.append(block)
    case.columns = np.concatenate(kept, axis=1) if count <= chunk else None
    case.true, case.floor = true, tol("floor") * case.eps * floor
    case.doubt = np.zeros(count)


def by_differences(case: Case, which: Array) -> None:
    """Differences in place of the complex step for the entries marked in `which`."""
    scale = float(np.abs(case.hand).max(initial=0))
    for i in np.flatnonzero(which):
        slope = case.probe.entry_slope(case.leaf, int(case.entries[i]), case.near)
        inside = min(slope.left, slope.right), max(slope.left, slope.right)
        hand = case.g[i]
        margin = 1e-5 * max(scale, abs(hand))
        if slope.kink and inside[0] - margin <= hand <= inside[1] + margin:
            case.true[i], case.doubt[i] = (
                hand,
                margin,
            )  # any value between the sides is a subgradient
            continue
        case.true[i] = slope.value
        case.doubt[i] = 4 * slope.error if np.isfinite(slope.error) else np.inf


def tolerances(case: Case) -> Array:
    """How far hand and oracle may be apart, entry by entry."""
    wide = case.eps > EPS64
    size = np.maximum(np.abs(case.g), np.abs(case.true))
    noise = case.noise.ravel()[case.entries]
    typical = float(np.median(case.noise)) if case.noise.size else 0.0
    own = tol("entry32" if wide else "entry") * case.eps * size
    allowed = own + tol("noise") * np.maximum(noise, typical) + case.floor
    if wide:
        allowed = allowed + 16 * case.eps * np.abs(case.hand).max(initial=0)
    measured = (case.doubt > 0) | bool(
        case.lossy
    )  # the differences decide what a lossy call may hide
    biggest = max(
        float(np.abs(case.hand).max(initial=0)),
        float(np.abs(case.true[np.isfinite(case.true)]).max(initial=0)),
    )
    return np.where(measured, allowed + case.doubt + case.difference_tolerance * biggest, allowed)


def fill(case: Case) -> None:
    """Runs the best oracle there is over the visited entries."""
    count = len(case.entries)
    case.true, case.floor, case.doubt = np.full(count, np.nan), np.zeros(count), np.zeros(count)
    if not case.reason:
        by_complex_step(case)
        missing = ~np.isfinite(case.true)
        if missing.any():
            case.notes.append(
                f"{case.leaf.name}: complex numbers break down in {int(missing.sum())} entries; "
                "differences there"
            )
            by_differences(case, missing)
    else:
        by_differences(case, np.ones(count, dtype=bool))


def contradicted(case: Case, slope: Slope, delta: Array) -> bool:
    """Whether converged differences along a direction contradict the complex step."""
    pushed = float(case.probe.dy @ case.probe.push(case.leaf, delta))
    scale = max(abs(pushed), abs(slope.value), float(np.abs(case.hand * delta).sum()))
    if not np.isfinite(pushed) or not case.reliable(slope, scale):
        return False
    gap = abs(pushed - slope.value)
    return not gap <= 8 * slope.error + 10 * case.difference_tolerance * scale


def distrust(case: Case, slope: Slope, delta: Array) -> None:
    """Where converged differences contradict the complex step, they take its place."""
    if case.reason or not contradicted(case, slope, delta):
        return
    kept = case.true.copy()
    everything = np.ones(len(case.entries), dtype=bool)
    by_differences(case, everything)
    span = np.abs(kept).max(initial=0) + np.abs(case.true).max(initial=0)
    agree = ~(np.abs(kept - case.true) > case.doubt + 1e-6 * span)
    case.true, case.doubt = np.where(agree, kept, case.true), np.where(agree, 0.0, case.doubt)
    if not agree.all():
        case.reason = lost(case)


def index_of(case: Case, i: int) -> tuple[int, ...]:
    """The index in the tensor of the i-th visited entry."""
    return tuple(int(n) for n in np.unravel_index(int(case.entries[i]), case.leaf.value.shape))
