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
    """What a picture has room for: that which was measured at the most commits."""
    at: dict[str, set[str]] = {}
    for p in found:
        at.setdefault(p["what"], set()).add(p["commit"])
    return sorted(at, key=lambda name: (-len(at[name]), "minivae" not in name))[:MOST_LINES]


def draw(found: list[dict[str, Any]]) -> str:
    """Medians over commits, with their intervals, as SVG: each relative to its own first."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "minivae"
    names = drawn(found)
    found = [p for p in found if p["what"] in names]
    commits = commits_of([{"machine": p} for p in found])
    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    colours = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    for name, colour in zip(names, colours, strict=False):
        mine = {p["commit"]: p for p in found if p["what"] == name}
        line = [(commits.index(c), p) for c, p in mine.items()]
        first = line[0][1]["median"]
        middle = np.array([p["median"] for _, p in line]) / first
        ends = np.array([[p["low"] or p["median"], p["high"] or p["median"]] for _, p in line])
        around = np.abs(ends.T / first - middle)
        axes.errorbar([x for x, _ in line], middle, around, marker="o", capsize=2,
                      label=name, color=colour)  # fmt: skip
    axes.set(xticks=range(len(commits)), ylabel="time, relative to the first", yscale="log")
    axes.set_xticklabels(commits, rotation=60, fontsize=7)
    figure.legend(fontsize=6, ncols=2, loc="outside lower center")
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    plt.close(figure)
    return out.getvalue()


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>minivae: results</title>
<style>body{{font:15px system-ui;margin:2em auto;max-width:70em}}td,th{{padding:.15em .7em;
text-align:right;white-space:nowrap}}td:first-child,th:first-child{{text-align:left}}tr:nth-child(even)
{{background:#f3f3f3}}svg{{max-width:100%;height:auto}}</style>
<h1>minivae: results by commit</h1><p>{note}</p>{picture}
<table><tr><th>what<th>commit<th>measured<th>median<th>95 %<th>n<th>of the limit</tr>{rows}</table>
</html>
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
            p["n"],
            share,
        ]
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(c))}" for c in cells) + "</tr>")
    names = {p["what"] for p in found}
    machines = ", ".join(sorted({f"{p['processor']}, {p['threads']} threads" for p in found}))
    note = (
        f"{len(found)} medians measured on {machines}; steps in ms an update, ops in µs a call, "
        "ladders in ns a unit. Runs of different times were not interleaved. The picture shows "
        f"the {min(MOST_LINES, len(names))} measured at the most commits, of {len(names)}."
    )
    picture = draw(found)
    return PAGE.format(note=html.escape(note), picture=picture[picture.index("<svg") :],
                       rows="\n".join(rows))  # fmt: skip


def run(words: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The points that are asked for."""
    return chosen(points(folder), words)
