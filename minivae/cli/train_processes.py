"""Commands under mpiexec: rank 0 works as ever and alone writes and prints; the others serve it.

What every process finds wrong is said once, by rank 0. What one of them finds alone ends all of
them, in one line with its rank.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from minivae import __version__
from minivae.cli.backends import blas_threads
from minivae.cli.console import Console
from minivae.cli.faults import FOUND_BY_ALL, describe, exit_code
from minivae.cli.options import UsageError
from minivae.cli.rank_watcher import tell_run, until_read
from minivae.cli.train_report import measure_test
from minivae.cli.train_settings import TrainRequest
from minivae.data.errors import DataError
from minivae.data.stream import chunks
from minivae.processes import processes, strangers, threads_each
from minivae.runs.errors import RunError
from minivae.runs.resume import fingerprint
from minivae.settings import ConfigError
from minivae.training.job import Job, make_job
from minivae.training.serve import serve
from minivae.training.world import LIMIT, World, open_world, require_shares

Settled = TypeVar("Settled")
LAST_WORD = 3.0  # seconds that whoever has seen a rank's end has to name it
BETWEEN = (RunError, ConfigError, DataError, KeyboardInterrupt)


def world_here(seconds: float | None) -> World | None:
    """The processes of this command, or None without mpiexec; seconds: --rank-timeout.

    Raises UsageError where those are no time.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise UsageError(f"--rank-timeout {seconds:g}: give seconds, a number above 0")
    return None if processes() == 1 else open_world(LIMIT if seconds is None else seconds)


@contextlib.contextmanager
def together(world: World | None) -> Iterator[None]:
    """What one process raises in here ends the whole job, in one line naming its rank.

    Rank 0's own faults that come between exchanges go on their way: then the others are let go.
    Whatever else it meets, memory that ends say, may leave them waiting.
    """
    try:
        yield
    except BaseException as fault:
        ended = isinstance(fault, SystemExit) or hasattr(fault, FOUND_BY_ALL)
        between = isinstance(fault, BETWEEN) and (world is None or world.rank == 0)
        if ended or between or world is None:
            raise
        end(world, fault)


def end(world: World | None, fault: BaseException) -> NoReturn:
    """Say why in one line, and end all processes at once."""
    rank = 0 if world is None else world.rank
    if type(fault).__module__.startswith("mpi4py"):  # another rank has gone: its watcher says so
        time.sleep(LAST_WORD)
    text = describe(fault) if isinstance(fault, Exception) else type(fault).__name__
    print(f"error: rank {rank}: {text}", file=sys.stderr, flush=True)
    until_read()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MPI would say it again in its own words
    code = exit_code(fault) if isinstance(fault, Exception) else 1
    if world is not None:
        world.end(code)
    raise SystemExit(code)


def settled_by_all(world: World | None, settle: Callable[[], Settled]) -> Settled:
    """What `settle` gives, once every process has got through it.

    Where all fail, each raises its own fault, of which rank 0's is printed; where only some do, the
    first of them ends the job.
    """
    if world is None:
        return settle()
    found, fault = None, None
    try:
        found = settle()
    except Exception as error:
        fault = error
    agree(world, fault)
    return found  # type: ignore[return-value]


def agree(world: World, fault: Exception | None) -> None:
    """Raise the fault where every process has one; end the job where only some have."""
    failed = world.of_all(np.array([fault is not None], dtype=np.int64))[:, 0]
    if failed.all() and fault is not None:
        setattr(fault, FOUND_BY_ALL, True)
        raise fault
    if failed.any():
        if world.rank == int(failed.argmax()) and fault is not None:
            end(world, fault)
        world.of_all(np.zeros(1, dtype=np.int64))  # wait for that end


def fault_at_once(fault: Exception) -> None:
    """A fault before the processes have met, in the command line say: hear whether all have it."""
    if "mpi4py.MPI" in sys.modules:
        return
    with contextlib.suppress(Exception):  # without MPI there is nobody to hear
        agree(open_world(), fault)


def require_alike(request: TrainRequest, world: World | None) -> None:
    """Raise ConfigError, one line, where the processes cannot train one run together."""
    if world is None:
        if request.config.shards > 1:
            require_no_strangers()
        return
    require_shares(request.config.shards, world.size)
    data = fingerprint(request.dataset)["sha256"]
    settings = f"{__version__} {request.model} {request.config.for_checkpoint()}"
    world.require_same("data", bytes.fromhex(data))
    world.require_same("settings or a version", hashlib.sha256(settings.encode()).digest())


def require_no_strangers() -> None:
    """Raise ConfigError, in one of them, where srun's processes would each train the whole run."""
    number, count = strangers()
    if count > 1 and number > 0:
        raise SystemExit(2)
    if count > 1:
        raise ConfigError(
            f"srun started {count} processes that cannot find each other: give it the --mpi that "
            "your MPI speaks (srun --mpi=pmi2 for MPICH; srun --mpi=list names all)"
        )


def require_same_numbers(world: World | None, theta: Any, rows: Any) -> None:
    """Raise ConfigError, one line, where the processes would measure different things."""
    if world is None:
        return
    sums = hashlib.sha256(f"{__version__} {rows.shape}".encode())
    for part in (theta, *chunks(rows)):
        sums.update(np.ascontiguousarray(part).view(np.uint8).data)
    world.require_same("data, a checkpoint or a version", sums.digest())


def tell_processes(world: World | None, run: Path, console: Console) -> None:
    """Say which process is which rank, and to each rank's watcher which run it is."""
    if world is None:
        return
    tell_run(run)
    pids = world.of_all(np.array([os.getpid()], dtype=np.int64))[:, 0].tolist()
    console.say("processes  " + ", ".join(f"rank {r} is PID {pid}" for r, pid in enumerate(pids)))


def job_of(request: TrainRequest, world: World | None) -> Job | None:
    """What the processes will compute together, None without mpiexec; raises as `make_job`."""
    if world is None:
        return None
    return make_job(request.model, request.config, request.dataset, request.K, None, world)


def serve_request(request: TrainRequest, job: Job, world: World) -> None:
    """Do this rank's part until rank 0 has done; it alone answers to Ctrl-C and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with blas_threads(request.K, request.model, request.config):
        serve(job, world, lambda theta: measure_test(request, theta, world.share_out))


def own_threads(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with this process's share of the cores as its threads, unless they are given."""
    if processes() == 1 or settings.get("threads") is not None:
        return settings
    return {**settings, "threads": threads_each(processes())}
