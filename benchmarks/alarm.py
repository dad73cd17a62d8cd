"""`alarm`: this tree's kernels against another commit's, interleaved: is anything slower?

Seconds of two runs say little; a ratio within one run does. The other commit's kernels are unpacked
beside this tree and raced in processes of their own, under this tree's gate.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minivae.ops.table import FUNCTIONS
from minivae.racing.contestant import Contestant, Recipe, plain
from minivae.racing.file_race import PATIENCE, cores_for, op_recipe
from minivae.racing.pits import Pits
from minivae.racing.problem import op_problem
from minivae.racing.result import ratio
from minivae.racing.rounds import Options, run_race
from minivae.racing.statistics import StopRule

from . import ROOT
from .ops import shape_of

COUNT = 8  # ops that are raced by default: those that cost most in a step
RULE = StopRule(least=15, most=40, seconds=20.0)
MARGIN = 0.10  # a ratio below 1 / (1 + MARGIN), surely, is an alarm


class AlarmError(ValueError):
    """A commit that cannot be unpacked; the message says why."""


def heaviest(batch: int) -> list[str]:
    """The ops with most instructions in a step at a batch size."""
    costs = {op: op_problem(op, shape_of(op, batch)).instructions(()) for op in FUNCTIONS}
    return sorted(costs, key=lambda op: -costs[op])[:COUNT]


def unpacked(commit: str, folder: Path) -> Path:
    """The kernels of a commit, in a folder of their own."""
    command = ["git", "-C", str(ROOT), "archive", "--format=zip", commit, "kernels"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        line = done.stderr.decode(errors="replace").strip().splitlines()
        raise AlarmError(f"{commit}: {line[0] if line else 'git archive failed'}")
    with zipfile.ZipFile(io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder)
    return folder / "kernels"


def kernel(op: str, threads: int, where: str) -> Contestant:
    """The kernel of an op from whichever kernels stand first on the path, bound once."""
    import minivae_kernels

    found = Path(minivae_kernels.__file__ or "").resolve()
    if where and not found.is_relative_to(Path(where).resolve()):
        raise AlarmError(f"the kernels came from {found}, not from {where}")
    return plain(minivae_kernels.load("numba", threads)[op])


def run(
    commit: str, threads: int | None, ops: tuple[str, ...] = (), batch: int = 128,
    rule: StopRule = RULE,
) -> list[dict[str, Any]]:  # fmt: skip
    """One row an op: this tree against the commit; a row fails where this tree is slower."""
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alarm-")))
        other = str(unpacked(commit, folder))
        pits = Pits(cores_for(threads), PATIENCE, stack)
        for op in ops or heaviest(batch):
            asked = op_recipe(op, shape_of(op, batch))
            makers = {}
            for name, path in (("this tree", ""), (commit, other)):
                given = {"op": op, "threads": len(pits.cores), "where": path}
                recipe = Recipe("benchmarks.alarm:kernel", given)
                first = {"MINIVAE_RACING_PATH": path} if path else {}
                makers[name] = pits.opener(name, asked, recipe, extra=first)
            result = run_race(asked.build(), makers, baseline="this tree",
                              options=Options(rule, repeats=1), against=(commit,))  # fmt: skip
            rows.append(judged(op, commit, result))
    return rows


def judged(op: str, commit: str, result: Any) -> dict[str, Any]:
    """The row of one op: an alarm only where the whole interval is beyond the margin."""
    ours = result.row("this tree")
    row = {"op": op, "commit": commit, "a_a": result.a_a, "load": result.load}
    if "failed" in ours:
        return {**row, "failed": f"this tree's kernel: {ours['failed']}"}
    against = ours.get("against", {}).get(commit)
    if against is None:
        return {**row, "note": result.row(commit).get("failed", "not timed")}
    high = against["interval"][1]
    row |= against
    if high is not None and high < 1 / (1 + max(MARGIN, result.margin)):
        row["failed"] = f"slower than {commit}: {ratio(against)}"
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Every op for people."""
    lines = []
    for row in rows:
        told = row.get("failed") or row.get("note") or f"{ratio(row)} against {row['commit']}"
        lines.append(f"{row['op']:24} {told}   (A against A: {ratio(row['a_a'])})")
    busy = [row["load"]["busy"] for row in rows if row["load"].get("busy")]
    lines += [f"BUSY MACHINE: {busy[0]}; do not trust these figures"] if busy else []
    return "\n".join(lines)
