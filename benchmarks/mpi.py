"""One run over several processes: measured here, and what that predicts for a cluster.

Every figure under `measured` is a run of this machine; every one under `predicted` is the model's.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from typing import Any

from . import ROOT, machine, results

Rows = list[dict[str, Any]]
ARCH, SHARDS = "784-400-20:relu", 4
SIZES = [64, 1024, 16384, 262144, 1048576, 2621440, 4194304]  # bytes
PARTS = [2, 16, 128, 256, 512, 1024]  # rows of a shard
RANKS, NETWORKS = (8, 64, 512), (10, 100)  # Gbit/s
PATIENCE = 600  # seconds
TARGET = 1.8  # × one process of one thread, at batch 1024


class MpiError(RuntimeError):
    """The benchmark cannot run here; one line that names the fix."""


def launch(processes: int, job: dict[str, Any], **environment: str) -> dict[str, Any]:
    """What rank 0 of so many processes prints for a job. Raises MpiError."""
    command = [sys.executable, "-m", "benchmarks.mpi_child", json.dumps(job)]
    if processes > 1:
        command = ["mpiexec", "-n", str(processes), *command]
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE, check=False,
            env={**os.environ, "PYTHONPATH": path, **environment}, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        said = f"{processes} processes have not answered after {PATIENCE} s"
        raise MpiError(f"{said}: try `mpiexec -n 2 hostname`") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MpiError(f"{processes} processes ended with {done.returncode}: {last}")
    last = (done.stdout.strip().splitlines() or [""])[-1]
    try:
        found: dict[str, Any] = json.loads(last)
    except ValueError:
        said = f"{processes} processes ended without a result, but with {last[:60]!r}"
        raise MpiError(f"{said}: is this mpiexec that of mpi4py?") from None
    return found


def run(batches: list[int], seconds: float, store: bool = True) -> Rows:
    """Measure, check that all numbers of processes give the same bits, and predict."""
    if shutil.which("mpiexec") is None:
        raise MpiError("there is no mpiexec: pip install 'minivae[mpi]'")
    rows = [row for batch in batches for row in steps(batch, seconds)]
    shared = launch(2, {"what": "exchange", "sizes": SIZES, "seconds": 0.2})
    # the same two processes, but through the network's software: TCP on the loopback device
    tcp = {"MPIR_CVAR_NOLOCAL": "1", "FI_PROVIDER": "tcp", "UCX_TLS": "tcp,self"}
    loopback = launch(2, {"what": "exchange", "sizes": SIZES, "seconds": 0.2}, **tcp)
    for name, found in (("shared memory", shared), ("TCP loopback", loopback)):
        alpha, beta = fit(found["bytes"], found["add_ms"])
        rows.append({"measured": "exchange", "by": name, **found, "alpha_ms": alpha,
                     "beta_ms_per_mb": beta})  # fmt: skip
    parts = launch(1, {"what": "parts", "arch": ARCH, "threads": 1, "rows": PARTS,
                       "seconds": seconds / 4})  # fmt: skip
    rows.append({"measured": "parts", **parts})
    rows += predictions(parts, rows[-2]["alpha_ms"])
    if store:
        head = machine.header(1)
        results.append("mpi", [{**row, "machine": head} for row in rows])
    return rows


def steps(batch: int, seconds: float, rounds: int = 3) -> Rows:
    """Updates of one batch size by 1, 2 and 4 processes of one thread, in turn, several times.

    `alone` is the fused step on one thread, without shards.
    """
    job = {"what": "step", "arch": ARCH, "threads": 1, "batch": batch, "seconds": seconds / rounds}
    cases: dict[tuple[str, int], dict[str, Any]] = {
        ("alone", 1): {"shards": 1, "slices": True},
        ("slices", 1): {"shards": SHARDS, "slices": True},
        ("slices", 2): {"shards": SHARDS, "slices": True},
        ("whole", 2): {"shards": SHARDS, "slices": False},
    }
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for (name, P), settings in cases.items():
            found.setdefault((name, P), []).append(launch(P, {**job, **settings}))
    four = {"shards": SHARDS, "slices": True, "seconds": 0.0}  # on fewer cores: bits only
    found["slices", 4] = [launch(4, {**job, **four})]
    same = {one["sha256"] for (name, _), all_ in found.items() if name != "alone" for one in all_}
    base = min(one["ms"] for one in found["alone", 1])
    return [row_of(batch, name, P, all_, base, len(same) == 1) for (name, P), all_ in found.items()]


def row_of(
    batch: int, name: str, P: int, runs: Rows, base: float, same: bool
) -> dict[str, Any]:  # fmt: skip
    """The best block of all rounds: what else runs on the machine only ever makes it slower."""
    best = min(runs, key=lambda one: one["ms"])
    row = {"measured": "step", "arch": ARCH, "batch": batch, "optimiser": name, "processes": P,
           "ms": best["ms"], "ms_median": statistics.median(one["ms_median"] for one in runs),
           "updates_per_second": 1e3 / best["ms"], "exchange_ms": best["exchange_ms"],
           "exchange_share": best["exchange_ms"] / best["ms"]}  # fmt: skip
    row |= {"speedup": base / best["ms"], "efficiency": base / best["ms"] / P}
    return row if same else {**row, "failed": "other bits than with other numbers of processes"}


def fit(sizes: list[int], ms: list[float]) -> tuple[float, float]:
    """α in ms and β in ms per megabyte of α + n β: the smallest message, the largest's slope."""
    alpha = ms[0]
    return alpha, max(0.0, (ms[-1] - alpha) / (sizes[-1] / 1e6))


