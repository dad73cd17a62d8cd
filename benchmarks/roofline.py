"""`roofline`: the measured roofs, and a plot of where every timed op lies beneath them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import RESULTS, machine, results
from .limits import roofs


def run(threads: int | None, store: bool) -> list[dict[str, Any]]:
    """Measure the roofs, on all threads and on one."""
    head = machine.header(threads)
    most = threads or machine.cores()
    rows = [{"machine": head, **roofs(n)} for n in sorted({1, most})]
    if store:
        results.append("roofline", rows)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The roofs for people."""
    return "\n".join(
        f"{row['threads']} threads: {row['fma_gflops']:.0f} GFLOP/s of multiply-adds "
        f"({row['fma_width']} lanes), L2 {row['L2_gbs']:.0f}, L3 {row['L3_gbs']:.0f}, "
        f"memory {row['memory_gbs']:.0f} GB/s"
        for row in rows
    )


def plot(row: dict[str, Any], path: Path, folder: Path = RESULTS) -> None:
    """Operations a second against operations a byte; the ops of the newest `ops` run as dots."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    intensity = np.logspace(-2, 3, 200)
    for level in ("L2", "L3", "memory"):
        reach = np.minimum(intensity * row[f"{level}_gbs"], row["fma_gflops"])
        axes.plot(intensity, reach, label=f"{level}: {row[f'{level}_gbs']:.0f} GB/s")
    axes.axhline(row["fma_gflops"], color="black", linewidth=0.8, linestyle=":")
    try:
        ops = [r for r in results.latest("ops", ("op", "size"), folder) if "failed" not in r]
    except results.ResultsError:
        ops = []
    for op in ops:
        x = op["gflops"] / max(op["gbs"], 1e-9)
        axes.plot(x, op["gflops"], "o" if op["size"] == "cache" else "s", color="0.4", markersize=4)
        if op["roof_share"] > 0.3 and op["size"] == "cache":
            place = {"xytext": (3, -7), "textcoords": "offset points", "fontsize": 6}
            axes.annotate(op["op"], (x, op["gflops"]), **place)
    axes.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="10⁹ operations / s",
             title=f"Measured roofs, {row['threads']} threads")  # fmt: skip
    axes.set_ylim(bottom=0.1)
    axes.legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
