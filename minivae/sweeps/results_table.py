"""A sweep's results: one row a run, means over seeds, written as CSV and Parquet."""

from __future__ import annotations

import csv
import importlib.util
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minivae.runs.files import put_in_place, remove_quietly
from minivae.sweeps.identity import DATA
from minivae.sweeps.plan import beside

FIGURES = ("loss", "reconstruction", "kl", "elbo", "squared_error", "active_units", "seconds")
Row = dict[str, Any]


def row_of(axes: Sequence[str], result: Mapping[str, Any]) -> Row:
    """One run's row: its settings, its seed, figures on held-out data in nats per datum.

    A setting that was no axis yet when the run was made has the value that it had by default.
    """
    facts, settled = result["facts"], result["settled"]
    measured = facts[facts["measured_on"]]
    known = {**settled.get(DATA, {}).get("reading", {}), **settled}
    row: Row = {}
    for key in axes:
        default = known.get(key, known.get(f"{key}_dim"))
        row[key] = result["settings"].get(key, word(default))
    row["seed"] = result["seed"]
    row |= {key: measured[key] for key in ("loss", "reconstruction", "kl", "elbo")}
    row["latent_dim"] = settled["latent_dim"]
    more = ("squared_error", "active_units", "epochs", "seconds", "run")
    return row | {key: facts[key] for key in more}


def word(value: Any) -> str:
    """A setting's value as --grid takes it: (400, 200) is 400,200."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def order_of(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before words."""
    try:
        return False, float(value), ""
    except (TypeError, ValueError):
        return True, 0.0, str(value)


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
        mean["latent_dim"] = members[0]["latent_dim"]
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


def write(folder: Path, name: str, rows: Sequence[Row]) -> dict[str, str]:
    """The rows as CSV, and as Parquet where pyarrow is installed -> the files by their names.

    Each is written beside and put in place: whole or not at all.
    """
    makers: dict[str, Callable[[Path, Sequence[Row]], None]] = {"csv": write_csv}
    if rows and importlib.util.find_spec("pyarrow") is not None:
        makers["parquet"] = write_parquet
    files = {}
    for kind, make in makers.items():
        path = folder / f"{name}.{kind}"
        new = beside(path)
        try:
            make(new, rows)
            put_in_place(new, path)
        finally:
            remove_quietly(new)
        files[path.name] = str(path)
    return files


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """With a line of names."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Columns as they are; settings are texts."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
