"""The training step, from launches made one by one to a recorded graph of two branches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from minivae_kernels.gpu.step import UPDATES_HELD, GraphStep
from minivae_kernels.gpu.update import Update
from minivae_kernels.ladder.base import Ladder

Both = tuple[Callable[[], None], Callable[[], None]]  # one update, and several


def repeated(update: Callable[[], None]) -> Callable[[], None]:
    """As many updates as the product's longer graph holds, one after another."""

    def several() -> None:
        for _ in range(UPDATES_HELD):
            update()

    return several


class EagerStep(GraphStep):
    """The graph's launches, made from Python for every update."""

    def _graph(self, batch: int) -> Both:
        update = Update(self.buffers, batch)
        return self.graphs.setdefault(batch, (update, repeated(update)))


class LineStep(GraphStep):
    """A graph of one update, every launch after the one before."""

    def _recorded(self, update: Update) -> Both:
        update.aside = contextlib.nullcontext
        one = self.device.capture(update)
        return one, repeated(one)


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
    def step_v1(plan: Any, theta: Any, moments: Any, data: Any) -> LineStep:
        """the launches recorded once as a graph, all in one line, one call an update"""
        return LineStep(device, plan, theta, moments, data)

    @found.version()
    def step_v2(plan: Any, theta: Any, moments: Any, data: Any) -> GraphStep:
        """the product's own: two branches side by side, one call for 8 updates"""
        return GraphStep(device, plan, theta, moments, data)

    return found
