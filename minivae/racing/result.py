"""What a race came to, and its text: a header, one line a contestant, why anybody is out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from minivae.racing.load import beside

AGAIN = " again"  # the baseline's second entry


@dataclass
class Result:
    """rows: one a contestant. margin: by how much a ratio must differ from 1 to say so."""

    problem: str
    rows: list[dict[str, Any]]
    stop: str
    margin: float
    load: dict[str, Any] = field(default_factory=dict)
    a_a: dict[str, Any] | None = None
    roof: dict[str, Any] | None = None

    def row(self, name: str) -> dict[str, Any]:
        """One contestant's row; KeyError for a stranger."""
        return next(r for r in self.rows if r["name"] == name)

    def __str__(self) -> str:
        return table(self)


def microseconds(value: float) -> str:
    """Four significant figures."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def interval(row: dict[str, Any]) -> str:
    """The median's interval; a dash where there are too few rounds for one."""
    low, high = row["interval_us"]
    return "–" if low is None else f"{microseconds(low)} … {microseconds(high)}"


def ratio(found: dict[str, Any] | None) -> str:
    """A ratio, its interval and the word for it."""
    if found is None:
        return ""
    low, high = found["interval"]
    between = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return f"{found['ratio']:.2f} ×{between} {found['verdict']}"


def columns(lines: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    """Cells in columns, those of `left` to the left."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join(c.ljust(w) if k in left else c.rjust(w)
                  for k, (c, w) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )  # fmt: skip


def table(result: Result) -> str:
    """Medians in µs by state, the interval of the hot one, rounds, error, ratios."""
    timed = [r for r in result.rows if "us" in r and "failed" not in r]
    states = list(timed[0]["us"]) if timed else []
    rivals = list(dict.fromkeys(k for r in timed for k in r["against"] if not k.endswith(AGAIN)))
    head = ["contestant", *(f"{s} µs" for s in states), "95 % of hot", "n", "error"]
    head += ["of the roof"] if result.roof else []
    head += [f"against {rival}" for rival in rivals]
    lines = [head]
    for row in timed:
        cells = [row["name"], *(microseconds(row["us"][s]["p50"]) for s in states)]
        cells += [interval(row), str(row["n"]), f"{row['error']:.2f}"]
        cells += [f"{row['roof_share']:.0%}"] if result.roof else []
        lines.append(cells + [ratio(row["against"].get(rival)) for rival in rivals])
    text = [result.problem, columns(lines, (0, *range(len(head) - len(rivals), len(head))))]
    text += [f"{r['name']}: OUT, {r['failed']}" for r in result.rows if "failed" in r]
    return "\n".join([*text, *notes(result)])


def notes(result: Result) -> list[str]:
    """What a reader needs to judge the figures."""
    said = [f"stopped: {result.stop}; a ratio whose interval is within {result.margin:.1%} of 1 is "
            "called the same, one whose interval crosses that bound ambiguous; "
            "error: share of what rounding allows"]  # fmt: skip
    if result.a_a:
        said.append(f"A against A: {ratio(result.a_a)}")
    if result.roof:
        said.append(f"the roof: {microseconds(result.roof['us'])} µs, {result.roof['binds']}")
        said += beside(result.roof["roofs"])
    if result.load.get("busy"):
        again = ", the calmest of several" if result.load.get("repeated") else ""
        said.append(f"BUSY MACHINE{again}: {result.load['busy']}; do not trust these figures")
    return said
