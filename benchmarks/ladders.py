"""`ladder`: every numbered version of an op, judged and timed; writes the tables of the lesson."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

import numpy as np
from minivae_kernels import Unavailable
from minivae_kernels.ladder import NAMES, Ladder, Version, load

from minivae.ops.dense import dense_forward
from minivae.ops.record import PRODUCT
from minivae.ops.table import FUNCTIONS
from minivae.racing.contestant import Contestant, Recipe
from minivae.racing.file_race import PATIENCE, cores_for
from minivae.racing.gate import check
from minivae.racing.pits import Pits
from minivae.racing.problem import Args, Problem
from minivae.racing.result import AGAIN, ratio
from minivae.racing.rounds import Options, run_race
from minivae.racing.stand import Here
from minivae.racing.statistics import StopRule, verdict

from . import ROOT, machine, results
from .report import ReportError, between

README = ROOT / "kernels" / "README.md"
RULE = StopRule(least=15, most=15, seconds=30.0)


class LadderError(ValueError):
    """A ladder that does not exist or a README that cannot be written."""


def problem(name: str, rows: int = 0, rough: float = 1.0) -> Problem:
    """What the rungs of a ladder compute; `rows` in place of the ladder's own."""
    return problem_of(load(name), rows, rough)


def problem_of(ladder: Ladder, rows: int = 0, rough: float = 1.0) -> Problem:
    """What the rungs of this ladder compute; `rows` in place of its own."""
    record = FUNCTIONS.get(ladder.op)
    kind = record.kind if record else "elementwise"  # of NumPy's own functions: exp
    return Problem(
        ladder.op, lambda rng: ladder.inputs(rng, rows or ladder.rows),
        record.function if record else getattr(np, ladder.op), kind, ladder.mutates,
        terms=record.op.largest_terms if record else (),
        linear=dense_forward,
        slack=rough,
        instructions=lambda args: ladder.work(args) / (2 if kind == PRODUCT else 1),
    )  # fmt: skip


def rung(name: str, number: int, threads: int | None = None) -> Contestant:
    """One version, in the layout that it asks for; the chosen kernel itself at the top."""
    return contestant(load(name).versions[number], threads)


def contestant(version: Version, threads: int | None = None) -> Contestant:
    """A version as something to race: what it prepares is not timed."""
    call = version.bound(threads)

    def bind(args: Args) -> Any:
        ready = version.prepare(*args)
        return lambda: call(*ready)

    return Contestant(bind, version.finish)


def gate(ladder: Ladder, version: Version, seed: int, rows: int = 5) -> float:
    """Two fresh inputs against the reference, judged after the second call."""
    return check(problem_of(ladder, rows, version.rough), version, seed)


