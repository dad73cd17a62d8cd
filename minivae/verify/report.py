"""What a check found: a row for each tensor, a line for each fault, as text, JSON or an error."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.verify.derivatives import taylor_rate

if TYPE_CHECKING:
    from minivae.verify.oracles import Trial


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
        """The row with the largest error."""
        return max(self.rows, key=lambda row: (not row.ok, row.complex_step or 0.0), default=None)

    def raise_if_failed(self) -> None:
        """Raises GradientError (an AssertionError) whose lines name tensor, index, sample and
        values."""
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
    """The same as JSON holds it, with NaN and infinities as strings."""
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


HEADER = tuple("op|tensor|complex|differ.|adjoint|slope|worst at|hand|true|ulps|verdict".split("|"))


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


# -- what one tensor's trial comes to --------------------------------------------------------------
def fill_row(trial: Trial) -> None:
    """The four votes as numbers."""
    leaf, probe, slope, row = trial.leaf, trial.probe, trial.slope, trial.row
    row.oracle = "differences" if trial.reason else "complex step"
    row.reason, row.checked, row.visible = trial.reason, len(trial.entries), trial.seen
    row.verdict = "wrong" if trial.wrong.any() else "right"
    error, truth = trial.error, np.abs(trial.true)
    row.worst_entry = float(np.max(error / np.maximum(truth, 1e-300), initial=0, where=truth != 0))
    if len(trial.entries):
        among = trial.wrong if trial.wrong.any() else ~trial.wrong
        i = int(np.argmax(np.where(among, error, -1.0)))
        row.index, row.hand, row.true = trial.index(i), float(trial.g[i]), float(trial.true[i])
        row.ulps = abs(row.hand - row.true) / float(np.spacing(max(abs(row.true), 1e-300)))
        row.complex_step = None if trial.reason else ratio(error.max(), truth.max())
    parts, roomy = trial.hand * trial.delta, probe.clock.fits(forward=30, backward=1, complex=1)
    inner, scale = float(parts.sum()), max(float(np.abs(parts).sum()), abs(slope.value))
    if trial.reliable(slope, scale) and not slope.kink:
        row.finite_difference = ratio(abs(inner - slope.value), scale)
        if roomy:
            row.taylor = taylor_rate(probe.line(leaf, trial.delta), inner, probe.job.y_eps)
    if roomy:
        row.adjoint = adjoint(trial)


def adjoint(trial: Trial) -> float | None:
    """|<v, J u> - <J^T v, u>| over the larger sum of moduli, for an upstream v of its own."""
    probe = trial.probe
    v = probe.signs(probe.job.y0.shape) * probe.rng.uniform(0.5, 1.5, probe.job.y0.shape)
    back = None if trial.reason else trial.back(v)
    if back is None:
        return None
    left, right = v * probe.push({trial.leaf.place: trial.delta}), back * trial.delta
    return ratio(abs(left.sum() - right.sum()), max(np.abs(left).sum(), np.abs(right).sum()))


def ratio(top: float, bottom: float) -> float:
    """top / bottom; 0 for nothing of nothing."""
    return float(top / bottom) if bottom > 0 else (0.0 if top == 0 else math.inf)


def together_fault(
    trials: list[Trial], hand: float, true: float, tied: Trial | None = None
) -> Fault:
    """The line for gradients whose sum is wrong: at a tie, where each may be right by itself; or
    where time did not allow to see which is wrong."""
    names = " and ".join(", ".join(trial.leaf.name for trial in trials).rsplit(", ", 1))
    sums = f"the gradients add up to {hand:.8g}, the slope is {true:.8g}"
    if tied is None:
        which = "at least one gradient" if len(trials) > 1 else "the gradient"
        text = f"{which} of {names} is wrong: along random signs {sums}; more seconds tell where"
        return Fault("wrong", text, "" if len(trials) > 1 else names, hand=hand, true=true)
    index = tied.index(tied.kinks[0]) if tied.complete and tied.kinks else tied.row.index
    text = f"the gradients of {names} are wrong together at a tie ({tied.leaf.name}{where(index)})"
    text += f": as tied entries move as one, {sums}"
    return Fault("ties", text, tied.leaf.name, index, None, hand, true)


def trial_notes(trial: Trial) -> list[str]:
    """What to know of one tensor's verdict: kinks, what was not visited, what could not be seen."""
    name, size, kinks = trial.leaf.name, trial.hand.size, trial.kinks
    notes: list[str] = []
    if kinks:
        first = [name + where(np.unravel_index(k, trial.hand.shape)) for k in kinks[:3]]
        lie = "entry lies on a kink" if len(kinks) == 1 else "entries lie on kinks"
        places = ", ".join(first) + ", …" * (len(kinks) > 3)
        notes.append(f"{len(kinks):,} {lie} ({places}): each has one of its subgradients")
    if trial.reason:
        notes.append(f"{name}: judged by differences, because {trial.reason}")
    seen, count = f"{trial.seen:.1g} of the largest entry", len(trial.entries)
    if not trial.complete:
        visited = f"{count} of {size:,} entries visited ({count / size:.1%})"
        notes.append(f"{name}: {visited}; probes of all others see an error of {seen}")
    elif trial.seen > 1e-3:
        advice = "; reference= sees more" * trial.coarse
        notes.append(f"{name}: an error below {seen} cannot be seen{advice}")
    return notes
