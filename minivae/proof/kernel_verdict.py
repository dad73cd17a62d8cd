"""The verdict on one output of a kernel: budgets derived from float32 itself, in units of last
places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minivae.ops import record
from minivae.ops.table import FUNCTIONS
from minivae.proof.cancellation import ulps
from minivae.proof.tolerances import tol
from minivae.types import EPS32, Array

ELEMENTWISE = frozenset(name for name, f in FUNCTIONS.items() if f.kind == record.ELEMENTWISE)
EXACT = frozenset(name for name, f in FUNCTIONS.items() if f.kind == record.EXACT)


class KernelRow(NamedTuple):
    """One output of one kernel over all sizes: its error and the reference's, and its ULPs.

    The ULPs are None where none were counted: for bits, products and sums, and the 99th percentile
    of fewer than a hundred numbers.
    """

    op: str
    output: int
    error: float  # rms of |kernel - float64| over the largest entry, at the worst size
    allowed: float  # what that error was measured against, at the same size
    ulp_p99: float | None
    ulp_worst: float | None
    at: tuple[int, ...]
    value: float
    true: float
    size: tuple[int, ...]
    problem: str  # '' or what is wrong

    @property
    def ok(self) -> bool:
        return not self.problem

    @property
    def rank(self) -> tuple[bool, float]:
        """Where it stands among an output's rows at other sizes: the largest is the worst.

        A NaN among right rows cannot be: what is not finite is wrong.
        """
        if self.ulp_worst is not None:
            return not self.ok, self.ulp_worst
        return not self.ok, self.error / self.allowed if self.allowed > 0 else self.error


def failed(op: str, output: int, size: tuple[int, ...], problem: str) -> KernelRow:
    """The row of an output that cannot even be compared."""
    return KernelRow(op, output, np.inf, 0, None, None, (), 0, 0, size, problem)


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values * values))) if values.size else 0.0


def judge(
    op: str,
    place: int,
    kernel: Array,
    rivals: list[Array],
    true: Array,
    size: tuple[int, ...],
    slack: Array | float = 0.0,
    term: Array | float = 0.0,
) -> KernelRow:
    """Bits where bits are promised, units in the last place where elementwise, a budget
    elsewhere: what an entry's error exceeds its slack by is held to float32's budget. A last
    place is that of the entry or of its largest term."""
    float32 = rivals[0]
    if kernel.shape != true.shape or kernel.dtype != float32.dtype:
        problem = f"{kernel.dtype} {kernel.shape} for {float32.dtype} {true.shape}"
        return failed(op, place, size, problem)
    wide, exact = kernel.astype(np.float64), true.astype(np.float64)
    gap = np.maximum(np.abs(wide - exact) - slack, 0.0)  # NaN stays
    at = tuple(
        int(i)
        for i in np.unravel_index(int(np.argmax(np.where(np.isnan(gap), np.inf, gap))), gap.shape)
    )
    biggest = float(np.abs(exact).max(initial=0)) or 1.0
    owns = [np.abs(rival.astype(np.float64) - exact) for rival in rivals]
    error, tail = rms(gap) / biggest, float(gap[at]) / biggest
    # A reference that happens to be exact leaves nothing to double: one rounding is always allowed.
    allowed = tol("budget_factor") * max(*(rms(own) / biggest for own in owns), EPS32 / 4)
    tails = (float(own.max(initial=0)) / biggest for own in owns)
    tail_allowed = tol("budget_tail") * max(*tails, EPS32)
    p99 = worst = None
    problem = ""
    if not np.isfinite(wide).all():
        problem = "NaN or inf: an output was not written"
    elif op in EXACT:
        problem = "" if kernel.tobytes() == float32.tobytes() else "not the reference's bits"
    elif op in ELEMENTWISE:
        each, base = ulps(kernel, exact, term, slack), ulps(float32, exact, term)
        worst = float(each.max())
        limit = max(tol("ulp_worst"), tol("budget_factor") * float(base.max()))
        if not worst <= limit:
            problem = f"{worst:.1f} ULP at worst, allowed {limit:.1f}"
        if each.size >= 100:  # of fewer, the 99th percentile is the worst one again
            p99 = float(np.percentile(each, 99))
            limit = max(tol("ulp_p99"), tol("budget_factor") * float(np.percentile(base, 99)))
            if not p99 <= limit:
                problem = f"{p99:.1f} ULP at the 99th percentile, allowed {limit:.1f}"
    elif not error <= allowed:
        problem = f"rms error {error:.2g} of the largest entry, allowed {allowed:.2g}"
    elif not tail <= tail_allowed:
        problem = f"worst error {tail:.2g} of the largest entry, allowed {tail_allowed:.2g}"
    return KernelRow(
        op, place, error, allowed, p99, worst, at, float(wide[at]), float(exact[at]), size, problem
    )
