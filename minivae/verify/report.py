"""What a check found: a row for each tensor, a line for each fault, as text, JSON or an error."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minivae.types import Array, transform
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

        def badness(row: Row) -> tuple[bool, bool, float]:
            errors = [e for e in (row.complex_step, row.finite_difference, 0.0) if e is not None]
            return not row.ok, math.isnan(errors[0]), errors[0]

        return max(self.rows, key=badness, default=None)

    def raise_if_failed(self) -> None:
        """Raises GradientError (an AssertionError) whose lines name tensor, index, sample and
        values."""
        if not self.ok:
            lines = [str(f) for f in self.faults] or ["nothing was compared"]
            raise GradientError(f"{self.name}: " + "\n".join(lines))

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
    """The same containers with NaN and infinities as strings."""

    def one(leaf: Any) -> Any:
        return str(leaf) if isinstance(leaf, float) and not math.isfinite(leaf) else leaf

    return transform(tree, one)


def where(index: tuple[int, ...] | None) -> str:
    """An index as Python writes it."""
    return "" if index is None else "[" + ", ".join(map(str, index)) + "]"


def shape_hint(got: tuple[int, ...], due: tuple[int, ...]) -> str:
    """The commonest reason for a wrong shape."""
    long, same = len(got) > len(due), int(np.prod(got)) == int(np.prod(due))
    level = len(got) == len(due) and all(g in (d, 1) for g, d in zip(got, due, strict=True))
    hints = {
        "it is transposed": got == due[::-1],
        "the sum over the batch axis is missing": long and got[len(got) - len(due) :] == due,
        "an axis of length 1 is kept or lost (keepdims)":
            [n for n in got if n != 1] == [n for n in due if n != 1],
        "its axes are permuted": sorted(got) == sorted(due),
        "a scalar where an array is due": int(np.prod(got)) == 1,
        "it needs a reshape": same,
        "it is summed over an axis that must stay": level,
    }  # fmt: skip
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
    leaf, probe, safe, row = trial.leaf, trial.probe, not trial.reason, trial.row
    row.oracle, row.reason = "complex step" if safe else "differences", trial.reason
    row.checked, row.visible = len(trial.entries), trial.seen
    row.verdict = "wrong" if trial.wrong.any() else "right"
    error, truth = np.abs(trial.g - trial.true), np.abs(trial.true)
    row.worst_entry = float(np.max(error / np.maximum(truth, 1e-300), initial=0, where=truth != 0))
    if len(trial.entries):
        if safe:
            row.complex_step = ratio(float(error.max()), float(truth.max()))
        worst = worst_of(trial)
        row.index, row.hand, row.true = trial.index(worst), float(trial.g[worst]), trial.true[worst]
        row.true = float(row.true)
        row.ulps = abs(row.hand - row.true) / float(np.spacing(max(abs(row.true), 1e-300)))
    slope, parts = trial.slope, trial.hand * trial.delta
    inner, scale = float(parts.sum()), max(float(np.abs(parts).sum()), abs(slope.value))
    roomy = probe.clock.fits(forward=30, backward=1, complex=1)
    if trial.reliable(slope, scale) and not slope.kink:
        row.finite_difference = ratio(abs(inner - slope.value), scale)
        if roomy:
            row.taylor = taylor_rate(probe.line(leaf, trial.delta), inner, probe.job.y_eps)
    if roomy:
        row.adjoint = adjoint(trial)


def ratio(top: float, bottom: float) -> float:
    """top / bottom; 0 for nothing of nothing."""
    return top / bottom if bottom > 0 else (0.0 if top == 0 else np.inf)


def worst_of(trial: Trial) -> int:
    """The visited entry with the largest error, among the wrong ones where there are any."""
    error = np.abs(trial.g - trial.true)
    error = np.where(np.isfinite(error), error, np.inf)
    return int(np.argmax(np.where(trial.wrong, error, -1.0) if trial.wrong.any() else error))


def joint_fault(trials: list[Trial], hand: float, true: float) -> Fault:
    """The line where time allowed no more than to see that something is wrong."""
    sole = trials[0].leaf.name if len(trials) == 1 else ""
    which = f"the gradient of {sole} is wrong" if sole else (
        f"of the gradients of {all_of(trials)} at least one is wrong")  # fmt: skip
    text = (
        f"{which}: along random signs the gradients add up to {hand:.8g}, the slope is "
        f"{true:.8g} ; more seconds tell where"
    )
    return Fault("wrong", text, sole, hand=hand, true=true)


def all_of(trials: list[Trial]) -> str:
    """The tensors' names in a sentence."""
    names = [t.leaf.name for t in trials]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def tie_fault(trial: Trial, hand: float, true: float, trials: list[Trial]) -> Fault:
    """The line for entries that are right one by one and wrong together."""
    name, at_kink = trial.leaf.name, trial.complete and trial.kinks
    index = trial.index(trial.kinks[0]) if at_kink else trial.row.index
    text = (
        f"the gradients of {all_of(trials)} are wrong together at a tie ({name}{where(index)}): as "
        f"tied entries move as one, their gradients add up to {hand:.6g}, the slope is {true:.6g}"
    )
    return Fault("ties", text, name, index, None, hand, true)


