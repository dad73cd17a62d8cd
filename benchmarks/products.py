"""`products`: the matrix products at the model's shapes against every setting of NumPy's BLAS."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from minivae.racing.statistics import StopRule, interleave, percentiles, verdict

from . import machine, results
from .cases import parse_arch
from .parent import REST_SECONDS, Contender, WorkerError

#: what OPENBLAS_CORETYPE may say; the empty word leaves NumPy as installed
CORE_TYPES = ("", "Haswell", "SkylakeX", "Zen", "Cooperlake", "Sapphirerapids")
OURS = ("minivae", "minivae again")  # the second, so that A is raced against A
RULE = StopRule(least=15, most=15, seconds=30.0)
Shape = tuple[str, list[int]]


def shapes_of(arch: str, batch: int) -> list[Shape]:
    """(form, [B, I, O]) of the large products of an architecture, each distinct one once."""
    case, found = parse_arch(arch, batch), []
    for name, i, o in case.dense_shapes():
        forms = ("forward", "weights") if name == "encoder.0" else ("forward", "weights", "input")
        found += [(form, [batch, i, o]) for form in forms if min(i, o) >= 64]
    return [s for k, s in enumerate(found) if s not in found[:k]]


def workers(stack: ExitStack, threads: int | None) -> dict[str, Contender]:
    """Ours, and a NumPy for every core type this machine can run."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    started: dict[str, Contender] = {}
    for core in (*OURS, *(CORE_TYPES if x86 else ("",))):
        name = "product-numba" if core in OURS else "product-numpy"
        extra = {"OPENBLAS_CORETYPE": core} if core and core not in OURS else {}
        label = core if core in OURS else f"numpy {core or 'as installed'}"
        worker = Contender(name, threads, "cpu", extra)
        stack.callback(worker.close)
        try:
            versions = worker.ask("load", threads=threads)["versions"]
        except WorkerError as error:
            print(f"{label}: left out, {error}", file=sys.stderr)
            continue
        worker.name = label
        print(f"{label}: {versions['blas']}", file=sys.stderr)
        started[label] = worker
    return started


def race(shape: Shape, started: dict[str, Contender]) -> dict[str, Any]:
    """One form at one shape: gate, interleave, gate, compare."""
    form, size = shape
    alive, samples, why = dict(started), {}, ""
    row: dict[str, Any] = {"form": form, "B": size[0], "I": size[1], "O": size[2]}
    for seed in (1, 2):
        if seed == 2:
            blocks = {n: _block(w, form, size) for n, w in alive.items()}
            samples, why = interleave(blocks, RULE) if blocks else ({}, "")
        for label, worker in list(alive.items()):
            try:
                worker.ask("call", method="check", form=form, shape=size, seed=seed)
            except WorkerError as error:
                print(f"{label}: OUT, {error}", file=sys.stderr)
                del alive[label]
                if label in OURS:  # wrong, and so not shown; NumPy's settings may be left out
                    row["failed"] = str(error)
    if not alive:
        return {"failed": "no contender passed its gate", **row}
    flops = 2 * size[0] * size[1] * size[2]
    us = {n: percentiles(samples[n]) for n in alive}
    row |= {
        "us": us, "stop": why, "n": len(next(iter(samples.values()))),
        "gflops": {n: flops / p["p50"] / 1e3 for n, p in us.items()},
        "samples_us": {n: [round(us, 4) for us in samples[n]] for n in alive},
    }  # fmt: skip
    rivals = [n for n in us if n.startswith("numpy")]
    if all(name in us for name in OURS):
        row["a_a"] = verdict(*(samples[name] for name in OURS))
    if "minivae" in us and rivals:
        best = min(rivals, key=lambda n: us[n]["p50"])
        row["best_blas"] = best
        row["against_best"] = verdict(samples["minivae"], samples[best])
        if "numpy as installed" in us:
            row["against_installed"] = verdict(samples["minivae"], samples["numpy as installed"])
    return row


def _block(worker: Contender, form: str, size: list[int]) -> Callable[[int], float]:
    def block(number: int) -> float:
        time.sleep(REST_SECONDS)
        return 1e6 * float(
            worker.ask("call", method="time", form=form, shape=size, seconds=0.05)["seconds"]
        )

    return block


def run(batches: list[int], threads: int | None, store: bool) -> list[dict[str, Any]]:
    """All shapes of both architectures at every batch size."""
    head, rows = machine.header(threads), []
    archs = ("784-400-20:relu", "784-200-200-50:tanh")
    with ExitStack() as stack:
        started = workers(stack, threads)
        for batch in batches:
            for shape in dict.fromkeys(
                (f, tuple(s)) for a in archs for f, s in shapes_of(a, batch)
            ):
                row = race((shape[0], list(shape[1])), started)
                rows.append({"machine": head, **row})
                print(line(rows[-1]), file=sys.stderr, flush=True)
                if store:  # at once: what ends a later race does not take it along
                    results.append("products", rows[-1:])
    return rows


def line(row: dict[str, Any]) -> str:
    """One product for people."""
    if "failed" in row:
        return f"{row['form']:8} {row['B']}x{row['I']}x{row['O']}: {row['failed']}"
    rates = "  ".join(f"{n.removeprefix('numpy ')} {g:.0f}" for n, g in row["gflops"].items())
    judged = ""
    if "against_best" in row:
        judged = f"{row['against_best']['ratio']:.2f} × {row['best_blas']}"
    judged += f"; A against A {row['a_a']['ratio']:.2f} ×" if "a_a" in row else ""
    return f"{row['form']:8} {row['B']}x{row['I']}x{row['O']}: GFLOP/s {rates}  {judged}"
