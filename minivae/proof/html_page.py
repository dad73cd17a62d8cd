"""The verification as one self-contained page, which is also a lesson: no script, no file
beside it."""

# ruff: noqa: E501
from __future__ import annotations

import math
from html import escape

from minivae.proof.curves import Curves, Points
from minivae.proof.figures import MeasuredFigure
from minivae.proof.identity import Meaning
from minivae.proof.mutation_score import MutantResult, MutationScore
from minivae.verify.report import HEADER, Report, Row, row_cells

COLOURS = ("#b3541e", "#2f6f9f", "#3d8361", "#7a4fa3")
STYLE = """
body{font:16px/1.55 Georgia,serif;max-width:1040px;margin:2.5em auto;padding:0 1.2em;color:#222;background:#fdfcf9}
h1,h2{font-weight:normal;line-height:1.2}h2{margin-top:2.2em;border-bottom:1px solid #ddd}
table{border-collapse:collapse;font:12px/1.4 ui-monospace,Menlo,Consolas,monospace;width:100%}
td,th{padding:0.2em .4em;text-align:left;border-bottom:1px solid #eee;white-space:nowrap}
.wide{overflow-x:auto}.wrap td{white-space:normal}.wrong td{background:#fbe3dd}.wrong td:last-child{color:#a11;font-weight:bold}
.right td:last-child{color:#2b6b3f}.ok{color:#2b6b3f}.bad{color:#a11;font-weight:bold}
svg{width:100%;height:auto;max-width:820px;display:block;margin:1em 0}
svg text{font:12px sans-serif;fill:#444}.note{color:#555;font-size:.93em}
"""