def race(
    name: str, threads: int | None, rule: StopRule = RULE, *, apart: bool = True
) -> list[dict[str, Any]]:
    """All versions of one ladder, interleaved; ns per unit of work.

    apart: each in a process of its own, as it should be; not so in quick tests.
    """
    try:
        ladder = load(name)
    except (ValueError, Unavailable) as error:
        raise LadderError(str(error)) from None
    whole = problem(name)
    work = ladder.work(whole.make(np.random.default_rng(5)))
    labels = {f"v{v.number}": v for v in ladder.versions}
    parts = {}
    with ExitStack() as stack:
        pits = Pits(cores_for(threads), PATIENCE, stack)
        makers = {}
        for label, version in labels.items():
            rows = max(1, ladder.rows // version.part)
            if version.part > 1 or version.rough > 1:
                smaller = problem(name, rows, version.rough)
                share = work / ladder.work(smaller.make(np.random.default_rng(5)))
                parts[label] = (smaller, share)
            asked = Recipe("benchmarks.ladders:problem", {"name": name, "rows": rows})
            given = {"name": name, "number": version.number, "threads": len(pits.cores)}
            makers[label] = pits.opener(label, asked, Recipe("benchmarks.ladders:rung", given))
            if not apart:
                small = parts.get(label, (whole, 1.0))[0]
                makers[label] = lambda s=small, v=version: Here(s, contestant(v, threads))  # type: ignore[misc]
        options = Options(rule, parts=parts)
        found = run_race(whole, makers, baseline=list(labels)[-1], options=options)
        peaks = peaks_of(pits, name)
    return rows_of(name, ladder, found.rows, work, peaks, found.load, found.a_a)


def peaks_of(pits: Pits, name: str) -> dict[int, float]:
    """ns per operation of multiply-adds in registers: on one core and on all of them."""
    if name != "product":
        return {}
    asked = ((n, pits.ask("minivae.racing.roofs:roofs", threads=n)) for n in {1, len(pits.cores)})
    return {n: 1 / roof["fma_gflops"] for n, roof in asked}


def rows_of(
    name: str, ladder: Ladder, found: list[dict[str, Any]], work: float, peaks: dict[int, float],
    load: dict[str, Any], a_a: dict[str, Any] | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The stored rows: ns per unit, the gain over v0, the verdict against the rung below."""
    rows, per = [], 1e3 / work  # µs a call -> ns a unit
    timed = {r["name"]: r for r in found if "us" in r and "failed" not in r}
    for version in ladder.versions:
        label = f"v{version.number}"
        row: dict[str, Any] = {
            "ladder": name, "version": version.number, "idea": version.idea, "unit": ladder.unit,
            "chosen": version is ladder.versions[-1], "part": version.part, "load": load,
        }  # fmt: skip
        rows.append(row)
        if label not in timed:
            row["failed"] = next(r.get("failed", "not timed") for r in found if r["name"] == label)
            continue
        mine = timed[label]
        ns = {q: per * value for q, value in mine["us"]["hot"].items()}
        first = timed.get("v0", mine)["us"]["hot"]["p50"] * per
        row |= {"ns": ns, "n": mine["n"], "error": mine["error"], "judged": mine["judged"],
                "gain": first / ns["p50"],
                "samples_ns": [per * s for s in mine["samples_us"]]}  # fmt: skip
        below = timed.get(f"v{version.number - 1}")
        if below:
            row["below"] = verdict(mine["samples_us"], below["samples_us"])
        if row["chosen"] and f"{label}{AGAIN}" in timed:
            row["a_a"] = a_a
        if peaks:
            peak = peaks[max(peaks) if row["chosen"] else 1]
            row |= {"gflops": 1 / ns["p50"], "peak_share": peak / ns["p50"]}
    return rows


def run(name: str, threads: int | None, store: bool, write: bool) -> list[dict[str, Any]]:
    """One ladder, or all of them."""
    if name and name not in NAMES:
        raise LadderError(f"unknown ladder {name!r}: choose {', '.join(NAMES)}")
    head = machine.header(threads)
    rows = [{"machine": head, **r} for n in ([name] if name else NAMES) for r in race(n, threads)]
    if store:
        results.append("ladder", rows)
    if write:
        kept = results.latest("ladder", ("ladder", "version")) if store else rows
        write_readme(kept)
    return rows


def duration(ns: float) -> str:
    """Nanoseconds in three digits and a unit that fits: a card's flop takes 28.5 fs."""
    for size, unit in ((1e6, "ms"), (1e3, "µs"), (1.0, "ns"), (1e-3, "ps")):
        if ns >= 0.9995 * size:
            return f"{ns / size:#.3g} {unit}".replace(". ", " ")
    return f"{ns / 1e-6:#.3g} fs".replace(". ", " ")


def table(rows: list[dict[str, Any]]) -> str:
    """The rungs for people."""
    lines = []
    for row in rows:
        title = f"{row['ladder']}_v{row['version']}"
        if row.get("card") and row["version"] == 0:  # the GPU's: whose figures these are
            lines.append(f"{row['ladder']} on {row['card']}")
        if "failed" in row:
            lines.append(f"{title:15} FAILED: {row['failed']}")
            continue
        share = f"{row['peak_share']:5.0%} of peak" if "peak_share" in row else ""
        below = f"{row['below']['ratio']:.2f} × the rung below, " if "below" in row else ""
        each = f"{duration(row['ns']['p50'])}/{row['unit']}"
        lines.append(f"{title:15} {each:>16} {row['gain']:8.1f} × "
                     f"{share}  {below}{row['idea']}")  # fmt: skip
        if row.get("a_a"):
            lines.append(f"{'':15} A against A: {ratio(row['a_a'])}")
        if row["chosen"] and row.get("load", {}).get("busy"):
            lines.append(f"{'':15} BUSY MACHINE: {row['load']['busy']}")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(rows: list[dict[str, Any]]) -> str:
    """One table of a ladder, slow to fast."""
    unit, product = rows[0]["unit"], rows[0]["ladder"] == "product"
    error = "error / allowed" if "judged" in rows[-1] else "error"  # of older rows: relative
    titles = [
        "version",
        f"ns per {unit}",
        "times v0",
        "of the FMA peak" if product else error,
    ]
    table = [[*titles, "what it changes"], ["--:"] * len(titles) + ["---"]]
    for row in rows:
        cells = ["failed", "", ""]
        if "ns" in row:
            last = f"{row['peak_share']:.1%}" if product else f"{row['error']:.2g}"
            cells = [_number(row["ns"]["p50"]), _number(row["gain"]), last]
        idea = row["idea"].replace("|", "\\|")  # a bar would end the cell
        table.append([f"v{row['version']}", *cells, idea])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in table)


def write_readme(rows: list[dict[str, Any]]) -> None:
    """Every ladder's table between its own markers, and the plot of all of them."""
    text = README.read_text(encoding="utf-8")
    for name in NAMES:
        mine = sorted((r for r in rows if r["ladder"] == name), key=lambda r: r["version"])
        versions = len(load(name).versions)
        mine = [r for r in mine if r["version"] < versions]
        if not mine:
            print(f"{name}: no results yet, its table is left as it is", file=sys.stderr)
            continue
        head = mine[-1]["machine"]
        beside = ", beside other work" if mine[-1].get("load", {}).get("busy") else ""
        where = f"{head['processor']}, {head['threads']} threads, {head['time'][:10]}{beside}."
        body = f"{markdown(mine)}\n\n{where}"
        try:
            text = between(text, body, f"<!-- ladder:{name}:begin -->",
                           f"<!-- ladder:{name}:end -->", str(README))  # fmt: skip
        except ReportError as error:
            raise LadderError(str(error)) from None
    README.write_text(text, encoding="utf-8")
    plot(rows)


def plot(rows: list[dict[str, Any]]) -> None:
    """Each ladder as a staircase of gains over its first rung: kernels/ladder.svg."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "minivae"
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name in NAMES:
        mine = sorted((r for r in rows if r["ladder"] == name and r.get("gain")),
                      key=lambda r: r["version"])  # fmt: skip
        axes.plot([r["version"] for r in mine], [r["gain"] for r in mine], "o-", label=name)
    axes.set(yscale="log", xlabel="version", ylabel="times faster than v0")
    axes.legend()
    figure.savefig(README.parent / "ladder.svg", metadata={"Date": None})
    plt.close(figure)
