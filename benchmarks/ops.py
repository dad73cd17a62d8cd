"""`ops`: every kernel against naive NumPy, the best NumPy and the limit, gated before and after."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae import ops as reference
from minivae.backend import Backend, load_backend

from . import machine, op_numpy, results
from .gate import GateError, worst
from .limits import cache_sizes, roofs
from .op_cases import CASES, PRODUCTS, SIZES, Inputs, OpCase
from .timing import StopRule, interleave, percentiles, time_call, verdict

# A float32 elementwise result errs by a few units in the last place of its own size; against the
# array's largest entry that is far below 1e-6 except where a sum over a row or a batch adds up.
TOL = 2e-5
RULE = StopRule(least=7, most=25, seconds=4.0)


def arrays_of(result: Any, args: Inputs, case: OpCase) -> list[np.ndarray]:
    """All arrays an op produced: what it returned, and what it changed in place."""
    returned = result if isinstance(result, tuple) else () if result is None else (result,)
    return [*(np.asarray(r) for r in returned), *(np.asarray(args[k]) for k in case.mutates)]


def widened(args: Inputs) -> Inputs:
    """The arguments in float64; integers and bytes stay what they are."""
    return tuple(
        a.astype(np.float64)
        if isinstance(a, (np.ndarray, np.floating)) and a.dtype == np.float32
        else a.copy()
        if isinstance(a, np.ndarray)
        else a
        for a in args
    )


def gate_op(name: str, kernel: Callable[..., Any], seed: int, B: int, to: Any = None) -> float:
    """Run a kernel twice on fresh inputs and judge both, also after the second call.

    A kernel that hands out a buffer it later overwrites fails, as does one that keeps an answer.
    Freed NaNs lie where the outputs are likely to be allocated.
    """
    case = CASES[name]
    to_device, to_host = to or (lambda a: a, np.asarray)
    kept, errors = [], [0.0]
    for k in (0, 1):
        args = case.build(np.random.default_rng((seed, k)), B)
        exact = args if case.exact else widened(args)
        want_args = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in exact)
        want = arrays_of(getattr(reference, name)(*want_args), want_args, case)
        poison = [np.full(w.shape, np.nan, np.float32) for w in want]
        del poison
        given = tuple(to_device(a) if isinstance(a, np.ndarray) else a for a in args)
        got = arrays_of(kernel(*given), given, case)
        kept.append((got, want))
    for got, want in kept:
        if len(got) != len(want):
            raise GateError(f"{name}: {len(got)} results, expected {len(want)}")
        for n, (g, w) in enumerate(zip(got, want, strict=True)):
            label = f"{name}, result {n} "
            errors.append(worst(label, to_host(g), w, 0.0 if case.exact else TOL))
    return max(errors)


def traffic(args: Inputs, outputs: list[np.ndarray], case: OpCase) -> int:
    """Bytes that must cross at least once: inputs read, results written."""
    read = sum(a.nbytes for a in args if isinstance(a, np.ndarray))
    if args and isinstance(args[0], np.ndarray) and args[0].dtype == np.uint8:
        read += outputs[0].size - args[0].nbytes  # of the data set only the rows asked for
    return read + sum(o.nbytes for o in outputs)


def limit_seconds(
    nbytes: int, work: float, product: bool, roof: dict[str, float]
) -> dict[str, Any]:
    """The least time by the measured roofs, and which of them binds."""
    size, threads = cache_sizes(), roof["threads"]
    level = "memory"
    if nbytes <= size["L2"] * threads:
        level = "L2"
    elif nbytes <= size["L3"]:
        level = "L3"
    moving = nbytes / (roof[f"{level}_gbs"] * 1e9)
    computing = 2 * work / (roof["fma_gflops"] * 1e9)
    binds = "arithmetic" if computing > moving else f"{level} bandwidth"
    return {"limit_us": 1e6 * max(moving, computing), "binds": binds, "product": product}


def time_op(name: str, K: Backend, B: int, roof: dict[str, float]) -> dict[str, Any]:
    """One row: gates, interleaved times, rates and the share of the roof."""
    case, kernel = CASES[name], getattr(K, name)
    device = (K.to_device, K.to_host)
    gated = min(B, 1999)  # enough rows for every path, few enough for float64
    before = gate_op(name, kernel, 1, gated, device)
    args = case.build(np.random.default_rng(9), B)
    outputs = arrays_of(getattr(reference, name)(*args), args, case)
    given = tuple(K.to_device(a) if isinstance(a, np.ndarray) else a for a in args)
    calls: dict[str, Callable[[], Any]] = {
        "kernel": lambda: kernel(*given),
        "naive": lambda: getattr(reference, name)(*args),
    }
    better = op_numpy.best(name, args)
    if better is not None:
        calls["numpy"] = better
    with np.errstate(all="ignore"):  # the timed optimiser runs on far past any sense
        blocks = {n: (lambda _, c=c: 1e6 * time_call(c, 0.01)) for n, c in calls.items()}
        samples, why = interleave(blocks, RULE)  # type: ignore[arg-type]
    nbytes, work = traffic(args, outputs, case), case.work(B)
    us = {n: percentiles(s) for n, s in samples.items()}
    middle = us["kernel"]["p50"]
    limit = limit_seconds(nbytes, work, name in PRODUCTS, roof)
    against = "numpy" if "numpy" in us else "naive"
    after = gate_op(name, kernel, 2, gated, device)
    return {
        "op": name, "B": B, "us": us, "n": len(samples["kernel"]), "stop": why, "bytes": nbytes,
        "gbs": nbytes / middle / 1e3, "gflops": 2 * work / middle / 1e3, **limit,
        "roof_share": limit["limit_us"] / middle, "file": K.files.get(name, "").split("/")[-1],
        "gate_before": before, "gate_after": after, "against": against,
        **verdict(samples["kernel"], samples[against]),
    }  # fmt: skip


def run(
    names: list[str], backend: str, size: str, threads: int | None = None, store: bool = True
) -> list[dict[str, Any]]:
    """Time the named ops (all when none is named)."""
    K = load_backend(backend, threads)
    head, roof = machine.header(threads), roofs(threads)
    rows = []
    for name in names or list(CASES):
        try:
            row = time_op(name, K, SIZES[size], roof)
        except GateError as error:
            row = {"op": name, "failed": str(error)}
        rows.append({"machine": head, "backend": backend, "size": size, "roofs": roof, **row})
        print(line(rows[-1]), file=sys.stderr, flush=True)
    if store:
        results.append("ops", rows)
    return rows


def line(row: dict[str, Any]) -> str:
    """One op for people."""
    if "failed" in row:
        return f"{row['op']:24} FAILED: {row['failed']}"
    us = row["us"]
    columns = "  ".join(
        f"{n} {us[n]['p50']:10.1f}" for n in ("naive", "numpy", "kernel") if n in us
    )
    return (
        f"{row['op']:24} {columns} µs  {row['gbs']:6.1f} GB/s {row['gflops']:6.1f} Gop/s  "
        f"{row['roof_share']:5.0%} of {row['binds']}  {row['ratio']:6.2f} × {row['against']}, "
        f"{row['verdict']}"
    )