def page(
    reports: list[Report],
    curves: Curves,
    board: MutationScore | None,
    figures: list[MeasuredFigure] | None = None,
    identities: list[Meaning] | None = None,
) -> str:
    """The whole page: green at its head only where everything on it is right."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>minivae verify</title><style>{STYLE}</style>",
        "<h1>Is the gradient right?</h1>",
        headline(reports, other_failures(board, figures, identities)),
        "<p>Each hand-written backward pass below was compared with its forward by two votes that "
        "share nothing but the forward itself, the complex step and differences. Two figures stand "
        "beside them, the adjoint identity and the Taylor slope.</p>",
        step_section(curves),
        taylor_section(curves),
        table_section(reports),
    ]
    if identities:
        parts.append(meaning_section(identities))
    if board is not None:
        parts.append(mutant_section(board))
    if figures:
        parts.append(figure_section(figures))
    return "\n".join(parts) + "\n</html>\n"


def headline(reports: list[Report], failures: list[str]) -> str:
    """How many passes are right, and what else is not."""
    good = sum(report.ok for report in reports)
    right = good == len(reports) and not failures
    text = "".join(f"; {failure}" for failure in failures)
    return (
        f"<p class={'ok' if right else 'bad'}>{good} of {len(reports)} passes are right{text}.</p>"
    )


def other_failures(
    board: MutationScore | None,
    figures: list[MeasuredFigure] | None,
    identities: list[Meaning] | None,
) -> list[str]:
    """What is wrong beside the passes, in words; empty where nothing is."""
    counts = {
        "planted bugs that nobody noticed": len(board.survivors) if board else 0,
        "figures missed": sum(not figure.ok for figure in figures or []),
        "identities of meaning that fail": sum(not m.ok for m in identities or []),
    }
    missing = ["no bugs were planted, as a pass is wrong already"] if board is None else []
    return missing + [f"{words}: {count}" for words, count in counts.items() if count]


def meaning_section(identities: list[Meaning]) -> str:
    bad = [m for m in identities if not m.ok]
    lines = "".join(
        f"<p class=bad>{escape(m.name)}: {m.error:.3g}, at most {m.limit:.3g} ({escape(m.op)})</p>"
        for m in bad
    )
    return (
        "<h2>Is it the right loss?</h2><p>A right gradient of the wrong loss passes every vote. "
        f"{len(identities) - len(bad)} of {len(identities)} identities that the maths asks of the "
        f"forward hold.</p>{lines}"
    )


def step_section(c: Curves) -> str:
    chart = plot(c.steps, "step h", "relative error of the slope", falling=True)
    return (
        "<h2>Which step? The V-curve</h2>"
        f"<p>The slope of the loss of <b>{escape(c.row)}</b> along a random-sign direction in "
        f"<b>{escape(c.tensor)}</b>, worked out with ever smaller steps (read from left to right). A "
        "difference loses to truncation while the step is large and to rounding once it is small: "
        "an error shaped like a V, and no step is right for every function. The complex step, "
        "Im f(x + ih) / h, subtracts nothing. Its error falls to the last bit and stays there, so "
        "the checks use h = 1e-40 and nobody has to choose.</p>" + chart
    )


def taylor_section(c: Curves) -> str:
    chart = plot(c.taylor, "t", "|f(x + tu) - f(x) - t g.u|", falling=True)
    return (
        "<h2>The remainder: slope 2, or slope 1</h2>"
        "<p>What Taylor's formula leaves over falls with the square of t when the gradient is right: "
        "two decades down for each decade to the right. A gradient that is off by one per cent follows "
        "at first, then bends to slope 1, because t times its error is left. At the bottom rounding "
        "takes over; the checks find the clean window themselves.</p>" + chart
    )


def table_section(reports: list[Report]) -> str:
    rows = [row for report in reports for row in report.rows]
    worst = max(rows, key=lambda r: (not r.ok, r.complex_step or 0.0), default=None)
    head = "".join(f"<th>{escape(h)}</th>" for h in HEADER)
    body = "".join(html_row(row) for row in rows)
    faults = "".join(
        f"<p class=bad>{escape(str(f))}</p>" for report in reports for f in report.faults
    )
    last = (
        f"<p>The worst of all:</p><div class=wide><table>{html_row(worst)}</table></div>"
        if worst
        else ""
    )
    return (
        "<h2>Every tensor</h2><p class=note>complex: worst error of the complex step over the tensor's "
        "largest entry. differ.: 4th-order differences along a random-sign direction. adjoint: "
        "&lang;v, Ju&rang; against &lang;J<sup>T</sup>v, u&rang;. slope: the Taylor rate ('exact' for a "
        "linear pass; '-' where a kink leaves no clean window).</p>"
        f"<div class=wide><table><tr>{head}</tr>{body}</table></div>{faults}{last}"
    )


def html_row(row: Row) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row_cells(row))
    return f"<tr class={'right' if row.ok else 'wrong'}>{cells}</tr>"


def mutant_section(board: MutationScore) -> str:
    kinds = board.by("kind")
    width, height = 820, 22 * len(kinds) + 8
    top = max(n for _, _, n in kinds)
    bars = []
    for i, (kind, dead, planted) in enumerate(sorted(kinds, key=lambda k: -k[2])):
        y, full, part = 22 * i + 4, 480 * planted / top, 480 * dead / top
        bars.append(
            f"<text x=170 y={y + 13} text-anchor=end>{escape(kind)}</text>"
            f"<rect x=180 y={y} width={full:.1f} height=16 fill='#e8c9bd'/>"
            f"<rect x=180 y={y} width={part:.1f} height=16 fill='#3d8361'/>"
            f"<text x={188 + full:.0f} y={y + 13}>{dead} of {planted}</text>"
        )
    planted_all = len(board.outcomes) - len(board.equivalent)
    return (
        "<h2>Would the checks notice?</h2>"
        f"<p>{len(board.outcomes)} small bugs were planted in the backward passes, one at a time, and the "
        f"checks killed {board.killed} of the {planted_all} that change anything, in "
        f"{board.seconds:.1f} s; {board.raised} did not even return. Green: killed.</p>"
        f"<svg viewBox='0 0 {width} {height}' role=img aria-label='planted bugs killed, by kind'>{''.join(bars)}</svg>"
        + alive("These bugs SURVIVED: nothing that is checked sees them.", board.survivors)
        + alive("These compute the same gradient, each for its reason:", board.equivalent)
    )


def alive(words: str, results: list[MutantResult]) -> str:
    """A table of mutants that nothing killed; '' where there are none."""
    rows = "".join(
        f"<tr class={'right' if r.reason else 'wrong'}><td>{escape(r.mutant.label)}</td>"
        f"<td>{escape(r.reason or 'SURVIVED')}</td></tr>"
        for r in results
    )
    return f"<p>{words}</p><div class=wide><table class=wrap>{rows}</table></div>" if rows else ""


def figure_section(figures: list[MeasuredFigure]) -> str:
    rows = "".join(
        f"<tr class={'right' if f.ok else 'wrong'}><td>{escape(f.name)}</td><td>{f.value:.4g} {f.unit}</td>"
        f"<td>{'at least' if f.at_least else 'at most'} {f.limit:.4g}</td><td>{'reached' if f.ok else 'MISSED'}</td></tr>"
        for f in figures
    )
    return f"<h2>The figures</h2><table>{rows}</table>"


def plot(series: dict[str, Points], x_label: str, y_label: str, falling: bool) -> str:
    """A log-log chart in SVG; `falling` puts large x on the left."""
    width, height, left, right, top, bottom = 820, 400, 74, 150, 16, 46
    every = [p for points in series.values() for p in points if p[1] > 0]
    x0, x1 = (math.floor(f(math.log10(p[0]) for p in every)) for f in (min, max))
    y0, y1 = (math.floor(f(math.log10(p[1]) for p in every)) for f in (min, max))
    x1, y1 = x1 + 1, y1 + 1

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - x0) / (x1 - x0)
        across = left + (width - left - right) * (1 - share if falling else share)
        return across, top + (height - top - bottom) * (y1 - math.log10(y)) / (y1 - y0)

    out = [
        f"<svg viewBox='0 0 {width} {height}' role=img aria-label='{escape(y_label)} against {escape(x_label)}'>"
    ]
    for k in range(y0, y1 + 1, 2):
        _, y = place(10.0**x0, 10.0**k)
        out.append(f"<line x1={left} x2={width - right} y1={y:.1f} y2={y:.1f} stroke='#e6e2d8'/>")
        out.append(f"<text x={left - 8} y={y + 4:.1f} text-anchor=end>1e{k}</text>")
    for k in range(x0, x1 + 1, 2):
        x, _ = place(10.0**k, 10.0**y0)
        out.append(f"<text x={x:.1f} y={height - bottom + 18} text-anchor=middle>1e{k}</text>")
    middle = (left + width - right) / 2
    out.append(
        f"<text x={middle:.0f} y={height - 8} text-anchor=middle>{escape(x_label)} (smaller to the right)</text>"
    )
    out.append(
        f"<text transform='translate(14 {height / 2:.0f}) rotate(-90)' text-anchor=middle>{escape(y_label)}</text>"
    )
    used: list[float] = []
    for colour, (name, points) in zip(COLOURS, series.items(), strict=False):
        line = [place(x, y) for x, y in points if y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        out.append(f"<polyline points='{path}' fill=none stroke='{colour}' stroke-width=2 />")
        y = label_height(line[-1][1], used)
        out.append(
            f"<text x={width - right + 8} y={y + 4:.1f} style='fill:{colour}'>{escape(name)}</text>"
        )
    return "".join(out) + "</svg>"


def label_height(y: float, used: list[float]) -> float:
    """Where a label fits without lying on another."""
    while any(abs(y - other) < 15 for other in used):
        y += 4
    used.append(y)
    return y
