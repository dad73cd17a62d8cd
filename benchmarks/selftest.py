"""`selftest`: is this benchmark to be believed? Cheats tried, intervals checked, A against A."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from minivae.ops.table import FUNCTIONS
from minivae.racing.contestant import Recipe, plain, reference
from minivae.racing.file_race import op_recipe
from minivae.racing.load import cores
from minivae.racing.pits import Pits
from minivae.racing.problem import Problem, op_problem
from minivae.racing.result import AGAIN
from minivae.racing.rounds import Options, run_race
from minivae.racing.stand import Here
from minivae.racing.statistics import CONFIDENCE, StopRule, median_interval

from . import cheat_kernels

FILE = Path(cheat_kernels.__file__)
QUICK = StopRule(least=6, most=6, seconds=20.0)
RACES, ROUNDS = 200, StopRule(least=15, most=15, seconds=20.0)
MOST_FALSE = 0.05
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
    """The op that a kernel of the file claims to be."""
    return max((op for op in FUNCTIONS if name.startswith(f"{op}_")), key=len)


def kernels() -> list[str]:
    """Every kernel of the file."""
    return [n for n in vars(cheat_kernels) if n.startswith(tuple(SHAPES))]


def tried(name: str, shape: tuple[int, ...], rule: StopRule = QUICK) -> dict[str, Any]:
    """One kernel raced against the reference in this process; its row."""
    cheat_kernels.kept.clear()
    asked = op_problem(op_of(name), shape)
    makers = {
        "reference": lambda: Here(asked, reference(op_of(name))),
        name: lambda: Here(asked, plain(getattr(cheat_kernels, name))),
    }
    return run_race(asked, makers, baseline="reference", options=Options(rule)).row(name)


def tried_alone(name: str, shape: tuple[int, ...], limit: float = 8.0) -> dict[str, Any]:
    """The same in a process of its own, for what would end this one."""
    op = op_of(name)
    recipe = op_recipe(op, shape)
    with ExitStack() as stack:
        pits = Pits(cores()[:1], limit, stack)
        given = {"path": str(FILE), "function": name, "op": op}
        makers = {
            "reference": lambda: Here(recipe.build(), reference(op)),
            name: pits.opener(name, recipe, Recipe("minivae.racing.contestant:from_file", given)),
        }
        result = run_race(recipe.build(), makers, baseline="reference", options=Options(QUICK))
        return result.row(name)


def cheats(names: list[str] | None = None) -> list[dict[str, Any]]:
    """Every kernel of the file at the last of its sizes, and at the small one: refused or not."""
    rows = []
    for name in names or kernels():
        for shape in SHAPES[op_of(name)][::-1]:
            row = (tried_alone if name in cheat_kernels.ALONE else tried)(name, shape)
            rows.append({"kernel": name, "shape": shape, "why": row.get("failed", ""),
                         "honest": name in cheat_kernels.HONEST})  # fmt: skip
            if name in cheat_kernels.ALONE:
                break
    return rows


def wrong(rows: list[dict[str, Any]]) -> list[str]:
    """Cheats that were let through at full size, and honest kernels that were refused."""
    said = []
    for row in rows:
        full = tuple(row["shape"]) == SHAPES[op_of(row["kernel"])][-1]
        if row["honest"] and row["why"]:
            said.append(f"{row['kernel']} is right and was refused: {row['why']}")
        if not row["honest"] and not row["why"] and full:
            said.append(f"{row['kernel']} cheats and was let through")
    return said


def coverage(trials: int = 4000, n: int = 15) -> dict[str, float]:
    """How often the interval of a median holds the true one, by the shape of the samples."""
    found = {}
    for shape, draw in SHAPED.items():
        rng = np.random.default_rng(5)
        intervals = [median_interval(list(draw(rng, n))) for _ in range(trials)]
        found[shape] = sum(i.low <= 1 <= i.high for i in intervals) / trials
    return found


def false_positives(races: int = RACES) -> dict[str, Any]:
    """Verdicts in races of a kernel against itself, each in fresh processes every 25 races."""
    asked = op_recipe("sigmoid_forward", (128, 400))
    recipe = Recipe("minivae.racing.contestant:reference", {"op": "sigmoid_forward"})
    count: dict[str, int] = {}
    for first in range(0, races, 25):
        with ExitStack() as stack:
            pits = Pits(cores()[:1], 60.0, stack)
            for race in range(first, min(first + 25, races)):
                pits.taken = set()
                word = _against_itself(pits, asked.build(), asked, recipe, race)
                count[word] = count.get(word, 0) + 1
        print(f"A against A: {sum(count.values())} of {races} races", file=sys.stderr, flush=True)
    false = count.get("faster", 0) + count.get("slower", 0)
    return {"races": races, "verdicts": count, "false": false, "rate": false / races}


def _against_itself(pits: Pits, problem: Problem, asked: Recipe, recipe: Recipe, seed: int) -> str:
    makers = {"A": pits.keeper("A", asked, recipe)}
    found = run_race(problem, makers, baseline="A", options=Options(ROUNDS, seed=seed))
    if not found.a_a:
        raise RuntimeError(f"A against {'A' + AGAIN} was not timed: {found.rows}")
    return str(found.a_a["verdict"])


def run(races: int = RACES) -> list[dict[str, Any]]:
    """All of it; a row fails where the benchmark is not to be believed."""
    tested = cheats()
    faults = wrong(tested)
    refused = sum(bool(r["why"]) for r in tested)
    row: dict[str, Any] = {
        "cheats": len({r["kernel"] for r in tested if not r["honest"]}), "tried": len(tested),
        "refused": refused, "reasons": tested, "coverage": coverage(),
        "false_positives": false_positives(races), "allowed": MOST_FALSE,
    }  # fmt: skip
    low = min(row["coverage"].values())
    if not low >= CONFIDENCE - 0.01:
        faults.append(f"an interval of {CONFIDENCE:.0%} holds the median {low:.1%} of the time")
    if not row["false_positives"]["rate"] <= MOST_FALSE:
        faults.append(f"{row['false_positives']['rate']:.1%} false verdicts of A against A")
    return [row | ({"failed": "; ".join(faults)} if faults else {})]


def table(rows: list[dict[str, Any]]) -> str:
    """What was tried, for people."""
    (row,) = rows
    lines = [f"{r['kernel']} {'x'.join(map(str, r['shape']))}: {r['why'] or 'accepted'}"
             for r in row["reasons"]]  # fmt: skip
    false = row["false_positives"]
    lines += [
        f"cheats: {row['cheats']} kinds, refused in {row['refused']} of {row['tried']} races "
        "(the others: honest kernels, and cheats at sizes at which they are honest)",
        f"A against A: {false['false']} false verdicts in {false['races']} races, "
        f"{false['rate']:.1%} (at most {row['allowed']:.0%}); {false['verdicts']}",
        "intervals of 95 % hold the median: "
        + ", ".join(f"{shape} {share:.1%}" for shape, share in row["coverage"].items()),
        f"NOT TO BE BELIEVED: {row['failed']}" if "failed" in row else "to be believed",
    ]
    return "\n".join(lines)
