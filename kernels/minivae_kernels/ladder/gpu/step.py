"""The training step, from launches made one by one to a recorded graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minivae_kernels.gpu.passes import Update
from minivae_kernels.gpu.step import UPDATES_HELD, GraphStep
from minivae_kernels.ladder.base import Ladder


class EagerStep(GraphStep):
    """The same launches, made from Python for every update."""

    def _graph(self, batch: int) -> tuple[Callable[[], None], Callable[[], None]]:
        update = Update(self.buffers, batch)

        def many() -> None:
            for _ in range(UPDATES_HELD):
                update()

        return self.graphs.setdefault(batch, (update, many))


def ladder(device: Any) -> Ladder:
    """The rungs take make_step's arguments and give a step; there are no ready-made inputs."""

    def no_inputs(*_: Any) -> Any:
        raise ValueError("the step ladder runs on make_step's arguments: a plan and its arrays")

    found = Ladder("make_step", "update", 0, no_inputs, lambda args: 1.0)

    @found.version()
    def step_v0(plan: Any, theta: Any, moments: Any, data: Any) -> EagerStep:
        """fused kernels in kept buffers, each launched by Python: some 22 launches an update"""
        return EagerStep(device, plan, theta, moments, data)

    @found.version()
    def step_v1(plan: Any, theta: Any, moments: Any, data: Any) -> GraphStep:
        """the product's own: recorded once as a graph of two branches, one call for 8 updates"""
        return GraphStep(device, plan, theta, moments, data)

    return found
