"""`roofline`: the measured roofs by level and pattern, and where this commit's ops lie beneath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minivae.racing.load import beside
from minivae.racing.roofs import LEVELS, roofs

from . import RESULTS, machine, results


def run(threads: int | None, store: bool) -> list[dict[str, Any]]:
    """Measure the roofs, on all threads and on one."""
    head = machine.header(threads)
    most = threads or head["cores"]
    rows = [{"machine": head, **roofs(n)} for n in sorted({1, most})]
    if store:
        results.append("roofline", rows)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The roofs for people."""
    lines = []
    for row in rows:
        lines.append(
            f"{row['threads']} threads: {row['fma_gflops']:.0f} GFLOP/s of multiply-adds "
            f"({row['fma_width']} lanes); GB/s by level"
        )
        for level in LEVELS:
            rates = "  ".join(f"{p} {rate:7.1f}" for p, rate in row["gbs"][level].items())
            lines.append(f"  {level:7} {rates}")
        lines += beside(row)
    return "\n".join(lines)


def ops_of(head: dict[str, Any], threads: int, folder: Path) -> list[dict[str, Any]]:
    """The newest rows of `ops` by this commit, on this processor and so many threads.

    Another commit's dots under today's roof would say nothing.
    """
    try:
        rows = results.latest("ops", ("op", "size"), folder)
    except results.ResultsError:
        return []
    same = ("processor", "commit")
    return [
        r for r in rows
        if "failed" not in r and r["machine"]["threads"] == threads
        and all(r["machine"][key] == head[key] for key in same)
    ]  # fmt: skip


def plot(row: dict[str, Any], path: Path, folder: Path = RESULTS) -> None:
    """Operations a second against operations a byte; the ops of this commit as dots."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    intensity = np.logspace(-2, 3, 200)
    for level in LEVELS:
        rate = row["gbs"][level]["copy"]
        reach = np.minimum(intensity * rate, row["fma_gflops"])
        axes.plot(intensity, reach, label=f"{level}: {rate:.0f} GB/s")
    axes.axhline(row["fma_gflops"], color="black", linewidth=0.8, linestyle=":")
    axes.axhline(row["fma_gflops"] / 2, color="black", linewidth=0.5, linestyle=":")
    found = ops_of(row["machine"], row["threads"], folder)
    for op in found:
        x = op["gflops"] / max(op["gbs"], 1e-9)
        axes.plot(x, op["gflops"], "o" if op["size"] == "cache" else "s", color="0.4", markersize=4)
        if op["roof_share"] > 0.3 and op["size"] == "cache":
            place = {"xytext": (3, -7), "textcoords": "offset points", "fontsize": 6}
            axes.annotate(op["op"], (x, op["gflops"]), **place)
    dots = f"ops of {row['machine']['commit']}" if found else "no ops of this commit are stored"
    axes.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="10⁹ operations / s",
             title=f"Measured roofs, {row['threads']} threads; {dots}")  # fmt: skip
    axes.set_ylim(bottom=0.1)
    axes.legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
