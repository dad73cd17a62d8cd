"""`step --phases`: where our step's time goes, between barriers and at them, for each thread."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from minivae.racing.load import LoadWatch
from minivae.racing.result import columns

from . import counters, machine
from .cases import StepCase, make_rows, make_theta
from .entrants import rounded_word
from .gate import shared_data

UPDATES = 60
SKIPPED = 5  # first updates of a call: caches and cores settle


def expected(case: StepCase) -> list[tuple[str, float, float]]:
    """(what, operations, bytes at least) of the phases of an update, in the loop's order.

    Products alone are counted as operations, 2 a multiply-add; bytes are each operand's once.
    """
    B, depth = case.batch, len(case.hidden)
    shapes = {name: (i, o) for name, i, o in case.dense_shapes()}

    def product(*names: str) -> tuple[float, float]:
        sides = [shapes[n] for n in names]
        flops = sum(2.0 * B * i * o for i, o in sides)
        return flops, 4.0 * sum(B * i + i * o + B * o for i, o in sides)

    heads = ("encoder.mu", "encoder.logvar")
    rows = [("gather and noise", 0.0, 5.0 * B * case.data_dim + 4.0 * B * case.latent_dim)]
    rows += [(f"forward {n}", *product(n)) for n in (f"encoder.{k}" for k in range(depth))]
    rows.append(("heads, latent, KL", *product(*heads)))
    rows += [(f"forward {n}", *product(n)) for n in (f"decoder.{k}" for k in range(depth))]
    rows.append(("output and likelihood", *product("decoder.out")))
    decoder = ["decoder.out", *(f"decoder.{k}" for k in range(depth - 1, 0, -1))]
    rows += [(f"backward {n}", *product(n)) for n in (decoder if depth else [])]
    first = "decoder.0" if depth else "decoder.out"
    rows.append((f"backward {first}, latent", *product(first)))
    rows += [("backward heads", *product(*heads))] if depth else []
    rows += [(f"backward encoder.{k}", *product(f"encoder.{k}")) for k in range(depth - 1, 0, -1)]
    weights = sum(i * o for i, o in shapes.values())
    moved = sum(4.0 * B * (i + o) for i, o in shapes.values()) + 24.0 * weights
    return [*rows, ("weights' gradients, optimiser", 2.0 * B * weights, moved)]


def measure(
    case: StepCase, backend: str, threads: int | None, *, bf16: bool = False
) -> dict[str, Any]:
    """Every phase of an update, and the step without timers beside it.

    Raises ValueError for a backend whose step has no barriers to read a clock at.
    """
    if backend != "numba":
        raise ValueError(f"--phases reads the clock in the numba step, not in {backend}'s")
    from . import phase_timer
    from .contenders.minivae_step import MinivaeStep

    contender = MinivaeStep(backend, threads=threads, bf16=bf16)
    watch, began = LoadWatch(), time.process_time()
    contender.prepare(case, shared_data(case.data_dim, case.data), make_theta(case))
    plain = seconds(contender, case)
    hardware = counted(contender, case)
    loop, places = phase_timer.compiled()
    with phase_timer.timers(loop, (UPDATES + 1) * (len(places) + 3 * len(case.hidden))) as kept:
        contender.run(make_rows(case, 1, 2))
        timed = seconds(contender, case)
        team, words = kept[-1]  # the step chooses its team by what else runs
        notes = phase_timer.notes_of(team, words)
    load = watch.report(time.process_time() - began)
    return {
        "machine": machine.header(threads), "arch": case.arch, "batch": case.batch, "bf16": bf16,
        "threads": team, "us_plain": 1e6 * plain, "us_timed": 1e6 * timed, "load": load,
        "counters": hardware, **summary(case, notes, places),
        "roofs": _roofs(team),
    }  # fmt: skip


def _roofs(team: int) -> dict[str, Any]:
    from minivae.racing.roofs import roofs

    return roofs(team, patterns=["copy"])


def counted(contender: Any, case: StepCase) -> dict[str, Any]:
    """What the processor counted in plain updates, or why it counted nothing."""
    rows = make_rows(case, 5, UPDATES)
    try:
        found = counters.read(lambda: contender.run(rows))
    except counters.NoCounters as reason:
        return {"words": str(reason)}
    return {"updates": UPDATES, "counts": found, "words": counters.words(found, UPDATES)}


def seconds(contender: Any, case: StepCase) -> float:
    """Of one update, the best of three blocks."""
    found = []
    for block in (2, 3, 4):
        rows = make_rows(case, block, UPDATES)
        start = time.perf_counter()
        contender.run(rows)
        found.append((time.perf_counter() - start) / UPDATES)
    return min(found)


def summary(case: StepCase, notes: list[np.ndarray], places: list[str]) -> dict[str, Any]:
    """Medians over the updates: work and waiting of every member in every phase."""
    each = (len(notes[0]) - 1) // UPDATES
    spans = np.empty((len(notes), UPDATES, each, 2))  # work and waiting, ns
    for m, mine in enumerate(notes):
        begin, arrived, left = mine[:-1, 2], mine[1:, 1], mine[1:, 2]
        both = np.stack([arrived - begin, left - arrived], axis=-1)[: UPDATES * each]
        spans[m] = both.reshape(UPDATES, each, 2)
    work, wait = (np.median(spans[:, SKIPPED:, :, k], axis=1) / 1e3 for k in (0, 1))
    told = expected(case)
    names = [places[int(p)] for p in notes[0][1 : each + 1, 0]]
    if len(told) != each:  # the loop has other phases than this page knows: times alone
        told = [(name, 0.0, 0.0) for name in names]
    rows = [
        {"phase": what, "in": name, "us": float((work[:, k] + wait[:, k]).mean()),
         "work_us": work[:, k].tolist(), "wait_us": wait[:, k].tolist(),
         "flops": flops, "bytes": nbytes}
        for k, ((what, flops, nbytes), name) in enumerate(zip(told, names, strict=True))
    ]  # fmt: skip
    return {"phases": rows, "timeline": typical(notes, each)}


def typical(notes: list[np.ndarray], each: int) -> list[list[list[float]]]:
    """The update of median length: for each member (start, work, waiting) of each phase, µs."""
    ends = notes[0][::each][: UPDATES + 1, 2]
    lengths = np.diff(ends)
    u = int(np.argsort(lengths)[len(lengths) // 2])
    zero = float(ends[u])
    lanes = []
    for mine in notes:
        part = mine[u * each : (u + 1) * each + 1].astype(float)
        lanes.append([[(part[k, 2] - zero) / 1e3, (part[k + 1, 1] - part[k, 2]) / 1e3,
                       (part[k + 1, 2] - part[k + 1, 1]) / 1e3] for k in range(each)])  # fmt: skip
    return lanes


def roof_share(row: dict[str, Any], roofs: dict[str, Any]) -> tuple[float, str]:
    """How near a phase comes to what this machine allows, and what binds it."""
    from minivae.racing.roofs import limit

    least, binds = limit(row["bytes"], row["flops"] / 2, "copy", roofs)
    return 1e6 * least / max(row["us"], 1e-9), binds


def table(row: dict[str, Any]) -> str:
    """The phases for people."""
    total = sum(p["us"] for p in row["phases"])
    head = ["phase", "µs", "of the update", "waiting µs, by thread", "GFLOP/s", "GB/s",
            "of the roof", "which binds"]  # fmt: skip
    lines = [head]
    for p in row["phases"]:
        share, binds = roof_share(p, row["roofs"])
        waits = " ".join(f"{w:.1f}" for w in p["wait_us"])
        rates = [f"{p['flops'] / p['us'] / 1e3:.0f}", f"{p['bytes'] / p['us'] / 1e3:.1f}"]
        counted = p["bytes"] > 0
        cells = [f"{share:.0%}", binds] if counted else ["–", "not counted"]
        lines.append(
            [p["phase"], f"{p['us']:.1f}", f"{p['us'] / total:.1%}", waits, *rates, *cells]
        )
    waiting = float(np.mean([sum(w) for w in zip(*(p["wait_us"] for p in row["phases"]))]))
    lines.append(["all", f"{total:.1f}", "100%", f"{waiting:.1f} on average", "", "", "", ""])
    cost = row["us_timed"] / row["us_plain"] - 1
    notes = [
        f"{row['arch']}, batch {row['batch']}, {row['threads']} threads{rounded_word(row)}; "
        f"without timers {row['us_plain']:.1f} µs an update, with them {cost:+.1%}",
        row["counters"]["words"],
    ]
    if row["load"]["busy"]:
        notes.append(f"BUSY MACHINE: {row['load']['busy']}; do not trust these figures")
    return "\n".join([columns(lines, (0, 7)), *notes])


def stored(row: dict[str, Any]) -> dict[str, Any]:
    """Without the timeline, which is for the picture."""
    return {k: v for k, v in row.items() if k != "timeline"}


def plot(row: dict[str, Any], path: Path) -> None:
    """A timeline of the typical update: what each thread does, and where it waits."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = [p["phase"] for p in row["phases"]]
    colours = plt.get_cmap("tab20")(np.arange(len(names)) % 20)
    figure, axes = plt.subplots(figsize=(11, 2.4 + 0.6 * row["threads"]), layout="constrained")
    end = max(start + work + wait for lane in row["timeline"] for start, work, wait in lane)
    for member, lane in enumerate(row["timeline"]):
        for k, (start, work, wait) in enumerate(lane):
            label = names[k] if member == 0 else None
            axes.broken_barh([(start, work)], (member - 0.4, 0.8), color=colours[k], label=label)
            if work > 0.06 * end:
                axes.text(start + work / 2, member, f"{work:,.0f} µs", fontsize=8, ha="center",
                          va="center")  # fmt: skip
            axes.barh(member, wait, left=start + work, color="white", hatch="//////",
                      edgecolor="0.5", linewidth=0)  # fmt: skip
    axes.set(
        xlabel="µs",
        xlim=(0, end),
        ylim=(row["threads"] - 0.5, -0.5),
        yticks=range(row["threads"]),
        title=(
            f"A typical update of {row['arch']}, batch {row['batch']}: {end:,.0f} µs; "
            "hatched: waiting at the barrier"
        ),
    )
    axes.set_yticklabels([f"thread {k}" for k in range(row["threads"])])
    figure.legend(fontsize=8, ncols=4, loc="outside lower center", frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
