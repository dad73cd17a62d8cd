"""`compare A B`: two results files, or two commits, row by row, whatever was measured.

The runs were not interleaved, so medians are compared with their intervals, never sample by
sample; where both measured the limit or NumPy beside it, the shares do not depend on the pace that
the machine happened to have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from minivae.racing.statistics import unpaired

from . import RESULTS, results
from .entrants import rounded_word

Row = dict[str, Any]
#: kinds of results that have times; each is a file in results/
KINDS = ("step", "ops", "ladder", "products")


class CompareError(ValueError):
    """Nothing to compare; the message says what was looked for."""


def measured(row: Row) -> Iterator[tuple[str, list[float], float | None]]:
    """(what and where, samples in µs or ns or ms, share of a limit in the same run) of a row.

    Two runs are of the same thing only on the same processor and as many threads.
    """
    head, on_card = row["machine"], row.get("device") == "gpu"
    where = f"{head['threads']} threads, {head['gpu' if on_card else 'processor']}"
    for what, samples, share in _times(row):
        yield f"{what}; {where}", samples, share


def _times(row: Row) -> Iterator[tuple[str, list[float], float | None]]:
    if "samples_ms" in row:
        label = f"{row['contender']}{rounded_word(row)}"
        label += f" beside {row['busy']}" if row.get("busy") else ""
        what = f"step {row['arch']} B={row['batch']} {label}"
        yield what, row["samples_ms"], row.get("peak_share")
    elif "samples_ns" in row:
        yield f"ladder {row['ladder']}_v{row['version']}", row["samples_ns"], row.get("peak_share")
    elif "op" in row:
        for name, samples in row.get("samples_us", {}).items():
            share = row["limit_us"] / median(samples) if "limit_us" in row else None
            yield f"op {row['op']} {row['size']} {row.get('backend', '')} {name}", samples, share
    elif "form" in row:
        size = "x".join(str(row[letter]) for letter in "BIO")
        for name, samples in row.get("samples_us", {}).items():
            yield f"product {row['form']} {size} {name}", samples, None


def all_rows(folder: Path = RESULTS) -> list[Row]:
    """Every stored row of every kind, oldest first within a kind."""
    return [row for kind in KINDS if (path := folder / f"{kind}.jsonl").exists()
            for row in results.read(path)]  # fmt: skip


def commits_of(rows: list[Row]) -> list[str]:
    """The commits that were measured, each once, in order of their last time."""
    last: dict[str, str] = {}
    for row in rows:
        head = row["machine"]
        last[head["commit"]] = max(head["time"], last.get(head["commit"], ""))
    return sorted(last, key=lambda commit: last[commit])


def rows_of(what: str, folder: Path = RESULTS) -> list[Row]:
    """The rows of a file, or of exactly one measured commit (a beginning that fits only one)."""
    path = Path(what)
    if path.is_file():
        return list(results.read(path))
    rows = all_rows(folder)
    known = commits_of(rows)
    fits = [c for c in known if c == what] or [c for c in known if c.startswith(what)]
    if len(fits) > 1:
        raise CompareError(f"{what!r} may be {' or '.join(fits)}: write the one that is meant")
    if not fits:
        raise CompareError(f"{what!r} is neither a file nor a measured commit; "
                           f"measured: {', '.join(known) or 'nothing'}")  # fmt: skip
    return [row for row in rows if row["machine"]["commit"] == fits[0]]


def newest(rows: list[Row]) -> dict[str, tuple[list[float], float | None]]:
    """The last samples of everything that the rows measured."""
    timed = (row for row in rows if "failed" not in row and "machine" in row)
    return {what: (samples, share) for row in timed for what, samples, share in measured(row)}


def run(a: str, b: str, folder: Path = RESULTS) -> list[Row]:
    """A's times over B's for everything that both measured."""
    left, right = (newest(rows_of(w, folder)) for w in (a, b))
    common = [what for what in left if what in right]
    if not common:
        raise CompareError(f"{a} and {b} have nothing in common that was timed")
    out = []
    for what in common:
        (one, share_a), (two, share_b) = left[what], right[what]
        row = {"what": what, "a": median(one), "b": median(two), **unpaired(two, one)}
        if share_a and share_b:
            row["share_ratio"] = share_b / share_a
        out.append(row)
    return out


def table(rows: list[Row]) -> str:
    """B against A for people."""
    lines = []
    for r in rows:
        low, high = r["interval"]
        between = "too few rounds for an interval" if low is None else f"[{low:.2f}, {high:.2f}]"
        share = f" (share of the limit {r['share_ratio']:.2f} ×)" if "share_ratio" in r else ""
        lines.append(f"{r['what']:52} {r['a']:9.4f} → {r['b']:9.4f}  B is {r['verdict']}, "
                     f"{r['ratio']:.2f} × {between}{share}")  # fmt: skip
    lines.append("two runs, not interleaved: the machine may have changed its pace between them")
    return "\n".join(lines)
