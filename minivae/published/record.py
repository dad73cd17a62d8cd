"""What an experiment is made of: the paper, the runs, and what is measured on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minivae.published.findings import Findings
from minivae.published.run import Run

if TYPE_CHECKING:
    from minivae.published.bench import Bench


@dataclass(frozen=True)
class Protocol:
    """The runs, in the order in which they are trained, and what is measured once they are.

    cost: on two quiet cores, in words. differs: from the paper's protocol. Of work that is no run
    the setting, each value by its name, the datasets, and how many seeds it starts from.
    """

    runs: tuple[Run, ...]
    measure: Callable[[Bench], Findings]
    cost: str
    differs: tuple[str, ...] = ()
    setting: Mapping[str, Any] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    starts: int = 1

    def seeds(self, shift: int) -> list[int]:
        """All seeds that are used where `shift` is added to each, the least first."""
        own = {int(run.settings.get("seed", 0)) for run in self.runs} or range(self.starts)
        return sorted(shift + seed for seed in own)

    def digest(self, seed: int) -> str:
        """What tells this protocol from another: a sha256 of all its settings."""
        parts: list[Any] = [
            [r.name, r.dataset, r.rows, dict(r.seeded(seed).settings)] for r in self.runs
        ]
        if self.setting:
            values = self.setting.values()
            parts += [list(v.values()) if isinstance(v, Mapping) else v for v in values] + [seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Paper(NamedTuple):
    """What is reproduced: a name for it, where it stands, what it is, and what the paper says."""

    name: str
    cited: str  # authors, year, title, figure or table
    what: str
    says: str


@dataclass(frozen=True)
class Experiment:
    """A published result. `small` is the same on data that come along, with bands of its own."""

    paper: Paper
    full: Protocol
    small: Protocol
    draw: Callable[[Path, Findings], None]

    @property
    def name(self) -> str:
        """What it is called on the command line."""
        return self.paper.name

    def protocol(self, *, small: bool) -> Protocol:
        """The full or the small protocol."""
        return self.small if small else self.full
