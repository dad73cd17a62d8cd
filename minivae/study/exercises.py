"""The chapters' exercises: each chapter asks, solutions*.py decide; try before you look."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from minivae.study import solutions, solutions_variational
from minivae.study.runner import Chapter, chapters
from minivae.study.solutions import Answer

# "2. `kl(mu, logvar)`: what it should return", over as many lines as it takes
ASKED = re.compile(
    r"^\d+\. `(?P<signature>\w+\([^`]*\))`: (?P<task>.+(?:\n {3}.+)*)$", re.MULTILINE
)
CHECKS = vars(solutions) | vars(solutions_variational)


class Exercise(NamedTuple):
    """The function asked for: its signature, what it should return, and its check."""

    signature: str
    task: str
    check: Callable[[Answer], None]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.split("(", 1)[0]


def exercises_of(chapter: Chapter) -> tuple[Exercise, ...]:
    """What the chapter asks under "Exercises"; the check is the function of the same name.

    Raises KeyError where there is no such check.
    """
    asked = ASKED.finditer(chapter.text.partition("\n## Exercises\n")[2])
    found = ((match["signature"], " ".join(match["task"].split())) for match in asked)
    return tuple(
        Exercise(signature, task, CHECKS[signature.split("(", 1)[0]]) for signature, task in found
    )


EXERCISES: dict[str, tuple[Exercise, ...]] = {each.name: exercises_of(each) for each in chapters()}
