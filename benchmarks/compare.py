"""`compare A B`: two results files, or two commits within results/step.jsonl, case by case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minivae.racing.statistics import verdict

from . import RESULTS, results


class CompareError(ValueError):
    """Nothing to compare; the message says what was looked for."""


def rows_of(what: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The step rows of a file, or of a commit (its beginning is enough)."""
    path = Path(what)
    if path.exists():
        return [r for r in results.read(path) if "ms" in r]
    found = [r for r in results.read(folder / "step.jsonl")
             if "ms" in r and r["machine"]["commit"].startswith(what)]  # fmt: skip
    if not found:
        known = sorted({r["machine"]["commit"] for r in results.read(folder / "step.jsonl")})
        raise CompareError(f"{what!r} is neither a file nor a measured commit; "
                           f"measured: {', '.join(known)}")  # fmt: skip
    return found


def run(a: str, b: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """A's times over B's for every case and contender in both; by the peak's speed as well.

    The runs were not interleaved: between them the machine may have changed its pace. Where both
    measured the limit, the ratio of the shares of the peak does not depend on that pace.
    """

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        label = f"{row['contender']}{' TF32' if row.get('tf32') else ''}"
        return row["arch"], row["batch"], label

    left, right = ({key(r): r for r in rows_of(w, folder)} for w in (a, b))
    common = [k for k in left if k in right]
    if not common:
        raise CompareError(f"{a} and {b} have no case and contender in common")
    out = []
    for k in common:
        one, two = left[k], right[k]
        judged = verdict(two["samples_ms"], one["samples_ms"])
        times = {"a_ms": one["ms"]["p50"], "b_ms": two["ms"]["p50"]}
        row = {"arch": k[0], "batch": k[1], "contender": k[2], **times, **judged}
        if "peak_share" in one and "peak_share" in two:
            row["share_ratio"] = two["peak_share"] / one["peak_share"]
        out.append(row)
    return out


def table(rows: list[dict[str, Any]]) -> str:
    """B against A for people."""
    return "\n".join(
        f"{r['arch']:>24} B={r['batch']:<6} {r['contender']:14} "
        f"{r['a_ms']:9.4f} → {r['b_ms']:9.4f} ms  B is {r['verdict']}, {r['ratio']:.2f} ×"
        + (f" (share of the peak {r['share_ratio']:.2f} ×)" if "share_ratio" in r else "")
        for r in rows
    )
