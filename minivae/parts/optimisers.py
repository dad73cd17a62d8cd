"""The optimisers: every update that the table of ops marks as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minivae.ops.record import Op
from minivae.ops.table import ops_of
from minivae.parts.lookup import Table, kernel
from minivae.settings import ConfigError, nearest, require_number
from minivae.types import Array


@dataclass(frozen=True)
class Optimiser:
    """An update of all parameters in place, with `moments` buffers of the same size.

    update(theta, grad, *moments, lr, *settings[, t]): theta, grad and each moment (P,); t counts
    updates from 1 where `counts`. settings: names and defaults, in the update's order.
    """

    name: str
    update: Callable[..., None]
    moments: int
    settings: Mapping[str, float] = field(default_factory=dict)
    counts: bool = False
    words: str = ""

    def settled(self, given: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
        """Every setting with its value, in order. Raises ConfigError for an unknown or bad one."""
        for key, value in given.items():
            if key not in self.settings:
                known = ", ".join(self.settings) or "none"
                raise ConfigError(
                    f"optimiser {self.name} has no setting {key!r} (it has {known})"
                    f"{nearest(key, self.settings)}"
                )
            require_number(key, value, 0.0)
        return tuple((key, float(given.get(key, value))) for key, value in self.settings.items())

    def descend(
        self, K: Any, theta: Array, grad: Array, moments: Array, lr: float, settings: Any, t: int
    ) -> None:
        """One update by backend K's kernel: moments (M, P), `settings` as `settled` gives them."""
        values = [value for _, value in settings]
        count = [t] if self.counts else []
        kernel(K, self.update)(theta, grad, *moments[: self.moments], lr, *values, *count)


def _of(op: Op) -> Optimiser:
    return Optimiser(
        op.name, op.forward, len(op.in_place) - 1, op.settings, "t" in op.args, op.words
    )


OPTIMISERS: Table[Optimiser] = Table("optimiser", [_of(op) for op in ops_of("optimiser")])
