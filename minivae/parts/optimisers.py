"""The optimisers: every update that the table of ops marks as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minivae.ops.record import Bounds, Op
from minivae.ops.table import ops_of
from minivae.parts.lookup import Table, kernel
from minivae.settings import ConfigError, nearest, require_below, require_number
from minivae.types import Array


@dataclass(frozen=True)
class Optimiser:
    """An update of all parameters in place, with `moments` buffers of the same size.

    update(theta, grad, *moments, lr, *settings[, t]): theta, grad and each moment (P,); t counts
    updates from 1 where `counts`. settings: names and defaults, in the update's order. bounds: for
    each of them (least, below); what is not named has to be at least 0.
    """

    name: str
    update: Callable[..., None]
    moments: int
    settings: Mapping[str, float] = field(default_factory=dict)
    counts: bool = False
    words: str = ""
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def settled(self, given: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
        """Every setting with its value, in order. Raises ConfigError for an unknown or bad one."""
        for key, value in given.items():
            if key not in self.settings:
                known = ", ".join(self.settings) or "none"
                raise ConfigError(
                    f"optimiser {self.name} has no setting {key!r} (it has {known})"
                    f"{nearest(key, self.settings)}"
                )
            require_bounds(key, value, self.bounds.get(key, Bounds()))
        return tuple((key, float(given.get(key, value))) for key, value in self.settings.items())

    def descend(
        self, K: Any, theta: Array, grad: Array, moments: Array, lr: float, settings: Any, t: int
    ) -> None:
        """One update by backend K's kernel: moments (M, P), `settings` as `settled` gives them."""
        values = [value for _, value in settings]
        count = [t] if self.counts else []
        kernel(K, self.update)(theta, grad, *moments[: self.moments], lr, *values, *count)


def require_bounds(key: str, value: object, bounds: tuple[float, float]) -> None:
    """Raise ConfigError unless the value is a finite number within (least, below)."""
    least, below = bounds
    require_number(key, value, least)
    require_below(key, value, below)


def _of(op: Op) -> Optimiser:
    moments, counts = len(op.in_place) - 1, "t" in op.args
    return Optimiser(op.name, op.forward, moments, op.settings, counts, op.words, op.bounds)


OPTIMISERS: Table[Optimiser] = Table("optimiser", [_of(op) for op in ops_of("optimiser")])


def bounds_of(setting: str) -> tuple[float, float]:
    """What the first optimiser with such a setting says of it; at least 0 where none has it."""
    for part in OPTIMISERS.values():
        if setting in part.settings:
            return part.bounds.get(setting, Bounds())
    return Bounds()
