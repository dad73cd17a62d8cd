"""A backend's kernels against the reference: budgets derived from float32 itself, in units of
last places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.ops import record
from minivae.ops.table import FUNCTIONS
from minivae.proof.cancellation import largest_term, ulps
from minivae.proof.kernel_points import SIZES, arguments
from minivae.proof.product_rounding import in_sequence_too, input_rounding, rounding_bound
from minivae.proof.tolerances import tol
from minivae.types import EPS32, Array

ELEMENTWISE = frozenset(name for name, f in FUNCTIONS.items() if f.kind == record.ELEMENTWISE)
EXACT = frozenset(name for name, f in FUNCTIONS.items() if f.kind == record.EXACT)
TINY = float(np.finfo(np.float32).tiny)  # float32's smallest number with all its digits
IN_PLACE = frozenset(name for name, f in FUNCTIONS.items() if f.in_place)


class KernelRow(NamedTuple):
    """One output of one kernel over all sizes: its error and the reference's, and its ULPs."""

    op: str
    output: int
    error: float  # rms of |kernel - float64| over the largest entry, at the worst size
    allowed: float  # what that error was measured against, at the same size
    ulp_p99: float
    ulp_worst: float
    at: tuple[int, ...]
    value: float
    true: float
    size: tuple[int, ...]
    problem: str  # '' or what is wrong

    @property
    def ok(self) -> bool:
        return not self.problem


def widened(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """float32 arrays as float64 copies."""
    return tuple(
        a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else copied(a)
        for a in args
    )


def copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def run(function: Callable[..., Any], op: str, args: tuple[Any, ...], K: Any = None) -> list[Array]:
    """The outputs as host arrays; for an op that works in place, the arguments it changes."""
    if K is None:
        result = function(*args)
        outputs = args[:4] if op in IN_PLACE else result
    else:
        args = tuple(K.to_device(a) if isinstance(a, np.ndarray) else a for a in args)
        result = function(*args)
        outputs = args[:4] if op in IN_PLACE else result
    if op in IN_PLACE:
        outputs = tuple(a for a in outputs if getattr(a, "ndim", 0))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [np.asarray(K.to_host(a) if K is not None else a) for a in outputs]


def poison() -> None:
    """Leave NaN in freshly freed memory, so that an output nobody wrote shows."""
    for size in (64, 1024, 16384, 262144):
        np.full(size, np.nan, dtype=np.float32)


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values * values))) if values.size else 0.0


class KernelCall(NamedTuple):
    """One call: the arguments as they were, float64's outputs, float32's, the kernel's."""

    args: tuple[Any, ...]
    exact: list[Array]
    float32: list[Array]
    kernel: list[Array]
    changed: bool  # whether the kernel wrote to its inputs


def attempt(op: str, K: Any, args: tuple[Any, ...]) -> KernelCall:
    """The kernel, the float32 reference and float64 on the same arguments."""
    reference = getattr(ops, op)
    kept = tuple(copied(a) for a in args)
    exact = run(reference, op, widened(args))
    rough = run(reference, op, tuple(copied(a) for a in args))
    poison()
    mine = run(getattr(K, op), op, args, K)
    changed = op not in IN_PLACE and any(
        isinstance(a, np.ndarray) and not np.array_equal(a, b)
        for a, b in zip(args, kept, strict=True)
    )
    return KernelCall(kept, exact, rough, mine, changed)


# Of a few numbers float32 may be exact by luck, and twice its error is then nothing: outputs with
# fewer entries than this are judged over so many draws together.
FEW, DRAWS = 32, 16


def compare(
    op: str, K: Any, rng: np.random.Generator, size: tuple[int, int, int, int]
) -> Iterator[KernelRow]:
    """One op at one size: the kernel, the float32 reference and float64."""
    trials = [attempt(op, K, arguments(op, rng, size))]
    wanted = len(trials[0].exact)
    if len(trials[0].kernel) != wanted:
        problem = f"{len(trials[0].kernel)} outputs for {wanted}"
        yield KernelRow(op, 0, np.inf, 0, 0, 0, (), 0, 0, size, problem)
        return
    if op not in EXACT and min(output.size for output in trials[0].exact) < FEW:
        trials += [attempt(op, K, arguments(op, rng, size)) for _ in range(DRAWS - 1)]
    for place in range(wanted):
        row = judge_trials(op, place, trials, size, K)
        changed = any(trial.changed for trial in trials)
        yield row._replace(problem="changes its inputs") if changed and row.ok else row


def flushed(K: Any, args: tuple[Any, ...]) -> float:
    """What a number below 1.2e-38 that is taken for 0 may move an output; mostly 0.

    A card does so where CuPy compiles: x s(u) loses x times that number. Any argument may be x.
    """
    if not getattr(K, "flushes", False):
        return 0.0
    floats = (a for a in args if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size)
    return TINY * max([1.0, *(float(np.abs(a).max()) for a in floats)])


