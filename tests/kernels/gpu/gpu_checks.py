"""How far a kernel may be from float64, checked the same way on the host and on a card."""

from __future__ import annotations

from typing import Any

import numpy as np
from gpu_cases import as_type, cases

from minivae import ops
from minivae.proof.cancellation import ulps
from minivae.proof.kernels import DRAWS, FEW, KernelCall, attempt, judge_trials
from minivae.proof.tolerances import tol


def worst(got: np.ndarray, exact: np.ndarray) -> float:
    """The largest error of any entry; NaN if any is NaN."""
    return float(np.max(np.abs(got.astype(np.float64) - exact), initial=0.0))


def check_ulps(what: str, got: np.ndarray, single: np.ndarray, exact: np.ndarray) -> None:
    """6 ULP at most and 2 at the 99th percentile, or twice what the float32 reference needs."""
    factor = tol("budget_factor")
    off, theirs = ulps(got, exact), ulps(single, exact)
    assert float(off.max()) <= max(tol("ulp_worst"), factor * float(theirs.max())), what
    if off.size >= 100:
        limit = max(tol("ulp_p99"), factor * np.percentile(theirs, 99))
        assert np.percentile(off, 99) <= limit, what


def call(K: Any, op: str, args: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    """The op on the backend's own arrays; -> its outputs on the host."""
    there = tuple(K.to_device(a) if isinstance(a, np.ndarray) else a for a in args)
    result = getattr(K, op)(*there)
    return tuple(map(K.to_host, result if isinstance(result, tuple) else (result,)))


def check_op(K: Any, op: str, shape: str) -> None:
    """As `minivae verify` judges, over draws of the inputs at one of the kernels' odd shapes.

    Of outputs with few entries many draws together: a lone figure's luck decides nothing.
    """

    def trial(seed: int) -> KernelCall:
        return attempt(op, K, as_type(cases(shape, seed)[op], np.float32))

    trials = [trial(3)]
    more = DRAWS if min(output.size for output in trials[0].exact) < FEW else 3
    trials += map(trial, range(4, 3 + more))
    for tried in trials:
        assert len(tried.kernel) == len(tried.exact), f"{op}: {len(tried.kernel)} outputs"
        assert not tried.changed, f"{op}: changes its inputs"
    for place in range(len(trials[0].exact)):
        row = judge_trials(op, place, trials, (), K)
        assert row.ok, f"{op}: output {place}: {row.problem}"


def check_noise(K: Any, count: int) -> None:
    """Normals and uniforms of many samples, backwards, have the processor's bits."""
    samples = np.arange(count)[::-1]
    for name in ("normals", "uniforms"):
        ours = K.to_host(getattr(K, name)(2**40 + 3, 2, 9, samples, 257))
        assert ours.tobytes() == getattr(ops, name)(2**40 + 3, 2, 9, samples, 257).tobytes(), name
