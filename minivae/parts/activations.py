"""The activations: every op that the table of ops marks as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minivae.ops.table import FUNCTIONS, ops_of
from minivae.parts.lookup import Table
from minivae.types import Array


@dataclass(frozen=True)
class Activation:
    """A function of every number by itself, after each hidden layer.

    forward(a) -> h and backward(dh, a) -> da, any shape; `words` say what it is.
    """

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]
    words: str = ""

    @property
    def dense(self) -> Callable[[Array, Array, Array], Array] | None:
        """forward(x W + b) as one op of (x, W, b), where the table of ops has one."""
        fused = FUNCTIONS.get(f"dense_{self.name}_forward")
        return None if fused is None else fused.function


ACTIVATIONS: Table[Activation] = Table(
    "activation",
    [Activation(op.name, op.forward, op.backward[0].function, op.words)
     for op in ops_of("activation")],
)  # fmt: skip
