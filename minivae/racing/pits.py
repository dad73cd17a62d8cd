"""Processes for the contestants of one race or of many, one after another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minivae.racing.contestant import Recipe
from minivae.racing.lane import Block
from minivae.racing.load import cache_sizes
from minivae.racing.stand import Apart, Stand

PATIENCE = 300.0  # seconds for our own, which compile


class Kept:
    """A stand whose process lives on after its race, for the next one."""

    def __init__(self, stand: Apart, before: float) -> None:
        self.stand, self.before = stand, before

    def warm(self) -> float:
        """Seconds of a call."""
        return self.stand.warm()

    def block(self, number: int, state: str) -> Block:
        """One block of calls."""
        return self.stand.block(number, state)

    def seconds_used(self) -> float:
        """Processor time of this race alone."""
        return self.stand.seconds_used() - self.before

    def close(self) -> None:
        """It is the pits that end it."""


class Pits:
    """Opens contestants' stands in processes of their own, and ends them all."""

    def __init__(self, cores: list[int], limit: float, stack: ExitStack) -> None:
        self.cores, self.limit, self.stack = cores, limit, stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="race-")))
        self.count = 0
        self.taken: set[str] = set()  # roles of the race that begins
        self.kept: dict[str, Apart] = {}

    def apart(
        self, name: str, limit: float | None = None, extra: dict[str, str] | None = None
    ) -> Apart:
        """A process with a folder of its own; `limit` where it is not the pits' own."""
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        stand = Apart(name, self.cores, limit or self.limit, folder, extra)
        self.stack.callback(stand.close)
        return stand

    def opener(
        self, name: str, problem: Recipe, contestant: Recipe,
        limit: float | None = None, extra: dict[str, str] | None = None,
    ) -> Callable[[], Stand]:  # fmt: skip
        """What opens a stand of its own for a contestant when its race begins."""

        def open_stand() -> Stand:
            stand = self.apart(name, limit, extra)
            stand.entered = problem, contestant, last_cache()
            return stand

        return open_stand

    def lasting_opener(
        self, name: str, problem: Recipe, contestant: Recipe, extra: dict[str, str] | None = None
    ) -> Callable[[], Stand]:
        """What opens a stand in a process that serves many races of one role, one after another.

        For contestants that are trusted: importing Numba costs seconds every time.
        """

        def open_stand() -> Stand:
            role = name if name not in self.taken else f"{name} again"
            self.taken.add(role)
            stand = self.kept.get(role)
            if stand is None or stand.process.poll() is not None:
                stand = self.kept[role] = self.apart(role, PATIENCE, extra)
            before = stand.seconds_used()  # loading is this race's own work, no neighbour's
            stand.load(problem, contestant, last_cache())
            return Kept(stand, before)

        return open_stand

    def ask(self, factory: str, limit: float | None = None, **arguments: Any) -> dict[str, Any]:
        """What a function answers in a process that is ended afterwards."""
        stand = self.apart(factory, limit)
        try:
            return stand.call(Recipe(factory, arguments))
        finally:
            stand.close()


def last_cache() -> int:
    """Bytes of the last level of cache."""
    return cache_sizes()["L3"]