def predictions(parts: dict[str, Any], alpha_ms: float) -> Rows:
    """The model's efficiency for more ranks than there are here, on networks that are not here.

    T(P) = gradient(B / P) + optimiser / P + 2 log2(P) α + 2 (1 - 1/P) n / bandwidth
           + (1 - 1/P) · adding: reduce-scatter, update of a slice, all-gather.
    Strong scaling keeps the batch, weak scaling each rank's rows.
    """
    megabits = 8 * 4 * parts["numbers"] / 1e6
    gradient = {int(rows): ms for rows, ms in parts["gradient_ms"].items()}

    def update_ms(rows: int, P: int, gigabits: float) -> float:
        levels, moved = (P - 1).bit_length(), 1 - 1 / P
        sent = 2 * levels * alpha_ms + 2 * moved * megabits / gigabits  # Mbit / (Gbit/s) = ms
        return gradient[rows] + parts["optimiser_ms"] / P + sent + moved * parts["adding_ms"]

    rows = []
    for gigabits in NETWORKS:
        for P in RANKS:
            one, each = update_ms(1024, 1, gigabits), 1024 // P
            strong, weak = update_ms(each, P, gigabits), update_ms(1024, P, gigabits)
            rows.append({"predicted": True, "gigabits": gigabits, "processes": P,
                         "strong_rows": each, "strong_ms": strong,
                         "strong_efficiency": one / strong / P, "weak_ms": weak,
                         "weak_efficiency": one / weak})  # fmt: skip
    return rows


def table(rows: Rows) -> str:
    """The rows for people."""
    lines = [f"{ARCH}, one thread a process; ms of the best block (median of all)"]
    for row in rows:
        if row.get("measured") == "step":
            lines.append(step_line(row))
        elif row.get("measured") == "exchange":
            lines.append(
                f"exchange by {row['by']}: α {1e3 * row['alpha_ms']:.1f} µs, "
                f"β {row['beta_ms_per_mb']:.3f} ms/MB; "
                f"{row['bytes'][-2] / 1e6:.1f} MB added in {row['add_ms'][-2]:.2f} ms, "
                f"by slices {row['slices_ms'][-2]:.2f} ms"
            )
        elif row.get("measured") == "parts":
            lines.append(
                f"one process: optimiser {row['optimiser_ms']:.3f} ms, adding two gradients "
                f"{row['adding_ms']:.3f} ms, gradient of "
                + ", ".join(f"{n} rows {ms:.2f}" for n, ms in row["gradient_ms"].items())
            )
        else:
            lines.append(
                f"PREDICTED {row['processes']:>4} ranks, {row['gigabits']:>3} Gbit/s: batch 1024 "
                f"in all {row['strong_efficiency']:4.0%}, 1024 rows a rank "
                f"{row['weak_efficiency']:4.0%} of perfect"
            )
    return "\n".join([*lines, *overlap(rows), verdict(rows)])


def overlap(rows: Rows) -> list[str]:
    """What a sum that travels during the backward pass could save: the decoder's half of it.

    The encoder's gradient is the last to be known, so its half cannot be hidden. Within a machine
    nothing is gained at all, for the cores that compute are those that copy.
    """
    return [
        f"overlap with the backward pass: not built; at B={row['batch']} it could hide at most "
        f"{row['exchange_share'] / 2:.0%} of an update"
        for row in rows
        if row.get("measured") == "step" and row["processes"] == 2 and row["optimiser"] == "slices"
    ]


def step_line(row: dict[str, Any]) -> str:
    """One measured step."""
    bits = "FAILED: " + row["failed"] if "failed" in row else "same bits"
    if row["processes"] == 4:  # more processes than cores here: their time means nothing
        return f"B={row['batch']:<5} 4 processes, {row['optimiser']:7} {bits} (checked, not timed)"
    return (
        f"B={row['batch']:<5} {row['processes']} process{'es' * (row['processes'] > 1):2}, "
        f"{row['optimiser']:7} {row['ms']:7.2f} ({row['ms_median']:7.2f}) ms  "
        f"{row['updates_per_second']:7.1f}/s  all-reduce {row['exchange_ms']:5.2f} ms "
        f"({row['exchange_share']:4.0%})  {row['speedup']:.2f} × alone, efficiency "
        f"{row['efficiency']:4.0%}  {bits}"
    )


def verdict(rows: Rows) -> str:
    """Whether the target is reached, and which way of the optimiser is the faster."""
    two = {row["optimiser"]: row for row in rows if row.get("measured") == "step"
           and row["batch"] == max(r["batch"] for r in rows if "batch" in r)
           and row["processes"] == 2}  # fmt: skip
    faster = min(two, key=lambda name: two[name]["ms"])
    best = two["slices"]["speedup"]
    word = "reached" if best >= TARGET else f"missed by {TARGET - best:.2f}"
    return (
        f"target {TARGET} × at the largest batch: {best:.2f}, {word}; the optimiser on "
        f"{'slices' if faster == 'slices' else 'all parameters'} is the faster here"
    )
