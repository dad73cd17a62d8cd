"""Races of kernels that are hard to fool: anybody's functions, judged by their answers, timed.

    from minivae import race
    print(race({"mine": f, "theirs": g}, reference=h, inputs=(x, W)))

`minivae race FILE --op …` races the functions of a file against minivae's kernel, each in a
process of its own. What is judged is a timed call, at the timed size (see lane.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minivae.racing.contestant import plain
from minivae.racing.lane import STATES
from minivae.racing.problem import own_problem
from minivae.racing.result import AGAIN, Result
from minivae.racing.rounds import Options, run_race
from minivae.racing.stand import Here, Stand
from minivae.racing.statistics import StopRule

#: how an answer may be judged (see gate.py)
KINDS = ("reduction", "elementwise", "exact")
__all__ = ["Options", "Result", "StopRule", "race"]


def race(
    functions: Mapping[str, Callable[..., Any]],
    *,
    reference: Callable[..., Any],
    inputs: Any,
    mutates: tuple[int, ...] = (),
    kind: str = "",
    seconds: float = 20.0,
    rounds: int = 15,
    states: tuple[str, ...] = ("hot",),
) -> Result:
    """Race functions of the same arguments in this process; print the result for a table.

    reference: the right answer, called with arguments in float64 (or wider, for float64 inputs).
    inputs: arrays, whose numbers are shuffled anew every round, or a function rng -> arrays.
    mutates: positions of the arguments that are changed in place. kind: "elementwise" demands
    every entry to a few last places, "exact" the same bits; otherwise entries are held to
    what float32 itself loses in the reference. rounds: at least so many, unless `seconds` is
    up before. The first function runs a second time, as A against A.
    Raises ValueError where nothing is raced.
    """
    if not functions:
        raise ValueError("race needs at least one function: race({'mine': f}, reference=…)")
    refused(tuple(functions), kind, states)
    problem = own_problem(getattr(reference, "__name__", "race"), reference, inputs, mutates, kind)

    def opener(function: Callable[..., Any]) -> Callable[[], Stand]:
        return lambda: Here(problem, plain(function))

    makers = {name: opener(function) for name, function in functions.items()}
    rule = StopRule(least=rounds, most=max(60, rounds), seconds=seconds)
    options = Options(rule, ("hot", *(s for s in states if s != "hot")))
    return run_race(problem, makers, baseline=next(iter(functions)), options=options)


def refused(names: tuple[str, ...], kind: str, states: tuple[str, ...]) -> None:
    """Raises ValueError, in one line, for a word that means nothing or a name that is taken."""
    for words, word, known in (*(("state", state, STATES) for state in states),
                               ("kind", kind or KINDS[0], KINDS)):  # fmt: skip
        if word not in known:
            raise ValueError(f"unknown {words} {word!r}: choose {', '.join(known)}")
    if names[0] + AGAIN in names:
        raise ValueError(f"{names[0] + AGAIN!r} is the first function a second time: rename yours")
