"""Mutants tried in rounds, each drawn from its own seed, with the counts said while it goes on."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

Mutant = TypeVar("Mutant")
FROM = int(os.environ.get("MINIVAE_FUZZ_FROM", "0"))  # what an earlier run tried is left out
ROUND = 1000  # Hypothesis remembers what it drew: in rounds, the last are as fast as the first


def try_mutants(
    mutants: SearchStrategy[Mutant],
    judge: Callable[[Mutant, int], str],
    count: int,
    say: Callable[[str], None] = lambda words: None,
) -> Counter[str]:
    """How many mutants came to which outcome; `judge(mutant, number)` names it, or raises.

    A round that fails is shrunk to its smallest mutant, as Hypothesis does, and ends the test.
    """
    outcomes: Counter[str] = Counter()
    began, rounds = time.monotonic(), -(-count // ROUND)
    for number in range(FROM // ROUND, rounds):

        @seed(number)
        @settings(
            max_examples=min(ROUND, count - number * ROUND), deadline=None, database=None,
            phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(mutants)
        def attempt(mutant: Mutant) -> None:
            outcomes[judge(mutant, outcomes.total())] += 1

        attempt()
        tried, seconds = FROM + outcomes.total(), time.monotonic() - began
        say(f"{tried:,} of {count:,} mutants in {seconds:.0f} s: {words(outcomes)}")
    return outcomes


def words(outcomes: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(outcomes.items()))
