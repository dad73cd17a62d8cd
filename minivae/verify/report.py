"""What a check found: a row for each tensor, a line for each fault, as text, JSON or an error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

HEADER = tuple("op|tensor|complex|differ.|adjoint|slope|worst at|hand|true|ulps|verdict".split("|"))


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


def first_fault(tests: Iterable[tuple[Any, str, str]], tensor: str = "") -> list[Fault]:
    """The fault of the first of some (whether it is there, kind, message) that is there."""
    return next(([Fault(kind, text, tensor)] for there, kind, text in tests if there), [])


def not_finite(what: str, numbers: Any, tensor: str, advice: str = "") -> list[Fault]:
    """The fault of the first number that is NaN or infinite, if there is one."""
    bad = ~np.isfinite(numbers)
    if not bad.any():
        return []
    at = tuple(map(int, np.unravel_index(np.argmax(bad), bad.shape)))
    value = "NaN" if np.isnan(numbers[at]) else numbers[at]
    text = f"{what} is {value} at {where(at)} ({bad.sum()} of {bad.size} entries)"
    return [Fault("nan", text + advice, tensor, at)]


@dataclass
class Row:
    """Two votes and two figures on one tensor; None where there is none (the reason says why)."""

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
        """The row with the largest error."""
        return max(self.rows, key=lambda row: (not row.ok, row.complex_step or 0.0), default=None)

    def raise_if_failed(self) -> None:
        """Raises GradientError, an AssertionError: its lines name tensor, index, sample, values."""
        if not self.ok:
            lines = "\n".join(map(str, self.faults)) or "nothing was compared"
            raise GradientError(f"{self.name}: {lines}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data; NaN and infinities as strings, so that any JSON reader takes it."""
        return dict(plain({"name": self.name, "ok": self.ok, **asdict(self)}))

    def to_json(self, indent: int | None = 2) -> str:
        """The report as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        rows = f"{sum(row.ok for row in self.rows)} of {len(self.rows)} tensors right"
        first = f": {self.faults[0]}" if self.faults else ""
        return f"<Report {self.name}: {'ok' if self.ok else 'WRONG'}, {rows}{first}>"

    def __str__(self) -> str:
        table = table_lines(self.rows) if self.rows else []
        return "\n".join([*table, *map(str, self.faults), *self.notes])


def plain(tree: Any) -> Any:
    """A tree as JSON holds it, with NaN and infinities as strings."""
    return json.loads(json.dumps(tree), parse_constant=lambda name: str(float(name)))


def where(index: Iterable[Any] | None) -> str:
    """An index as Python writes it."""
    return "" if index is None else str([int(i) for i in index])


def shape_hint(got: tuple[int, ...], due: tuple[int, ...]) -> str:
    """The commonest reason for a wrong shape."""
    extra, last = len(got) - len(due), zip(got[::-1], due[::-1], strict=False)
    hints = {
        "it is transposed": got == due[::-1],
        "the sum over the batch axis is missing": extra > 0 and got[extra:] == due,
        "an axis of length 1 is kept or lost (keepdims)": [n for n in got if n > 1]
        == [n for n in due if n > 1],
        "its axes are permuted, or it needs a reshape": math.prod(got) == math.prod(due),
        "it is summed over what must stay": extra <= 0 and all(g in (d, 1) for g, d in last),
    }
    return next((f": {hint}" for hint, fits in hints.items() if fits), "")


def row_cells(row: Row) -> tuple[str, ...]:
    """The cells of one row, as text; a dash where there is no number."""
    votes = [row.complex_step, row.finite_difference, row.adjoint, row.hand, row.true, row.ulps]
    digits = (2, 2, 2, 9, 9, 2)
    texts = ["-" if v is None else f"{v:.{d}g}" for v, d in zip(votes, digits, strict=True)]
    slope = "-" if row.taylor is None else f"{row.taylor:.3f}".replace("inf", "exact")
    return (row.op, row.tensor, *texts[:3], slope, where(row.index), *texts[3:], row.verdict)


def table_lines(rows: list[Row]) -> list[str]:
    """An aligned text table."""
    cells = [HEADER, *map(row_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
