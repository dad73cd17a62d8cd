"""What the processes beside rank 0 do: their share of whatever it asks for, until it says stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from minivae.models.vae import layout_of
from minivae.training.heldout import measure
from minivae.training.sharded import EVALUATE, MEASURE, NEW, RUN, STATE, STOP, ask
from minivae.training.world import World
from minivae.types import Array

if TYPE_CHECKING:
    from minivae.training.job import Job


def serve(job: Job, world: World, evaluate: Callable[[Array], object]) -> None:
    """Do this process's shards of every update, and its rows of every measurement.

    evaluate: of theta (P,), this process's part of what rank 0 measures at the end.
    """
    size, step = layout_of(job.model).size, None
    while True:
        what, *numbers = world.spread(np.zeros(4, dtype=np.int64), wait=True).tolist()
        if what == STOP:
            return
        if what == NEW:
            empty = np.empty(size, dtype=np.float32)
            step = job.step_from(empty, np.empty((numbers[0], size), dtype=np.float32))
        elif what == MEASURE:
            theta = world.spread(np.empty(size, dtype=np.float32))
            measure(job.K, job.model, theta, job.split, job.config, job.data.scale,
                    share_out=world.share_out)  # fmt: skip
        elif what == EVALUATE:
            evaluate(world.spread(np.empty(size, dtype=np.float32)))
        elif step is not None and what == RUN:
            n, B, t = numbers
            rows = world.spread(np.empty((n, B), dtype=np.int64))
            step(rows, t, *world.spread(np.empty((2, n))))
        elif step is not None and what == STATE:
            step.state()


@contextlib.contextmanager
def serving(world: World | None) -> Iterator[None]:
    """Rank 0's work, which lets the processes that serve go at its end, however it ends."""
    try:
        yield
    finally:
        if world is not None:
            ask(world, STOP)
