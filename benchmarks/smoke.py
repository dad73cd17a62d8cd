"""`smoke`: every op's gate and a tiny race, for CI. It fails on wrong numbers, never on seconds."""

from __future__ import annotations

import sys
from typing import Any

from minivae.backend import BackendUnavailable, load_backend
from minivae.ops.table import FUNCTIONS
from minivae.racing.gate import GateError, check
from minivae.racing.problem import op_problem
from minivae.racing.statistics import StopRule

from . import step
from .cases import parse_arch
from .ops import shape_of

CASES_RACED = ("31-17-5:relu", "31-13-11-5:tanh:dynamic")


def run(threads: int | None) -> list[dict[str, Any]]:
    """Gate every op of the Numba backend (of NumPy where Numba cannot run) and race two models."""
    name = "numba"
    try:
        K = load_backend(name, threads)
    except (BackendUnavailable, ImportError) as reason:
        print(f"numba: left out, {reason}", file=sys.stderr)
        name = "numpy"
        K = load_backend(name)
    rows: list[dict[str, Any]] = []
    for op in FUNCTIONS:
        try:
            problem = op_problem(op, shape_of(op, 13))
            rows.append({"op": op, "error": check(problem, getattr(K, op), 3)})
        except GateError as error:
            rows.append({"op": op, "failed": str(error)})
    rule = StopRule(least=3, most=3, seconds=60)
    options = step.StepOptions(name, peers=(), threads=threads, rule=rule, block_steps=9,
                           say=lambda text: None)  # fmt: skip
    rows += step.run([parse_arch(arch, 21) for arch in CASES_RACED], options, store=False)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """What failed, and how many passed."""
    failed = [r for r in rows if "failed" in r]
    lines = [f"{r.get('op', r.get('contender'))}: {r['failed']}" for r in failed]
    return "\n".join([*lines, f"{len(rows) - len(failed)} of {len(rows)} passed"])
