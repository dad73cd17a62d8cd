"""`ladder`: every numbered version of an op, gated and timed; writes the tables of the lesson."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from minivae_kernels import Unavailable
from minivae_kernels.ladder import NAMES, Ladder, Version, load

from minivae import ops as reference

from . import ROOT, machine, results
from .gate import GateError, worst
from .limits import FmaPeak
from .report import ReportError, between
from .timing import StopRule, interleave, percentiles, time_call

README = ROOT / "kernels" / "README.md"
TOL = 2e-5
RULE = StopRule(least=7, most=15, seconds=6.0)


class LadderError(ValueError):
    """A ladder that does not exist or a README that cannot be written."""


def outcome(ladder: Ladder, call: Callable[..., Any], args: tuple[Any, ...]) -> list[np.ndarray]:
    """All results of a version: returned, or left in the arguments it changes."""
    result = call(*args)
    if ladder.mutates:
        return [args[k] for k in ladder.mutates]
    return list(result) if isinstance(result, tuple) else [result]


def gate(ladder: Ladder, version: Version, seed: int, rows: int = 5) -> float:
    """Two fresh inputs against the reference in float64, judged after the second call."""
    op = getattr(reference, ladder.op, None) or getattr(np, ladder.op)
    kept = []
    for k in (0, 1):
        args = ladder.inputs(np.random.default_rng((seed, k)), rows)
        wide = tuple(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in args)
        kept.append((outcome(ladder, version, args), outcome(ladder, op, wide)))
    errors = []
    for got, want in kept:
        for n, (g, w) in enumerate(zip(got, want, strict=True)):
            errors.append(worst(f"{version.call.__name__}, result {n} ", g, w, TOL))
    return max(errors)


def timed(ladder: Ladder, version: Version) -> tuple[Callable[[int], float], float]:
    """(a block: seconds per call at `part` of the rows, the work of one such call)."""
    args = ladder.inputs(np.random.default_rng(5), max(1, ladder.rows // version.part))
    work = ladder.work(args)
    ready = version.prepare(*args)
    version.call(*ready)  # compiles
    return lambda _: time_call(lambda: version.call(*ready), 0.01), work


def race(name: str, threads: int | None) -> list[dict[str, Any]]:
    """All versions of one ladder, interleaved; ns per unit of work."""
    try:
        ladder = load(name)
    except (ValueError, Unavailable) as error:
        raise LadderError(str(error)) from None
    blocks, works, rows = {}, {}, {}
    for version in ladder.versions:
        label = f"v{version.number}"
        rows[label] = {"ladder": name, "version": version.number, "idea": version.idea,
                       "unit": ladder.unit, "chosen": version is ladder.versions[-1]}  # fmt: skip
        try:
            rows[label]["error"] = gate(ladder, version, 1)
            blocks[label], works[label] = timed(ladder, version)
        except GateError as error:
            rows[label]["failed"] = str(error)
    most = threads or machine.cores()
    for n in {1, most} if name == "product" else ():
        blocks[f"peak{n}"] = _peak_block(FmaPeak(n))
    with np.errstate(all="ignore"):  # the timed optimiser runs on far past any sense
        samples, why = interleave(blocks, RULE)
    for label in works:
        version = ladder.versions[rows[label]["version"]]
        ns = percentiles([1e9 * s / works[label] for s in samples[label]])
        rows[label] |= {"ns": ns, "n": len(samples[label]), "stop": why, "part": version.part}
        rows[label]["error_after"] = gate(ladder, version, 2)
        rows[label]["gain"] = rows["v0"].get("ns", ns)["p50"] / ns["p50"]
        if name == "product":  # the share of one core's peak, or of all for the threaded rung
            peak = samples[f"peak{most if rows[label]['chosen'] else 1}"]
            share = float(np.median(peak)) * 1e9 / ns["p50"]
            rows[label] |= {"gflops": 1 / ns["p50"], "peak_share": share}
    return list(rows.values())


def _peak_block(peak: FmaPeak) -> Callable[[int], float]:
    """Seconds per floating-point operation of multiply-adds in registers."""
    return lambda _: peak.run(2e9) / 2e9


def run(name: str, threads: int | None, store: bool, write: bool) -> list[dict[str, Any]]:
    """One ladder, or all of them."""
    if name and name not in NAMES:
        raise LadderError(f"unknown ladder {name!r}: choose {', '.join(NAMES)}")
    head = machine.header(threads)
    rows = [{"machine": head, **r} for n in ([name] if name else NAMES) for r in race(n, threads)]
    if store:
        results.append("ladder", rows)
    if write:
        write_readme(results.latest("ladder", ("ladder", "version")))
    return rows


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
        lines.append(f"{title:15} {row['ns']['p50']:10.3f} ns/{row['unit']} {row['gain']:8.1f} × "
                     f"{share}  {row['idea']}")  # fmt: skip
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(rows: list[dict[str, Any]]) -> str:
    """One table of a ladder, slow to fast."""
    unit, product = rows[0]["unit"], rows[0]["ladder"] == "product"
    titles = ["version", f"ns per {unit}", "times v0", "of the FMA peak" if product else "error"]
    table = [[*titles, "what it changes"], ["--:"] * len(titles) + ["---"]]
    for row in rows:
        cells = ["failed", "", ""]
        if "ns" in row:
            last = f"{row['peak_share']:.1%}" if product else f"{row['error']:.0e}"
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
        where = f"{head['processor']}, {head['threads']} threads, {head['time'][:10]}."
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
