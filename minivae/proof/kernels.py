"""A backend's kernels against the reference, op by op and size by size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.ops.table import FUNCTIONS
from minivae.proof.cancellation import largest_term
from minivae.proof.kernel_points import SIZES, arguments
from minivae.proof.kernel_verdict import EXACT, KernelRow, failed, judge
from minivae.proof.product_rounding import in_sequence_too, input_rounding, rounding_bound
from minivae.types import Array
from minivae.types.foreign import one_line

TINY = float(np.finfo(np.float32).tiny)  # float32's smallest number with all its digits
IN_PLACE = frozenset(name for name, f in FUNCTIONS.items() if f.in_place)


def widened(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """float32 arrays as float64 copies."""
    return tuple(
        a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 else copied(a)
        for a in args
    )


def copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def outputs_of(op: str, function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
    """What the call returns; for an op that works in place, the arguments it changes."""
    result = function(*args)
    changes = FUNCTIONS[op].in_place
    if changes:
        result = tuple(a for name, a in zip(FUNCTIONS[op].args, args, strict=True)
                       if name in changes)  # fmt: skip
    return list(result) if isinstance(result, tuple) else [result]


def on_host(op: str, args: tuple[Any, ...]) -> list[Array]:
    """The reference's outputs."""
    return [np.asarray(a) for a in outputs_of(op, getattr(ops, op), args)]


def by_kernel(K: Any, op: str, args: tuple[Any, ...]) -> tuple[list[Array], bool]:
    """The kernel's outputs on the host, and whether it wrote to what it only had to read."""
    there = tuple(K.to_device(a) if isinstance(a, np.ndarray) else a for a in args)
    kept = [copied(a) for a in args]
    found = [np.asarray(K.to_host(a)) for a in outputs_of(op, getattr(K, op), there)]
    changed = any(
        np.asarray(K.to_host(mine)).tobytes() != before.tobytes()
        for name, mine, before in zip(FUNCTIONS[op].args, there, kept, strict=True)
        if isinstance(before, np.ndarray) and name not in FUNCTIONS[op].in_place
    )
    return found, changed


def poison(K: Any, outputs: list[Array]) -> None:
    """Leave NaN in memory that is freed at once: an output that nobody wrote shows.

    On the host in blocks of several sizes; on a device in blocks as the outputs will need.
    """
    for size in (64, 1024, 16384, 262144):
        np.full(size, np.nan, dtype=np.float32)
    for output in outputs:
        if output.dtype.kind == "f":
            K.to_device(np.full_like(output, np.nan))


class KernelCall(NamedTuple):
    """One call: the arguments as they were, float64's outputs, float32's, the kernel's."""

    args: tuple[Any, ...]
    exact: list[Array]
    float32: list[Array]
    kernel: list[Array]
    changed: bool  # whether the kernel wrote to its inputs


def attempt(op: str, K: Any, args: tuple[Any, ...]) -> KernelCall:
    """The kernel, the float32 reference and float64 on the same arguments."""
    kept = tuple(copied(a) for a in args)
    exact = on_host(op, widened(args))
    rough = on_host(op, tuple(copied(a) for a in args))
    poison(K, rough)
    mine, changed = by_kernel(K, op, args)
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
        yield failed(op, 0, size, problem)
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


def own_kernels(K: Any) -> list[str]:
    """The ops that backend K does not leave to the reference; all, where it is the reference."""
    own = [op for op in ops.OPS if getattr(K, op) is not getattr(ops, op)]
    return own or list(ops.OPS)


def meant(name: str, op: str) -> bool:
    """Is an op meant by a name: its own, or its pair's ("kl" for `kl_backward`)?"""
    return name in (op, FUNCTIONS[op].op.name)


def chosen(K: Any, names: list[str] | None) -> list[str]:
    """The kernels of backend K that are meant, all where nothing is named.

    Raises KeyError for a name that no op has, or whose ops K leaves to the reference.
    """
    own = own_kernels(K)
    for name in names or []:
        if not any(meant(name, op) for op in ops.OPS):
            raise KeyError(f"no op called {name}: see minivae info, or leave it out")
        if not any(meant(name, op) for op in own):
            raise KeyError(f"the backend has no kernel of {name}: the reference does it")
    return [op for op in own if not names or any(meant(name, op) for name in names)]


def check_kernels(K: Any, names: list[str] | None = None, seed: int = 1) -> list[KernelRow]:
    """The worst row of every output of every op of backend K, over all sizes.

    What a backend leaves to the reference is no kernel of its own, and is not tried. Raises
    KeyError for a name that means none of its kernels.
    """
    rows: dict[tuple[str, int], KernelRow] = {}
    for op in chosen(K, names):
        for number, size in enumerate(SIZES):
            for row in tried(op, K, np.random.default_rng([seed, number]), size):
                old = rows.get((op, row.output))
                if old is None or row.rank > old.rank:
                    rows[op, row.output] = row
    return list(rows.values())


def tried(
    op: str, K: Any, rng: np.random.Generator, size: tuple[int, int, int, int]
) -> list[KernelRow]:
    """The rows of one op at one size; a kernel that raises has one that says so."""
    try:
        return list(compare(op, K, rng, size))
    except MemoryError:  # says nothing about the kernel
        raise
    except Exception as error:
        return [failed(op, 0, size, raised(error))]


def raised(error: Exception) -> str:
    """What a kernel raised, in one line."""
    return f"raised {one_line(error)}"
