"""One process of the MPI benchmark, under mpiexec: python -m benchmarks.mpi_child JOB (JSON).

Rank 0 prints one JSON line. The job's `what`: "step" times updates, "exchange" times the sum of
a buffer over two ranks, "parts" times on one process what an update is made of.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from minivae.backend import load_backend
from minivae.processes import processes
from minivae.training.gradients import make_gradient_step
from minivae.training.job import chunk_size
from minivae.training.serve import serve, serving
from minivae.training.sharded import ShardedStep
from minivae.training.step import make_step
from minivae.training.world import World, open_world

from .cases import LR, make_data, make_rows, make_theta, parse_arch
from .contenders.minivae_step import plan_of

ROWS = 8192  # of the synthetic pictures: all that an update's time depends on is there
CHECKED = 3  # updates before the parameters are compared between numbers of processes


def problem(job: dict[str, Any], batch: int) -> tuple[Any, ...]:
    """K, plan, theta, moments and data of a case, on one thread a process."""
    case = parse_arch(job["arch"], batch)
    theta = make_theta(case)
    data = make_data(case.data_dim, ROWS)
    plan = plan_of(case, job["threads"])
    return load_backend("numba", job["threads"]), plan, theta, np.zeros((2, len(theta)), "f"), data


def step(job: dict[str, Any], world: World | None) -> dict[str, Any]:
    """Updates a second, and the seconds of an update that went into sums between processes.

    A block is one call of the step, of as many updates as training gives it.
    """
    batch, shards = job["batch"], job["shards"]
    K, plan, theta, moments, data = problem(job, batch)

    def make(theta: Any, moments: Any) -> Any:
        if shards == 1:
            return make_step(K, plan, theta, moments, data)
        return ShardedStep(K, plan, theta, moments, data, shards=shards, world=world,
                           slices=job["slices"])  # fmt: skip

    if world is not None and world.rank > 0:
        serve(SimpleNamespace(model=parse_arch(job["arch"], batch).model(), step_from=make),
              world, lambda theta: None)  # fmt: skip
        return {}
    with serving(world):
        one, n = make(theta, moments), chunk_size(plan, K.name)
        rows = make_rows(parse_arch(job["arch"], batch), 0, max(CHECKED, n)) % ROWS
        one(rows[:CHECKED], 0, np.full(CHECKED, LR), np.ones(CHECKED))
        digest = hashlib.sha256(one.state()[0].tobytes()).hexdigest()
        rows = rows[:n]
        seconds, exchanged, until = [], [], time.perf_counter() + job["seconds"]
        while not seconds or time.perf_counter() < until:
            before, began = getattr(world, "seconds", 0.0), time.perf_counter()
            one(rows, CHECKED, np.full(n, LR), np.ones(n))
            seconds.append((time.perf_counter() - began) / n)
            exchanged.append((getattr(world, "seconds", 0.0) - before) / n)
    best = int(np.argmin(seconds))
    return {
        "ms": 1e3 * seconds[best],
        "ms_median": 1e3 * statistics.median(seconds),
        "exchange_ms": 1e3 * exchanged[best],
        "blocks": len(seconds),
        "sha256": digest,
    }


def exchange(job: dict[str, Any], world: World | None) -> dict[str, Any]:
    """Seconds that a buffer of each size takes to be added over the ranks, whole and by slices."""
    assert world is not None
    found: dict[str, Any] = {"bytes": [], "add_ms": [], "slices_ms": []}
    for size in job["sizes"]:
        value, room = np.zeros(size // 4, "f"), np.zeros(size // 4, "f")
        whole = lambda value=value: world.add(value)  # noqa: E731

        def slices(value: Any = value, room: Any = room) -> None:
            world.scatter_add(value, room)
            world.gather(value)

        found["bytes"].append(size)
        for name, function in (("add_ms", whole), ("slices_ms", slices)):
            found[name].append(1e3 * least(function, job["seconds"], world))
    return found


def parts(job: dict[str, Any], world: World | None) -> dict[str, Any]:
    """Milliseconds of a shard's gradient by its rows, of the optimiser, and of adding gradients."""
    found = {}
    for rows in job["rows"]:
        K, plan, theta, moments, data = problem(job, rows)
        one = make_gradient_step(K, plan, theta, moments, data)
        out, numbers = one.zeros(), np.arange(rows)
        gradient = lambda one=one, out=out, numbers=numbers: one.gradient(  # noqa: E731
            numbers, 0, 1.0, 1.0, out, add=False
        )
        found[str(rows)] = 1e3 * least(gradient, job["seconds"])
    other = one.zeros()
    return {
        "gradient_ms": found,
        "numbers": one.size,
        "optimiser_ms": 1e3 * least(lambda: one.descend(out, LR, 0, slice(None)), job["seconds"]),
        "adding_ms": 1e3 * least(lambda: np.add(out, other, out=out), job["seconds"]),
    }


def least(function: Callable[[], Any], seconds: float, world: World | None = None) -> float:
    """The shortest of many calls; all ranks make as many, rank 0's clock decides how many."""
    function()
    took, until = [], time.perf_counter() + seconds
    go = np.ones(1)
    while go[0]:
        for _ in range(20):
            began = time.perf_counter()
            function()
            took.append(time.perf_counter() - began)
        go[0] = time.perf_counter() < until
        if world is not None:
            world.spread(go)
    return min(took)


def main() -> None:
    """Do the job; rank 0 prints what it found."""
    job = json.loads(sys.argv[1])
    world = None if processes() == 1 else open_world()
    found = {"step": step, "exchange": exchange, "parts": parts}[job["what"]](job, world)
    if world is None or world.rank == 0:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
