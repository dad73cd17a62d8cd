"""`selftest`: is this benchmark to be believed? Cheats tried, intervals checked, A against A."""

from __future__ import annotations

import functools
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from minivae.ops.table import FUNCTIONS
from minivae.racing.contestant import Recipe, plain, reference
from minivae.racing.file_race import op_recipe
from minivae.racing.gate import one_blas_thread
from minivae.racing.load import cores
from minivae.racing.pits import Pits
from minivae.racing.problem import op_problem
from minivae.racing.result import AGAIN
from minivae.racing.rounds import Options, run_race
from minivae.racing.stand import Here
from minivae.racing.statistics import CONFIDENCE, StopRule, coverage

from . import (
    RESULTS,
    awkward_kernels,
    cheat_kernels,
    forging_kernels,
    machine,
    meddling_kernels,
    results,
)

FILES = (cheat_kernels, meddling_kernels, forging_kernels, awkward_kernels)
QUICK = StopRule(least=6, most=6, seconds=20.0)
RACES, ROUNDS = 200, StopRule(least=15, most=15, seconds=20.0)
NEAR = 0.15  # of SHAPED's spread: a race of such samples stops between 15 and 60 rounds
LEAST_STOPPED = 0.8  # stopping when narrow costs that much where samples have two humps
MOST_FALSE, ENOUGH = 0.05, 40  # a rate, and races before which there is none
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "sigmoid_forward": ((3, 5), (128, 400)),
    "dense_relu_forward": ((3, 7, 5), (64, 196, 100)),
    "adam_update": ((17,), (20_000,)),
    "bernoulli_nll_grad": ((3, 7), (64, 196)),
}
#: coverage is tried on samples whose median is 1: symmetric, skewed, heavy-tailed, two-humped
SHAPED = {
    "normal": lambda rng, n: 1 + 0.1 * rng.standard_normal(n),
    "log-normal": lambda rng, n: np.exp(0.5 * rng.standard_normal(n)),
    "Cauchy": lambda rng, n: 1 + 0.1 * rng.standard_cauchy(n),
    "two humps": lambda rng, n: 1 + rng.choice([-1.0, 1.0], n) * (0.2 + 0.01 * rng.random(n)),
}


def op_of(name: str) -> str:
    """The op that a kernel of the files claims to be."""
    return max((op for op in FUNCTIONS if name.startswith(f"{op}_")), key=len)


def kernels() -> list[str]:
    """Every kernel of the files."""
    return [n for file in FILES for n in vars(file) if n.startswith(tuple(SHAPES))]


def file_of(name: str) -> Any:
    """The file in which a kernel stands."""
    return next(file for file in FILES if hasattr(file, name))


def is_honest(name: str) -> bool:
    """Whether a kernel is right, and so must be timed."""
    return name in file_of(name).HONEST


def is_alone(name: str) -> bool:
    """Whether a kernel needs a process of its own: it would take this one with it."""
    return file_of(name) is not cheat_kernels


@one_blas_thread
def tried(name: str, shape: tuple[int, ...], rule: StopRule = QUICK) -> dict[str, Any]:
    """One kernel raced against the reference in this process; its row."""
    file = file_of(name)
    file.kept.clear()
    asked = op_problem(op_of(name), shape)
    makers = {
        "reference": lambda: Here(asked, reference(op_of(name))),
        name: lambda: Here(asked, plain(getattr(file, name))),
    }
    return run_race(asked, makers, baseline="reference", options=Options(rule)).row(name)


def tried_alone(
    name: str, shape: tuple[int, ...], limit: float = 8.0, rule: StopRule = QUICK
) -> dict[str, Any]:
    """One kernel raced in a process of its own; a row says so where it cost the reference's."""
    op = op_of(name)
    recipe = op_recipe(op, shape)
    with ExitStack() as stack:
        pits = Pits(cores()[:1], limit, stack)
        given = {"path": str(file_of(name).__file__), "function": name, "op": op}
        makers = {
            "reference": lambda: Here(recipe.build(), reference(op)),
            name: pits.opener(name, recipe, Recipe("minivae.racing.contestant:from_file", given)),
        }
        result = run_race(recipe.build(), makers, baseline="reference", options=Options(rule))
    lost = {} if "us" in result.row("reference") else {"harm": "the reference's row was lost"}
    return result.row(name) | lost


