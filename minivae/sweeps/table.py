"""A sweep's results: one row a run, means over seeds, written as CSV."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FIGURES = ("loss", "reconstruction", "kl", "elbo", "active_units", "seconds")
Row = dict[str, Any]


def row_of(settings: Mapping[str, str], seed: int, outcome: Mapping[str, Any]) -> Row:
    """One run's row: its settings, its seed, figures on held-out data in nats per datum."""
    facts = outcome["facts"]
    measured = facts[facts["measured_on"]]
    row: Row = {**settings, "seed": seed}
    row |= {key: measured[key] for key in ("loss", "reconstruction", "kl", "elbo")}
    row |= {"active_units": facts["active_units"], "epochs": facts["epochs"]}
    return row | {"seconds": facts["seconds"], "run": facts["run"]}


def over_seeds(rows: Iterable[Row], axes: Sequence[str]) -> list[Row]:
    """Mean and standard error of the figures over the seeds of each setting; best ELBO first.

    The ELBO, since losses of different β or objectives do not compare.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[axis]) for axis in axes), []).append(row)
    found = []
    for key, members in groups.items():
        mean: Row = {**dict(zip(axes, key, strict=True)), "seeds": len(members)}
        for figure in FIGURES:
            values = [float(member[figure]) for member in members]
            mean[figure] = sum(values) / len(values)
            mean[f"{figure}_se"] = standard_error(values)
        found.append(mean)
    return sorted(found, key=lambda row: -row["elbo"])


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean; None for a single value."""
    n = len(values)
    if n < 2:
        return None
    mean = sum(values) / n
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)


def write_csv(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as CSV, whole or not at all: written beside and put in place."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text.getvalue(), encoding="utf-8")
    beside.replace(path)
    return path
