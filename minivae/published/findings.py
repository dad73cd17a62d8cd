"""What an experiment comes to: figures beside the paper's, and claims that hold or do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """A number of the paper beside ours.

    band: how far ours may lie from it and still count. error: how finely the paper's could be read.
    spread: ours, its standard deviation over seeds. Any of them None where there is none. by: whose
    `paper` is: in small versions there is none, and it is what this program gave before.
    """

    what: str
    ours: float | None
    paper: float | None = None
    band: float | None = None
    error: float | None = None
    spread: float | None = None
    source: str = ""
    unit: str = "nats"
    by: str = "paper"

    @property
    def difference(self) -> float | None:
        """Ours less the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper

    @property
    def reached(self) -> bool | None:
        """Whether the difference is within the band; None where either is not known."""
        if self.difference is None or self.band is None:
            return None
        return bool(abs(self.difference) <= self.band)


class Claim(NamedTuple):
    """A sentence of the paper, whether it holds here, and the numbers by which that is judged."""

    what: str
    holds: bool | None
    found: str
    source: str = ""


class Findings(NamedTuple):
    """What was measured; `series` is what the picture is drawn from, in JSON's own types."""

    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...] = ()
    series: Mapping[str, Any] = {}

    @property
    def tell(self) -> bool:
        """Whether there is a number or a claim among them."""
        return bool(self.claims) or any(figure.ours is not None for figure in self.figures)

    def beside(self, values: Sequence[float], band: float) -> Findings:
        """Its first figures beside what this program gave before: a small version's findings."""
        figures = [
            figure._replace(paper=value, band=band, by="before")
            for figure, value in zip(self.figures, values, strict=False)
        ]
        return self._replace(figures=(*figures, *self.figures[len(figures) :]))

    def judged_if(self, whole: bool) -> Findings:
        """The findings without any verdict, where what was run is not the whole.

        What this program gave before belongs to the whole as well, and to its figures in order.
        """
        if whole:
            return self
        figures = tuple(
            figure._replace(band=None, paper=None if figure.by == "before" else figure.paper)
            for figure in self.figures
        )
        return self._replace(
            figures=figures, claims=tuple(c._replace(holds=None) for c in self.claims)
        )


def mean_and_spread(values: list[float]) -> tuple[float | None, float | None]:
    """Mean and standard deviation over seeds; None where there are too few."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