def trial_notes(trial: Trial) -> list[str]:
    """What to know of one tensor's verdict: kinks, what was not visited, what could not be seen."""
    name, shape, notes = trial.leaf.name, trial.leaf.value.shape, list(trial.notes)
    if trial.kinks:
        first = [name + where(tuple(map(int, np.unravel_index(k, shape)))) for k in trial.kinks[:3]]
        count, more = len(trial.kinks), ", …" if len(trial.kinks) > 3 else ""
        lie = f"{count:,} entr{'y lies on a kink' if count == 1 else 'ies lie on kinks'}"
        notes.append(f"{lie} ({', '.join(first)}{more}): each has one of its subgradients")
    if trial.reason:
        notes.append(f"{name}: judged by differences, because {trial.reason}")
    size, seen = trial.leaf.value.size, f"{trial.seen:.1g} of the largest entry"
    if not trial.complete:
        count = len(trial.entries)
        visited = f"{count} of {size:,} entries visited" + f" ({count / size:.1%})" * bool(count)
        others = "all others by random-sign probes, which see an error of"
        notes.append(f"{name}: {visited}, {others} {seen} in any one of them")
    elif trial.seen > 1e-3:
        advice = "; reference= sees more" if trial.coarse else ""
        notes.append(f"{name}: an error below {seen} cannot be seen{advice}")
    return notes


def sample_masks(trial: Trial, batch: int | None) -> Array | None:
    """(B, outputs): which outputs belong to which sample."""
    shapes = trial.probe.job.y_shapes
    if batch is None or not 2 <= batch <= 512 or not all(s and s[0] == batch for s in shapes):
        return None
    owner = np.concatenate([np.repeat(np.arange(batch), int(np.prod(s[1:]))) for s in shapes])
    return np.asarray(owner[None, :] == np.arange(batch)[:, None], dtype=np.float64)


def blame_sample(trial: Trial, i: int, batch: int | None) -> tuple[int | None, str]:
    """The sample whose share of the worst entry is wrong; its index and how to say it."""
    index, job, masks = trial.index(i), trial.probe.job, sample_masks(trial, batch)
    if masks is None:
        return None, ""
    if trial.leaf.value.shape[:1] == (batch,):
        return index[0], f", sample {index[0]}"
    roomy = job.clock.fits(forward=len(masks), backward=len(masks))
    if trial.columns is None or len(masks) > 64 or not roomy:
        return None, ""
    try:
        hands = [trial.back(m * trial.probe.dy) for m in masks]
        hand = np.array([np.asarray(h).ravel()[trial.entries[i]] for h in hands])
    except Exception:
        return None, ""
    gaps = np.abs(hand - (masks * trial.probe.dy) @ trial.columns[:, i])
    if not np.isfinite(gaps).all() or not gaps.max() > 0:
        return None, ""
    first = int(np.argmax(gaps))
    if gaps[first] >= 0.999 * gaps.sum():
        return first, f"; the error comes from sample {first} alone"
    return first, f"; largest share of the error: sample {first}"


def adjoint(trial: Trial) -> float | None:
    """|<v, J u> - <J^T v, u>| over the larger sum of moduli, for an upstream v of its own."""
    probe, leaf, delta = trial.probe, trial.leaf, trial.delta
    v = probe.signs(probe.job.y0.shape) * probe.rng.uniform(0.5, 1.5, probe.job.y0.shape)
    back = trial.back(v)
    if back is None:
        return None
    if trial.reason:
        slope = probe.slope(probe.line(leaf, delta, v), leaf)
        if not slope.error <= 1e-4 * abs(slope.value):
            return None
        left, size = slope.value, abs(slope.value)
    else:
        pushed = probe.push({leaf.place: delta})
        left, size = float(v @ pushed), float(np.abs(v * pushed).sum())
    bottom = max(size, float(np.abs(back * delta).sum()))
    return abs(left - float((back * delta).sum())) / bottom if bottom > 0 else 0.0
