"""How far a kernel may be from float64, checked the same way on the host and on a card."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from gpu_cases import ELEMENTWISE, as_type, cases, parts

from minivae import ops
from minivae.proof.cancellation import largest_term, ulps
from minivae.proof.tolerances import tol

EXACT = (
    "relu_forward",
    "relu_backward",
    "dense_relu_backward",
    "binarise",
    "free_bits_backward",
    "bound_logvar_forward",
    "bound_logvar_backward",
)  # nothing is rounded


def worst(got: np.ndarray, exact: np.ndarray) -> float:
    """The largest error of any entry; NaN if any is NaN."""
    return float(np.max(np.abs(got.astype(np.float64) - exact), initial=0.0))


def check_ulps(
    op: str, got: np.ndarray, single: np.ndarray, exact: np.ndarray, term: Any = 0.0
) -> None:
    """6 ULP at most and 2 at the 99th percentile, or twice what the float32 reference needs.

    As `minivae verify` judges: a card's own exp and expm1 may be one place off, and where terms
    cancel that place is the largest term's.
    """
    factor = tol("budget_factor")
    off, theirs = ulps(got, exact, term), ulps(single, exact, term)
    assert float(off.max()) <= max(tol("ulp_worst"), factor * float(theirs.max())), op
    if off.size >= 100:
        assert np.percentile(off, 99) <= max(tol("ulp_p99"), factor * np.percentile(theirs, 99)), op


def call(K: Any, op: str, args: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    """The op on the backend's own arrays; -> its outputs on the host."""
    there = tuple(K.to_device(a) if isinstance(a, np.ndarray) else a for a in args)
    result = getattr(K, op)(*there)
    return tuple(map(K.to_host, result if isinstance(result, tuple) else (result,)))


def check_op(K: Any, op: str, shape: str) -> None:
    """Over six draws of the inputs, so that a lone figure's luck decides nothing."""
    reference, own, mine = getattr(ops, op), defaultdict(float), defaultdict(float)
    for seed in range(3, 9 if shape != "tall" else 4):
        args = cases(shape, seed)[op]
        single_args = as_type(args, np.float32)
        exact, single = parts(reference(*args)), parts(reference(*single_args))
        got = call(K, op, single_args)
        assert len(got) == len(exact)
        for i, (a, b, truth) in enumerate(zip(got, single, exact, strict=True)):
            assert a.shape == truth.shape and a.dtype == np.float32
            # At least one place of the largest entry: a handful of entries may all round luckily.
            place = float(np.spacing(np.float32(np.abs(truth).max())))
            own[i] = max(own[i], worst(b, truth), place if op not in EXACT else 0.0)
            mine[i] = np.maximum(mine[i], worst(a, truth))  # NaN stays
            if op in ELEMENTWISE:
                check_ulps(op, a, b, truth, largest_term(op, i, args))
    for i in own:
        assert mine[i] <= tol("budget_factor") * own[i], (
            f"{op}: output {i}: {mine[i]} against {own[i]}"
        )