def cheats() -> list[tuple[str, tuple[int, ...]]]:
    """Every kernel of the files with its full size, and with the small one where that is quick."""
    return [(name, shape) for name in kernels()
            for shape in SHAPES[op_of(name)][:: -1][: 1 if is_alone(name) else None]]  # fmt: skip


def refused(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Why a kernel was refused at a size, '' where it was timed."""
    row = (tried_alone if is_alone(name) else tried)(name, shape)
    return {"kernel": name, "shape": list(shape), "why": row.get("failed", ""),
            "harm": row.get("harm", ""), "honest": is_honest(name)}  # fmt: skip


def wrong(rows: list[dict[str, Any]]) -> list[str]:
    """Cheats that were let through at full size, and honest kernels that were refused."""
    said = []
    for row in rows:
        full = tuple(row["shape"]) == SHAPES[op_of(row["kernel"])][-1]
        said += [f"{row['kernel']}: {row['harm']}"] if row.get("harm") else []
        if row["honest"] and row["why"]:
            said.append(f"{row['kernel']} is right and was refused: {row['why']}")
        if not row["honest"] and not row["why"] and full:
            said.append(f"{row['kernel']} cheats and was let through")
    return said


def covered(trials: int = 4000, *, fixed: bool = True) -> dict[str, float]:
    """How often the interval of a median holds the true one, by the shape of the samples.

    fixed: after 15 rounds; otherwise where a race stops, on samples as near to each other as make
    it stop early.
    """
    rule = ROUNDS if fixed else StopRule()
    nearness = 1.0 if fixed else NEAR
    return {
        shape: coverage(
            1 + nearness * (draw(np.random.default_rng(5), (trials, rule.most)) - 1), rule
        )
        for shape, draw in SHAPED.items()
    }


def against_itself(pits: Pits, seed: int) -> dict[str, Any]:
    """A race of a kernel against itself: its verdict."""
    asked = op_recipe("sigmoid_forward", (128, 400))
    recipe = Recipe("minivae.racing.contestant:reference", {"op": "sigmoid_forward"})
    pits.taken = set()
    makers = {"A": pits.lasting_opener("A", asked, recipe)}
    found = run_race(asked.build(), makers, baseline="A", options=Options(ROUNDS, seed=seed))
    if not found.a_a:
        raise RuntimeError(f"A against {'A' + AGAIN} was not timed: {found.rows}")
    return {"race": seed, **found.a_a, "busy": found.load["busy"]}


class Instalments:
    """What this commit has done of the selftest so far: kept, so that it may be done in parts.

    A tree that differs from its commit, and `store` False, begin anew.
    """

    def __init__(self, store: bool, seconds: float) -> None:
        head = machine.header(1)
        self.head = {key: head[key] for key in ("commit", "processor", "time")}
        self.store, self.seconds = store, seconds
        self.rows: list[dict[str, Any]] = []
        if store and not head["commit"].endswith("+") and (RESULTS / "selftest.jsonl").exists():
            self.rows = [r for r in results.read(RESULTS / "selftest.jsonl") if all(
                r[key] == head[key] for key in ("commit", "processor"))]  # fmt: skip

    def done(
        self, part: str, tasks: Sequence[Any], do: Callable[..., dict[str, Any]], each: int = 0
    ) -> list[dict[str, Any]]:
        """The rows of a part's tasks, as far as they fit into `seconds` beside those kept."""
        known = {r["task"]: r for r in self.rows if r["part"] == part}
        begin, found = time.perf_counter(), []
        for k, task in enumerate(tasks):
            name = " ".join(map(str, task))
            if name not in known and time.perf_counter() - begin < self.seconds:
                known[name] = {**self.head, "part": part, "task": name, **do(*task)}
                if self.store:
                    results.append("selftest", [known[name]])
            if name in known:
                found.append(known[name])
            if each and (k + 1) % each == 0:
                print(f"{part}: {len(found)} of {len(tasks)}", file=sys.stderr, flush=True)
        return found


def races_against_itself(progress: Instalments, races: int) -> dict[str, Any]:
    """Verdicts in races of a kernel against itself, in fresh processes every 25 races."""
    rows = []
    for first in range(0, races, 25):
        with ExitStack() as stack:
            pits = Pits(cores()[:1], 60.0, stack)
            tasks = [(k,) for k in range(first, min(first + 25, races))]
            begin = time.perf_counter()
            rows += progress.done("A against A", tasks, functools.partial(against_itself, pits), 25)
            progress.seconds -= time.perf_counter() - begin
    count = Counter(row["verdict"] for row in rows)
    false = count["faster"] + count["slower"]
    return {"races": len(rows), "asked": races, "verdicts": dict(count), "false": false,
            "rate": false / len(rows) if rows else 0.0,
            "busy": sum(bool(row["busy"]) for row in rows)}  # fmt: skip


def run(
    races: int = RACES, seconds: float = float("inf"), *, store: bool = False
) -> list[dict[str, Any]]:
    """All of it; a row fails where the benchmark is not to be believed.

    seconds: of each of the two long parts; the row says how much was done.
    """
    asked = cheats()
    tested = Instalments(store, seconds).done("cheats", asked, refused, 25)
    faults = wrong(tested)
    row: dict[str, Any] = {
        "cheats": len({r["kernel"] for r in tested if not r["honest"]}), "tried": len(tested),
        "asked": len(asked), "refused": sum(bool(r["why"]) for r in tested), "reasons": tested,
        "coverage": covered(), "stopped": covered(fixed=False), "allowed": MOST_FALSE,
        "false_positives": races_against_itself(Instalments(store, seconds), races),
    }  # fmt: skip
    for when, least in (("coverage", CONFIDENCE - 0.01), ("stopped", LEAST_STOPPED)):
        if not (low := min(row[when].values())) >= least:
            faults.append(f"an interval of {CONFIDENCE:.0%} holds the median {low:.1%} of the time")
    enough = row["false_positives"]["races"] >= ENOUGH
    if enough and not row["false_positives"]["rate"] <= MOST_FALSE:
        faults.append(f"{row['false_positives']['rate']:.1%} false verdicts of A against A")
    return [row | ({"failed": "; ".join(faults)} if faults else {})]


def table(rows: list[dict[str, Any]]) -> str:
    """What was tried, for people."""
    (row,) = rows
    lines = [f"{r['kernel']} {'x'.join(map(str, r['shape']))}: {r['why'] or 'accepted'}"
             for r in row["reasons"]]  # fmt: skip
    false, unfinished = row["false_positives"], []
    if row["tried"] < row["asked"]:
        unfinished.append(f"{row['tried']} of {row['asked']} kernels were tried")
    if false["races"] < false["asked"]:
        unfinished.append(f"{false['races']} of {false['asked']} races of A against A were run")
    lines += [
        f"cheats: {row['cheats']} kinds, refused in {row['refused']} of {row['tried']} races "
        "(the others: honest kernels, and cheats at sizes at which they are honest)",
        f"A against A: {false['false']} false verdicts in {false['races']} races, "
        f"{false['rate']:.1%} (at most {row['allowed']:.0%}); {false['verdicts']}; "
        f"{false['busy']} of them beside other work",
        *(
            f"intervals of 95 % hold the median, {when}: "
            + ", ".join(f"{shape} {share:.1%}" for shape, share in row[key].items())
            for key, when in (("coverage", "after 15 rounds"), ("stopped", "where a race stops"))
        ),
    ]
    if unfinished:
        lines.append(f"UNFINISHED: {'; '.join(unfinished)}; the same command goes on from there")
    verdict = "to be believed" + (", as far as it went" if unfinished else "")
    return "\n".join(
        [*lines, f"NOT TO BE BELIEVED: {row['failed']}" if "failed" in row else verdict]
    )
