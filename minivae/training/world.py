"""The processes of one run under mpiexec: who they are, and how they exchange numbers.

Only buffers travel, never pickled objects. Every exchange that others must answer has a time limit.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from minivae.settings import ConfigError
from minivae.types import Array

# Set by the launchers of MPICH, Open MPI and SLURM: whether this process is one of several.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
LIMIT = 300.0  # seconds that an exchange may take before the run is ended
SPIN = 0.002  # seconds of looking before each look is followed by a short sleep


class LostRank(RuntimeError):
    """Another process of the run did not answer in time; the message names its rank."""

    exit_code = 1


class World:
    """This process among those of the run: its rank, their number, and sums in a fixed order."""

    def __init__(self, comm: Any, limit: float = LIMIT) -> None:
        self.comm, self.limit = comm, limit
        self.rank, self.size = int(comm.rank), int(comm.size)

    def spread(self, buffer: Array, *, wait: bool = False) -> Array:
        """Rank 0's buffer on every rank, in place; `wait` lets it take as long as it will."""
        self._finish(self.comm.Ibcast(buffer, root=0), "rank 0", None if wait else self.limit)
        return buffer

    def add(self, value: Array) -> Array:
        """The sum over the ranks, the same bits on each: pairs, then pairs of pairs, and so on.

        a + b = b + a to the bit, so both of a pair hold the same sum. Needs 2^k ranks.
        """
        distance = 1
        while distance < self.size:
            partner = self.rank ^ distance
            theirs = np.empty_like(value)
            sent = self.comm.Isend(value, dest=partner, tag=distance)
            self._finish(self.comm.Irecv(theirs, source=partner, tag=distance), f"rank {partner}")
            self._finish(sent, f"rank {partner}")
            value = value + theirs
            distance *= 2
        return value

    def require_same(self, what: str, digest: bytes) -> None:
        """Raise ConfigError, naming the rank, unless all ranks have the same 32 bytes."""
        mine = np.frombuffer(digest, dtype=np.uint8).copy()
        theirs = np.empty((self.size, len(mine)), dtype=np.uint8)
        self._finish(self.comm.Iallgather(mine, theirs), "a rank")
        for rank in range(self.size):
            if not np.array_equal(theirs[rank], theirs[0]):
                raise ConfigError(f"rank {rank} has {what} that differ from rank 0's")

    def _finish(self, request: Any, who: str, limit: float | None = LIMIT) -> None:
        began = time.monotonic()
        while not request.Test():
            waited = time.monotonic() - began
            if limit is not None and waited > min(limit, self.limit):
                raise LostRank(
                    f"{who} has not answered rank {self.rank} for {waited:.0f} s: the run ends; "
                    "its last checkpoint is whole"
                )
            if waited > SPIN:
                time.sleep(1e-4)

    def end(self) -> None:
        """End every process of the run at once."""
        self.comm.Abort(1)


def processes() -> int:
    """How many processes mpiexec started; 1 without it."""
    return next((int(os.environ[name]) for name in SIZES if name in os.environ), 1)


def is_served() -> bool:
    """Whether another process of this run, rank 0, prints and writes in place of this one."""
    return any(os.environ.get(name, "0") != "0" for name in RANKS)


def world_of(shards: int) -> World | None:
    """The processes that mpiexec started, or None where this is the only one.

    Raises ConfigError, one line, where there is no MPI to talk by, or the shards cannot be shared
    out among the processes.
    """
    size = processes()
    if size == 1:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"mpiexec started {size} processes, and MPI cannot be used ({error}): "
            "pip install 'minivae[mpi]'"
        ) from None
    comm = MPI.COMM_WORLD
    if comm.size != size:
        raise ConfigError(
            f"mpiexec started {size} processes, but mpi4py sees {comm.size}: it was built for "
            "another MPI than this mpiexec is of"
        )
    if shards % comm.size:
        raise ConfigError(
            f"shards = {shards}: {comm.size} processes cannot share them out; give --shards as a "
            f"power of two that is a multiple of {comm.size}"
        )
    return World(comm)
