"""What a check found: one row per tensor, one line per fault, as text, JSON or an
AssertionError."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any


class GradientError(AssertionError):
    """A backward pass that does not match its forward."""


@dataclass
class Fault:
    """One thing that is wrong: its kind (a short word), where it is, and both values."""

    kind: str
    message: str
    tensor: str = ""
    index: tuple[int, ...] | None = None
    sample: int | None = None
    hand: float | None = None
    true: float | None = None
    factor: float | None = None

    def __str__(self) -> str:
        return self.message


@dataclass
class Row:
    """The four votes on one tensor; None where a vote could not be taken (the reason says why)."""

    op: str
    tensor: str
    shape: tuple[int, ...]
    dtype: str
    complex_step: float | None = None
    finite_difference: float | None = None
    adjoint: float | None = None
    taylor: float | None = None
    index: tuple[int, ...] | None = None
    hand: float | None = None
    true: float | None = None
    ulps: float | None = None
    oracle: str = "complex step"
    reason: str = ""
    checked: int = 0
    size: int = 0
    worst_entry: float | None = None
    visible: float | None = None  # an error of one entry that would have been seen, of the largest
    verdict: str = "not checked"

    @property
    def ok(self) -> bool:
        return self.verdict == "right"


@dataclass(repr=False)
class Report:
    """The outcome of one check."""

    name: str
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when something was compared, every tensor is right and nothing else is wrong."""
        return bool(self.rows) and not self.faults and all(row.ok for row in self.rows)

    passed = ok

    def __bool__(self) -> bool:
        return self.ok

    @property
    def worst(self) -> Row | None:
        """The row with the largest error; NaN is worse than anything."""
        return max(self.rows, key=_badness, default=None)

    def raise_if_failed(self) -> None:
        """Raises GradientError (an AssertionError) whose lines name tensor, index, sample and
        values."""
        if not self.ok:
            lines = [str(f) for f in self.faults] or ["nothing was compared"]
            raise GradientError(f"{self.name}: " + "\n".join(lines))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; NaN and infinities as strings, so that any JSON reader takes it."""
        data = {
            "name": self.name,
            "ok": self.ok,
            "rows": [asdict(row) for row in self.rows],
            "faults": [asdict(fault) for fault in self.faults],
            "notes": list(self.notes),
        }
        return dict(plain(data))

    def to_json(self, indent: int | None = 2) -> str:
        """The report as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        rows = f"{sum(row.ok for row in self.rows)} of {len(self.rows)} tensors right"
        first = f": {self.faults[0]}" if self.faults else ""
        return f"<Report {self.name}: {'ok' if self.ok else 'WRONG'}, {rows}{first}>"

    def __str__(self) -> str:
        return "\n".join([*table_lines(self.rows), *map(str, self.faults), *self.notes])


def _badness(row: Row) -> tuple[bool, float]:
    errors = [e for e in (row.complex_step, row.finite_difference) if e is not None]
    error = errors[0] if errors else 0.0
    return (not row.ok, math.inf if math.isnan(error) else error)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(sub) for key, sub in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(sub) for sub in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def short(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}g}"


def where(index: tuple[int, ...] | None) -> str:
    """An index as Python writes it."""
    return "" if index is None else "[" + ", ".join(map(str, index)) + "]"


HEADER = (
    "op",
    "tensor",
    "complex",
    "differ.",
    "adjoint",
    "slope",
    "worst at",
    "hand",
    "true",
    "ulps",
    "verdict",
)


def row_cells(row: Row) -> tuple[str, ...]:
    """The cells of one row, as text."""
    slope = (
        "-" if row.taylor is None else ("exact" if math.isinf(row.taylor) else f"{row.taylor:.3f}")
    )
    return (
        row.op,
        row.tensor,
        short(row.complex_step),
        short(row.finite_difference),
        short(row.adjoint),
        slope,
        where(row.index),
        short(row.hand, 9),
        short(row.true, 9),
        short(row.ulps),
        row.verdict,
    )


def table_lines(rows: list[Row]) -> list[str]:
    """An aligned text table."""
    cells = [HEADER, *map(row_cells, rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADER))]
    return [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells
    ]
