"""Mutants tried in rounds, each drawn from its own seed, with the counts said while it goes on.

The slow tests try MOST of them in all, in parts that pytest's workers share. MINIVAE_FUZZ sets
another number in all, MINIVAE_FUZZ_SEED draws others.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Mutant = TypeVar("Mutant")
Outcomes = Counter[tuple[str, str]]  # by what was damaged, and how it ended
MOST = int(os.environ.get("MINIVAE_FUZZ", "100000"))
SEED = int(os.environ.get("MINIVAE_FUZZ_SEED", "0"))
PARTS = 16  # of MOST / PARTS mutants each
ROUND = 1000  # Hypothesis remembers what it drew: in rounds, the last are as fast as the first


def try_mutants(
    mutants: SearchStrategy[Mutant],
    judge: Callable[[Mutant, int], tuple[str, str]],
    count: int,
    part: int = 0,
    say: Callable[[str], None] = lambda words: None,
) -> Outcomes:
    """How many mutants came to which outcome; `judge(mutant, number)` names it, or raises.

    A round that fails is shrunk to its smallest mutant, as Hypothesis does, and ends the test.
    """
    outcomes: Outcomes = Counter()
    began = time.monotonic()
    for number in range(-(-count // ROUND)):

        @seed((SEED * PARTS + part) * 10_000 + number)
        @settings(
            max_examples=min(ROUND, count - number * ROUND), deadline=None, database=None,
            phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(mutants)
        def attempt(mutant: Mutant) -> None:
            outcomes[judge(mutant, outcomes.total())] += 1

        attempt()
    say(f"part {part + 1} of {PARTS}, {time.monotonic() - began:.0f} s: {words(outcomes)}")
    return outcomes


def words(outcomes: Outcomes) -> str:
    """The counts by what was damaged."""
    found = []
    for kind in sorted({kind for kind, _ in outcomes}):
        ends = [f"{end} {n:,}" for (k, end), n in sorted(outcomes.items()) if k == kind]
        found.append(f"{kind} {', '.join(ends)}")
    return "; ".join(found)