def judge_trials(
    op: str, place: int, trials: list[KernelCall], size: tuple[int, ...], K: Any
) -> KernelRow:
    """`judge` on one output of all trials of K together: of several, the draws come first."""

    def all_of(values: list[Any]) -> Array:
        return np.asarray(values[0]) if len(values) == 1 else np.stack(values)

    rivals = [all_of([trial.float32[place] for trial in trials])]
    others = [in_sequence_too(op, trial.args) for trial in trials]
    if others[0]:
        rivals.append(all_of([other[0] for other in others]))
    true = all_of([trial.exact[place] for trial in trials])
    u = input_rounding(K)
    slack = [rounding_bound(op, t.args, place, u) + flushed(K, t.args) for t in trials]
    terms = [np.asarray(largest_term(op, place, trial.args)) for trial in trials]
    spread = (-1,) + (1,) * (true.ndim - 1)  # a scalar of each draw beside its entries
    slack_of, term_of = all_of(slack), all_of(terms)
    if len(trials) > 1:
        slack_of = slack_of.reshape(spread) if slack_of.ndim == 1 else slack_of
        term_of = term_of.reshape(spread) if term_of.ndim == 1 else term_of
    kernel = all_of([trial.kernel[place] for trial in trials])
    return judge(op, place, kernel, rivals, true, size, slack_of, term_of)


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
        return KernelRow(op, place, np.inf, 0, 0, 0, (), 0, 0, size, problem)
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
    p99 = worst = 0.0
    problem = ""
    if not np.isfinite(wide).all():
        problem = "NaN or inf: an output was not written"
    elif op in EXACT:
        problem = "" if np.array_equal(kernel, float32) else "not the reference's bits"
    elif op in ELEMENTWISE:
        each, base = ulps(kernel, exact, term, slack), ulps(float32, exact, term)
        worst = float(each.max())
        # of fewer than a hundred, the 99th percentile is the worst one again
        p99 = float(np.percentile(each, 99)) if each.size >= 100 else 0.0
        p99_limit = max(tol("ulp_p99"), tol("budget_factor") * float(np.percentile(base, 99)))
        limit = max(tol("ulp_worst"), tol("budget_factor") * float(base.max()))
        if not (p99 <= p99_limit and worst <= limit):
            problem = f"{p99:.1f} ULP at the 99th percentile, {worst:.1f} at worst"
    elif not error <= allowed:
        problem = f"rms error {error:.2g} of the largest entry, allowed {allowed:.2g}"
    elif not tail <= tail_allowed:
        problem = f"worst error {tail:.2g} of the largest entry, allowed {tail_allowed:.2g}"
    return KernelRow(
        op, place, error, allowed, p99, worst, at, float(wide[at]), float(exact[at]), size, problem
    )


def check_kernels(K: Any, names: list[str] | None = None, seed: int = 1) -> list[KernelRow]:
    """The worst row of every output of every op of backend K, over all sizes.

    What a backend leaves to the reference is no kernel of its own, and is not tried.
    """
    rows: dict[tuple[str, int], KernelRow] = {}
    own = [op for op in ops.OPS if getattr(K, op) is not getattr(ops, op)]
    for op in own or ops.OPS:
        if names and op not in names and op.rsplit("_", 1)[0] not in names:
            continue
        for number, size in enumerate(SIZES):
            rng = np.random.default_rng([seed, number])
            try:
                found = list(compare(op, K, rng, size))
            except MemoryError:  # says nothing about the kernel
                raise
            except Exception as error:
                text = f"raised {type(error).__name__}: {' '.join(str(error).split())}"
                found = [KernelRow(op, 0, np.inf, 0, 0, 0, (), 0, 0, size, text)]
            for row in found:
                key = (op, row.output)
                old = rows.get(key)
                if old is None or rank(row) > rank(old):
                    rows[key] = row
    return list(rows.values())


def rank(row: KernelRow) -> tuple[bool, float]:
    return (not row.ok, row.error / row.allowed if row.allowed > 0 else row.error)


def threads_agree(make: Callable[[int], Any], counts: tuple[int, ...] = (1, 2)) -> list[str]:
    """Ops whose results depend on the number of threads; `make` loads the backend with that
    many."""
    backends = [make(count) for count in counts]
    different = []
    for op in ops.OPS:
        for size in SIZES[-2:]:
            results = [
                run(getattr(K, op), op, arguments(op, np.random.default_rng(9), size), K)
                for K in backends
            ]
            same = all(
                np.array_equal(a, b)
                for other in results[1:]
                for a, b in zip(results[0], other, strict=True)
            )
            if not same and op not in different:
                different.append(op)
    return different
