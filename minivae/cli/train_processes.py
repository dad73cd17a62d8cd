"""`minivae train` under mpiexec: rank 0 trains as ever, the other ranks do their shards of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from minivae import __version__
from minivae.cli.backends import blas_threads
from minivae.cli.train_settings import TrainRequest
from minivae.models.vae import layout_of
from minivae.runs.resume import fingerprint
from minivae.training.job import make_job
from minivae.training.sharded import dismiss, serve
from minivae.training.world import World, processes, world_of


@contextlib.contextmanager
def together(request: TrainRequest) -> Iterator[World | None]:
    """The processes of this run, found to have the same data, settings and version; None if one.

    Rank 0 lets the others go at the end, however it ends. Raises ConfigError in one line.
    """
    world = world_of(request.config.shards)
    if world is None:
        yield None
        return
    data = fingerprint(request.dataset)["sha256"]
    settings = f"{__version__} {request.model} {request.config.for_checkpoint()}"
    world.require_same("data", bytes.fromhex(data))
    world.require_same("settings or a version", hashlib.sha256(settings.encode()).digest())
    try:
        yield world
    finally:
        if world.rank == 0:
            dismiss(world)


def serve_request(request: TrainRequest, world: World) -> None:
    """Do this rank's shards until rank 0 has done."""
    job = make_job(request.model, request.config, request.dataset, request.K, None)
    size = layout_of(request.model).size
    with blas_threads(request.K, request.model, request.config):
        serve(request.K, job.plan, job.data.train, request.config.shards, world, size)


def own_threads(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with this process's share of the cores as its threads, unless they are given."""
    if processes() == 1 or settings.get("threads") is not None:
        return settings
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {**settings, "threads": max(1, (cores or 1) // processes())}
