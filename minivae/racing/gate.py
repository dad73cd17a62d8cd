"""The gate: an answer is judged entry by entry against the reference in a wider precision.

Every comparison is written so that NaN fails. What is allowed follows from the working precision
itself (`verify/tolerances.py`) and from how far the reference, in that same precision, is off:

    exact        the same bits
    elementwise  units in the last place, of the entry or of its largest term
    product      each entry's error, against what n roundings of its sum may do
    reduction    root mean square and worst error, against the largest entry
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.proof.tolerances import tol
from minivae.racing.problem import Args, Problem, outputs_of, widened
from minivae.types import Array

# Six deviations of the sum of n roundings, for the worst of a million entries, and some room.
PRODUCT_FACTOR = 8.0
# A plain reference whose own entries are all this exact works entry by entry: so must a rival.
POINTWISE = 8.0
# One number's rounding is a matter of luck: in a result of fewer, the reference is asked again.
FEW, AGAIN = 8, 6


class GateError(AssertionError):
    """A wrong answer; the message says which number, and by how much."""


def one_blas_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run the reference on one BLAS thread: on a busy machine several wait for each other."""

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        import threadpoolctl

        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            return function(*args, **named)

    return run


def wider(args: Args) -> Any:
    """The type in which a right answer is computed: float64, or what exceeds it for float64."""
    floats = [a.dtype for a in args if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return np.longdouble if any(d.itemsize >= 8 for d in floats) else np.float64


@one_blas_thread
def judge(problem: Problem, args: Args, got: list[Array]) -> float:
    """The worst error, as a share of what rounding allows; GateError above the slack, or at NaN.

    args: the arguments as they were before the call that produced `got`.
    """
    with np.errstate(all="ignore"):
        rough, true = (_answer(problem, args, wide) for wide in (None, wider(args)))
        usual = _usual_errors(problem, args, true)
        if len(got) != len(true):
            raise GateError(f"{problem.name}: {len(got)} results, expected {len(true)}")
        shares = [0.0]
        for place, (mine, float32, exact) in enumerate(zip(got, rough, true, strict=True)):
            label = problem.name if len(true) == 1 else f"{problem.name}, result {place}"
            fits(label, mine, float32)
            shares.append(_share(problem, args, place, label, mine, float32, exact, usual[place]))
    return problem.slack * max(shares)


def check(problem: Problem, call: Callable[..., Any], seed: int = 0) -> float:
    """Two fresh inputs, both answers judged after the second call: a quick look, without a clock.

    A kernel that keeps an answer, or hands out a buffer that it overwrites, fails.
    """
    kept = []
    for k in (0, 1):
        args = problem.make(np.random.default_rng((seed, k)))
        before = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
        kept.append((before, outputs_of(call(*args), args, problem.mutates)))
    return max(judge(problem, before, [np.asarray(g) for g in got]) for before, got in kept)


def _answer(problem: Problem, args: Args, wide: Any) -> list[Array]:
    if problem.kind == "exact" or wide is None:
        copies = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
    else:
        copies = widened(args, wide)
    result = problem.reference(*copies)
    return [np.asarray(a) for a in outputs_of(result, copies, problem.mutates)]


def fits(label: str, got: Array, want: Array) -> None:
    """The right shape and type, before any number is looked at."""
    if got.shape != want.shape:
        raise GateError(f"{label}: shape {got.shape}, expected {want.shape}")
    if got.dtype != want.dtype:
        raise GateError(f"{label}: {got.dtype}, expected {want.dtype}")


def _share(
    problem: Problem, args: Args, place: int, label: str, got: Array, rough: Array, true: Array,
    usual: float,
) -> float:  # fmt: skip
    if true.size == 0:
        return 0.0
    if problem.kind == "exact" or true.dtype.kind != "f":
        same = (got == rough) | ((got != got) & (rough != rough))
        return _held(label, np.where(same, 0.0, 2.0), got, true, "the reference's bits")
    wide, exact = got.astype(true.dtype), true
    gap, own = np.abs(wide - exact) / problem.slack, np.abs(rough.astype(true.dtype) - exact)
    if problem.kind == "elementwise":
        return _pointwise(problem, args, place, label, got, gap, own, exact)
    if problem.kind == "product" and place == 0:
        bound = product_bound(problem, args, true, got.dtype)
        return _held(label, gap / bound, got, true, "the rounding of a product")
    return _reduced(label, got, gap, np.maximum(own, usual), exact)


def _usual_errors(problem: Problem, args: Args, true: list[Array]) -> list[float]:
    """How far off the reference usually is in sums that are few numbers: where inputs round so.

    A sum of many terms that nearly cancel may be right to the last place by luck, and a better
    kernel not. Root mean squares over inputs nudged by a unit in the last place; 0 for the rest.
    """
    few = [t.dtype.kind == "f" and 0 < t.size < FEW for t in true]
    if problem.kind != "reduction" or not any(few):
        return [0.0] * len(true)
    rng, squares = np.random.default_rng(0), np.zeros(len(true))
    for _ in range(AGAIN):
        answers = _answer(problem, tuple(_nudged(a, rng) for a in args), None)
        squares += [float(np.square(a.astype(t.dtype) - t).mean()) if some else 0.0
                    for a, t, some in zip(answers, true, few, strict=True)]  # fmt: skip
    return [float(np.sqrt(square / AGAIN)) for square in squares]


def _nudged(argument: Any, rng: np.random.Generator) -> Any:
    if not isinstance(argument, np.ndarray) or argument.dtype.kind != "f":
        return argument
    eps = np.finfo(argument.dtype).eps * rng.choice([-1, 1], argument.shape)
    return np.asarray(argument * (1 + eps), dtype=argument.dtype)


def _last_place(exact: Array, term: Any, dtype: Any) -> Array:
    size = np.maximum(np.abs(exact), term).astype(dtype)
    return np.spacing(np.minimum(size, np.finfo(dtype).max / 2)).astype(exact.dtype)


def _pointwise(
    problem: Problem, args: Args, place: int, label: str, got: Array, gap: Array, own: Array,
    exact: Array,
) -> float:  # fmt: skip
    """In units of the last place: the worst entry, and the 99th percentile of many."""
    term: Any = problem.terms[place](*widened(args)) if place < len(problem.terms) else 0.0
    unit = _last_place(exact, term, got.dtype)
    # Where the right answer is beyond the type, both are infinite, or wrong.
    beyond = ~np.isfinite(exact.astype(got.dtype))
    off = np.where(beyond, np.where(got == exact.astype(got.dtype), 0, np.nan), gap / unit)
    base = np.where(beyond, 0, own / unit)
    factor = tol("budget_factor")
    limit = max(tol("ulp_worst"), factor * float(base.max()))
    share = _held(label, off / limit, got, exact, f"{limit:.3g} last places")
    if off.size >= 100:
        most = max(tol("ulp_p99"), factor * float(np.percentile(base, 99)))
        p99 = float(np.percentile(off, 99))
        if not p99 <= most:
            raise GateError(f"{label}: {p99:.3g} last places at the 99th percentile, {most:.3g} "
                            "allowed")  # fmt: skip
        share = max(share, p99 / most)
    return share


def product_bound(problem: Problem, args: Args, true: Array, dtype: Any) -> Array:
    """What rounding may do to each entry of a product of n terms: c u (|a||b| + sqrt(n) |ab|).

    Partial sums of either sign stay below |a||b| / sqrt(n); those of one sign grow to |ab|, and
    there n roundings add up as a random walk. relu and tanh never enlarge an error.
    """
    wide = widened(args)
    absolute = tuple(np.abs(a) if isinstance(a, np.ndarray) else a for a in wide)
    size, value = (_first(problem.linear(*given)) for given in (absolute, wide))
    n = max(1.0, problem.instructions(args) / max(true.size, 1))
    u = float(np.finfo(dtype).eps) / 2
    return np.asarray(PRODUCT_FACTOR * u * (size + np.sqrt(n) * np.abs(value) + 1e-30))


def _first(result: Any) -> Array:
    return np.asarray(result[0] if isinstance(result, tuple) else result)


def _reduced(label: str, got: Array, gap: Array, own: Array, exact: Array) -> float:
    """Against the largest entry; and entry by entry where the reference itself is that exact."""
    eps = float(np.finfo(got.dtype).eps)
    biggest = float(np.abs(exact).max()) or 1.0
    worst = tol("budget_tail") * max(float(own.max()), eps * biggest)
    share = _held(label, gap / worst, got, exact, f"{worst / biggest:.2g} of the largest entry")
    square, mine = (float(np.sqrt(np.mean(np.square(e / biggest)))) for e in (own, gap))
    allowed = tol("budget_factor") * max(square, eps / 4)
    if not mine <= allowed:
        raise GateError(
            f"{label}: rms error {mine:.2g} of the largest entry, {allowed:.2g} allowed"
        )
    unit = _last_place(exact, 0.0, got.dtype)
    if float((own / unit).max()) <= POINTWISE:
        limit = 4 * POINTWISE
        share = max(share, _held(label, gap / unit / limit, got, exact, f"{limit:g} last places"))
    return max(share, mine / allowed)


def worst_entry(errors: Array) -> tuple[tuple[int, ...], str]:
    """The index of the largest error, NaN above all, and that index in words; "" for a scalar."""
    largest = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    at = tuple(int(i) for i in np.unravel_index(largest, errors.shape))
    return at, str(list(at)) if at else ""


def _held(label: str, share: Array, got: Array, true: Array, allowed: str) -> float:
    """The largest share, which must not be above 1; GateError names the entry."""
    if not (share <= 1.0).all():
        at, place = worst_entry(share)
        raise GateError(
            f"{label}{place} is {got[at]:.9g}, the reference {float(true[at]):.9g} "
            f"(more than {allowed} apart)"
        )
    return float(share.max())
