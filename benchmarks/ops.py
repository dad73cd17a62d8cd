"""`ops`: every kernel against plain NumPy, the best NumPy and the limit; hot, woken and cold."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import numpy as np

from minivae.ops.table import FUNCTIONS
from minivae.racing import best_numpy
from minivae.racing.contestant import Recipe
from minivae.racing.file_race import PATIENCE, cores_for, op_recipe
from minivae.racing.lane import STATES
from minivae.racing.load import beside
from minivae.racing.pits import Pits
from minivae.racing.problem import letters_of, op_problem, outputs_of, traffic
from minivae.racing.result import Result, columns, microseconds, ratio
from minivae.racing.roofs import limit
from minivae.racing.rounds import Options, run_race
from minivae.racing.statistics import LEAST_ROUNDS, StopRule

from . import machine, results

KERNEL, PLAIN, BEST = "kernel", "plain NumPy", "best NumPy"
#: batch sizes: working sets that stay in the caches, and working sets far past them
SIZES = {"cache": 128, "memory": 16_384}
MODEL = {"D": 784, "I": 784, "O": 400, "H": 400, "J": 20, "P": 652_824}  # of 784-400-20
EPOCH = 60_000  # rows of a permutation
RULE = StopRule(least=15, most=25, seconds=12.0)


def shape_of(op: str, batch: int) -> tuple[int, ...]:
    """The sizes of an op in a step of 784-400-20 at a batch size."""
    letters = letters_of(FUNCTIONS[op])
    needed = letters.replace("L", "").replace("N", "")
    return tuple({**MODEL, "B": batch}[letter] for letter in needed) or (EPOCH,)


def race_op(
    pits: Pits, op: str, batch: int, backend: str, rule: StopRule = RULE,
    states: tuple[str, ...] = STATES,
) -> Result:  # fmt: skip
    """The kernel, twice, and NumPy, at one size."""
    recipe, pits.taken = op_recipe(op, shape_of(op, batch)), set()
    threads = len(pits.cores)
    who = {
        KERNEL: ("kernel", {"op": op, "backend": backend, "threads": threads}),
        PLAIN: ("reference", {"op": op}),
    }
    if best_numpy.has(op):
        who[BEST] = ("numpy_best", {"op": op})
    makers = {
        name: pits.lasting_opener(
            name, recipe, Recipe(f"minivae.racing.contestant:{factory}", given)
        )
        for name, (factory, given) in who.items()
    }
    rivals = (BEST if BEST in makers else PLAIN,)
    options = Options(rule, states)
    return run_race(recipe.build(), makers, baseline=KERNEL, options=options, against=rivals)


def row_of(op: str, batch: int, result: Result, roof: dict[str, Any]) -> dict[str, Any]:
    """One stored row: times, rates, the share of the roof, the verdict against NumPy."""
    problem = op_problem(op, shape_of(op, batch))
    args = problem.make(np.random.default_rng(0))
    nbytes, pattern = traffic(
        problem, args, outputs_of(problem.reference(*args), args, problem.mutates)
    )
    seconds, binds = limit(nbytes, problem.instructions(args), pattern, roof)
    row: dict[str, Any] = {"op": op, "B": batch, "bytes": nbytes, "limit_us": 1e6 * seconds,
                           "binds": binds, "stop": result.stop, "load": result.load}  # fmt: skip
    out = {r["name"]: r["failed"] for r in result.rows if "failed" in r}
    kernel = result.row(KERNEL)
    if "us" not in kernel or KERNEL in out:
        return {**row, "failed": out.get(KERNEL, "not timed")}
    timed = [r for r in result.rows if "us" in r and "failed" not in r]
    middle = kernel["us"]["hot"]["p50"]
    (against, judged), *_ = [*kernel["against"].items(), ("", None)]
    return row | {
        "us": {r["name"]: r["us"]["hot"] for r in timed},
        "states": {r["name"]: {s: p["p50"] for s, p in r["us"].items()} for r in timed},
        "samples_us": {r["name"]: r["samples_us"] for r in timed},
        "out": out, "n": kernel["n"], "interval_us": kernel["interval_us"],
        "error": kernel["error"], "judged": kernel["judged"], "a_a": result.a_a,
        "gbs": nbytes / middle / 1e3, "gflops": problem.flops(args) / middle / 1e3,
        "roof_share": 1e6 * seconds / middle, "against": against, **(judged or {}),
    }  # fmt: skip


def run(
    names: list[str], backend: str, size: str, threads: int | None = None, store: bool = True
) -> list[dict[str, Any]]:
    """Time the named ops (all when none is named)."""
    head, rows = machine.header(threads), []
    with ExitStack() as stack:
        pits = Pits(cores_for(threads), PATIENCE, stack)
        roof = pits.ask("minivae.racing.roofs:roofs", threads=len(pits.cores))
        for op in names or list(FUNCTIONS):
            print(op, file=sys.stderr, flush=True)
            result = race_op(pits, op, SIZES[size], backend)
            row = row_of(op, SIZES[size], result, roof)
            rows.append({"machine": head, "backend": backend, "size": size, "roofs": roof, **row})
    if store:
        results.append("ops", rows)
    return rows


def woken(row: dict[str, Any]) -> str:
    """How many times as long NumPy's better one takes, where both slept before the call."""
    times = {name: states.get("woken") for name, states in row["states"].items()}
    rivals = [times[name] for name in (PLAIN, BEST) if times.get(name)]
    return f"{min(rivals) / times[KERNEL]:.2f} ×" if rivals and times.get(KERNEL) else ""


def table(rows: list[dict[str, Any]]) -> str:
    """Every op for people, under a header that says what the columns are."""
    head = ["op", *(f"{state} µs" for state in STATES), "95 % of hot", "n", BEST, "error", "GB/s",
            "Gop/s", "of the roof", "which binds", "A against A", "against NumPy",
            "woken"]  # fmt: skip
    lines, failed = [head], []
    for row in rows:
        if "failed" in row:
            failed.append(f"{row['op']}: OUT, {row['failed']}")
            continue
        states, (low, high) = row["states"][KERNEL], row["interval_us"]
        cells = [microseconds(states[s]) if s in states else "" for s in STATES]
        cells.append("–" if low is None else f"{microseconds(low)} … {microseconds(high)}")
        cells += [str(row["n"]), microseconds(row["us"].get(BEST, row["us"].get(PLAIN))["p50"])]
        cells += [f"{row['error']:.2f}", f"{row['gbs']:.1f}", f"{row['gflops']:.1f}"]
        cells += [f"{row['roof_share']:.0%}", row["binds"], ratio(row["a_a"])]
        cells += [ratio(row) if row["against"] else "", woken(row)]
        lines.append([row["op"], *cells])
    busy = sorted({row["load"]["busy"] for row in rows if row["load"].get("busy")})
    notes = [f"BUSY MACHINE: {busy[0]}; do not trust these figures"] if busy else []
    notes += beside(rows[0].get("roofs", {})) if rows else []
    short = [r["op"] for r in rows if "failed" not in r and r["n"] < LEAST_ROUNDS]
    notes += [f"time was up before {LEAST_ROUNDS} rounds: {', '.join(short)}"] if short else []
    notes += ["Gop/s: a multiply-add counts as two, everything else as one; error: share of what "
              "rounding allows", "woken: against NumPy, both after 10 ms of sleep"]  # fmt: skip
    return "\n".join([columns(lines, (0, 10, 11, 12)), *failed, *notes])
