"""`alarm`: this tree's kernels against another commit's, interleaved: is anything slower?

Seconds of two runs say little; a ratio within one run does. The other commit's kernels are unpacked
beside this tree and raced in processes of their own, under this tree's gate. What seems slower is
raced once more before the alarm rings.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minivae.ops.table import FUNCTIONS
from minivae.racing.contestant import Contestant, Recipe, plain
from minivae.racing.file_race import cores_for, op_recipe
from minivae.racing.pits import PATIENCE, Pits
from minivae.racing.problem import op_problem
from minivae.racing.result import ratio
from minivae.racing.rounds import Options, run_race
from minivae.racing.statistics import StopRule

from . import ROOT
from .compare import all_rows, commits_of
from .ops import shape_of

COUNT = 8  # ops that are raced by default: those that cost most in a step
RULE = StopRule(least=15, most=40, seconds=20.0, fewest=9)
THIS = "this tree"
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


def measured() -> str:
    """The newest commit in this history whose results are kept: whose figures are shown.

    The commit before this one where none is at hand; AlarmError outside of a history.
    """
    for commit in reversed(commits_of(all_rows())):
        if _git("cat-file", "-e", f"{commit.rstrip('+')}^{{commit}}") == 0:
            return commit.rstrip("+")
    if _git("cat-file", "-e", "HEAD~1"):
        raise AlarmError("no commit to race against: this is no git checkout, or a shallow one")
    return "HEAD~1"


def _git(*words: str) -> int:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True).returncode


def run(
    commit: str, threads: int | None, ops: tuple[str, ...] = (), batch: int = 128,
    rule: StopRule = RULE, say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:  # fmt: skip
    """One row an op: this tree against the commit; a row fails where this tree is slower twice."""
    commit = commit or measured()
    if _git("diff", "--quiet", commit, "--", "kernels/minivae_kernels") == 0:
        return [{"op": "all", "commit": commit, "note": f"the kernels are those of {commit}",
                 "a_a": None, "load": {}}]  # fmt: skip
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alarm-")))
        other = str(unpacked(commit, folder))
        pits = Pits(cores_for(threads), PATIENCE, stack)
        for op in ops or heaviest(batch):
            say(op)
            row = once(pits, op, commit, other, batch, rule)
            if "slower" in row.get("failed", ""):
                say(f"{op}: {row['failed']}; once more")
                with ExitStack() as again:  # in other processes
                    pits_again = Pits(pits.cores, PATIENCE, again)
                    row = once(pits_again, op, commit, other, batch, rule)
            rows.append(row)
    return rows


def once(
    pits: Pits, op: str, commit: str, other: str, batch: int, rule: StopRule
) -> dict[str, Any]:
    """One race of an op's kernels: this tree's, twice, and the commit's, unpacked in `other`."""
    asked, pits.taken = op_recipe(op, shape_of(op, batch)), set()
    makers = {}
    for name, path in ((THIS, ""), (commit, other)):
        given = {"op": op, "threads": len(pits.cores), "where": path}
        recipe = Recipe("benchmarks.alarm:kernel", given)
        first = {"MINIVAE_RACING_PATH": path} if path else None
        makers[name] = pits.lasting_opener(name, asked, recipe, first)
    options = Options(rule, repeats=1)
    return judged(op, commit, run_race(asked.build(), makers, baseline=THIS, options=options,
                                       against=(commit,)))  # fmt: skip


def judged(op: str, commit: str, result: Any) -> dict[str, Any]:
    """The row of one op: an alarm only where the whole interval is beyond the margin."""
    ours = result.row(THIS)
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
        twice = f"   (A against A: {ratio(row['a_a'])})" if row["a_a"] else ""
        lines.append(f"{row['op']:24} {told}{twice}")
    rung = [row["op"] for row in rows if "failed" in row]
    lines.append(f"ALARM: {', '.join(rung)}" if rung else "no alarm")
    busy = [row["load"]["busy"] for row in rows if row["load"].get("busy")]
    lines += [f"BUSY MACHINE: {busy[0]}; do not trust these figures"] if busy else []
    return "\n".join(lines)
