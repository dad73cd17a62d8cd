"""`history`: every result by commit, as CSV, as a picture, and as one self-contained HTML page."""

from __future__ import annotations

import csv
import html
import io
from pathlib import Path
from typing import Any

import numpy as np

from minivae.racing.statistics import median_interval

from . import RESULTS
from .compare import CompareError, all_rows, commits_of, measured

FIELDS = ("what", "commit", "time", "processor", "threads", "median", "low", "high", "n", "share")
MOST_LINES = 12


def points(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """One point for everything that was timed, with the interval of its median."""
    found = []
    for row in all_rows(folder):
        if "failed" in row:
            continue
        for what, samples, share in measured(row):
            head, interval = row["machine"], median_interval(samples)
            bounds = [b if np.isfinite(b) else None for b in interval[:2]]
            found.append({
                "what": what, "commit": head["commit"], "time": head["time"],
                "processor": head["processor"], "threads": head["threads"],
                "median": float(np.median(samples)), "low": bounds[0], "high": bounds[1],
                "n": len(samples), "share": share,
            })  # fmt: skip
    return found


def chosen(found: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    """The points whose name holds every word; CompareError, with a few names, where none does."""
    kept = [p for p in found if all(word in p["what"] for word in words.split())]
    if not kept:
        some = sorted({p["what"] for p in found})[:5]
        raise CompareError(f"no results for {words!r}; there are, for example: {'; '.join(some)}")
    return kept


def as_csv(found: list[dict[str, Any]]) -> str:
    """The points as CSV, one a line."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def drawn(found: list[dict[str, Any]]) -> list[str]:
    """What a picture has room for: ours before the peers, what most commits measured first."""
    at: dict[str, set[str]] = {}
    for p in found:
        at.setdefault(p["what"], set()).add(p["commit"])
    lines = [name for name in at if len(at[name]) > 1] or list(at)
    return sorted(lines, key=lambda name: (is_peer(name), -len(at[name])))[:MOST_LINES]


def is_peer(name: str) -> bool:
    """Whether it is the time of somebody else, or of ours a second time."""
    return any(word in name for word in ("jax", "torch", "peak", "NumPy", "again"))


def unit_of(name: str) -> str:
    """What a median is counted in."""
    return {"step": "ms an update", "op": "µs a call", "product": "µs a call"}.get(
        name.split()[0], "ns a unit"
    )


def draw(found: list[dict[str, Any]]) -> str:
    """Medians over commits, with their intervals, as SVG: each relative to its own first."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    plt.rcParams["svg.hashsalt"] = "minivae"
    names = drawn(found)
    found = [p for p in found if p["what"] in names]
    commits = commits_of([{"machine": p} for p in found])
    height = 4.5 + 0.11 * len(names)
    figure, axes = plt.subplots(figsize=(10, height), layout="constrained")
    colours = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    beside = np.linspace(-0.15, 0.15, len(names))  # so that no interval hides another
    for name, colour, away in zip(names, colours, beside, strict=False):
        mine = {p["commit"]: p for p in found if p["what"] == name}
        line = [(commits.index(c), p) for c, p in mine.items()]
        first = line[0][1]["median"]
        middle = np.array([p["median"] for _, p in line]) / first
        ends = np.array([[p["low"] or p["median"], p["high"] or p["median"]] for _, p in line])
        around = np.abs(ends.T / first - middle)
        axes.errorbar([x + away for x, _ in line], middle, around, marker="o", capsize=2,
                      label=name, color=colour)  # fmt: skip
    axes.set(xticks=range(len(commits)), yscale="log",
             ylabel="time, relative to the first commit shown (less is faster)")  # fmt: skip
    days = {p["commit"]: p["time"][:10] for p in found}
    axes.set_xticklabels([f"{c}\n{days[c]}" for c in commits], fontsize=8)
    axes.axhline(1, color="0.7", linewidth=0.8, zorder=0)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(fontsize=8, ncols=2, loc="outside lower center", frameon=False)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    plt.close(figure)
    return out.getvalue()


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>minivae: results</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:14px system-ui;margin:2em auto;max-width:80em;padding:0 1em}}
.wide{{overflow-x:auto}}table{{border-collapse:collapse;width:100%}}
td,th{{padding:.15em .5em;text-align:right;white-space:nowrap}}
td:first-child,th:first-child{{text-align:left;white-space:normal}}tr:nth-child(even){{background:#f3f3f3}}
th{{position:sticky;top:0;background:#fff;border-bottom:1px solid}}
svg{{max-width:100%;height:auto}}</style>
<h1>minivae: results by commit</h1><p>{note}</p>{picture}<div class="wide">
<table><tr><th>what<th>commit<th>measured<th>median<th>95 %<th>unit<th>n<th>of the limit</tr>
{rows}</table></div></html>
"""


def page(found: list[dict[str, Any]]) -> str:
    """One page that needs nothing else: the picture, then every point, newest first."""
    rows = []
    for p in sorted(found, key=lambda p: p["time"], reverse=True):
        between = "–" if p["low"] is None else f"{p['low']:.4g} … {p['high']:.4g}"
        share = f"{p['share']:.0%}" if p["share"] else "–"
        cells = [
            p["what"],
            p["commit"],
            p["time"][:16].replace("T", " "),
            f"{p['median']:.4g}",
            between,
            unit_of(p["what"]),
            p["n"],
            share,
        ]
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(c))}" for c in cells) + "</tr>")
    names = {p["what"] for p in found}
    machines = ", ".join(sorted({f"{p['processor']}, {p['threads']} threads" for p in found}))
    note = (
        f"{len(found)} medians measured on {machines}, newest first, with the exact 95 % interval "
        "where there were rounds enough for one. Runs of different times were not interleaved: a "
        f"line may rise because the machine was slower. The picture shows {len(drawn(found))} of "
        f"{len(names)}: those of ours that the most commits measured."
    )
    picture = draw(found)
    return PAGE.format(note=html.escape(note), picture=picture[picture.index("<svg") :],
                       rows="\n".join(rows))  # fmt: skip


def run(words: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The points that are asked for."""
    return chosen(points(folder), words)
