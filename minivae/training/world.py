"""The processes of one run under mpiexec: who they are, and how they exchange numbers.

Only buffers travel, never pickled objects. Every exchange has a time limit.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minivae.processes import launcher, processes
from minivae.settings import ConfigError
from minivae.types import Array

LIMIT = 60.0  # seconds that an exchange may take before the run is ended
LONGER = 10  # times as long where the others may compile, or rank 0 may write
APART = 0.5  # seconds: who waits for the lost rank itself says so before those who wait for him
SPIN = 0.002  # seconds of looking before each look is followed by a short sleep
SPREAD = 0  # the tag of what one rank tells all; sums carry their distance
ALIGNED = 16  # numbers: slices of a buffer begin where a cache line does


class LostRank(RuntimeError):
    """Another process of the run did not answer in time; the message names its rank."""

    exit_code = 1


class World:
    """This process among those of the run: its rank, their number (2^k), sums in a fixed order.

    The order is a tree: pairs of ranks, pairs of pairs, and so on. a + b = b + a to the bit, so it
    does not matter which of a pair adds. limit: seconds that an exchange may take; `patient` makes
    it LONGER times that.
    """

    def __init__(self, comm: Any, limit: float = LIMIT) -> None:
        self.comm, self.limit, self.patient = comm, limit, False
        self.rank, self.size = int(comm.rank), int(comm.size)
        self.seconds = 0.0  # spent in sums and gathers

    def spread(self, buffer: Array, *, root: int = 0, wait: bool = False) -> Array:
        """One rank's buffer on every rank, in place; `wait` gives it time to write or compute.

        By a tree of pairs, each of which knows whom it waits for: counted from the root, rank
        v > 0 hears from v without its lowest bit, and tells v + d for each d below that bit.
        """
        v, times = (self.rank - root) % self.size, LONGER if wait else 1
        lowest = v & -v or self.size
        if v:
            sender, level = (v - lowest + root) % self.size, v.bit_count() - 1
            received = self.comm.Irecv(buffer, source=sender, tag=SPREAD)
            self._finish(received, f"rank {sender}", times, level)
        below = [v + d for d in self._distances() if d < lowest and v + d < self.size]
        others = [(u + root) % self.size for u in reversed(below)]  # the largest subtree first
        sent = [(self.comm.Isend(buffer, dest=other, tag=SPREAD), other) for other in others]
        for request, other in sent:
            self._finish(request, f"rank {other}", times)
        return buffer

    def share_out(self, count: int, work: Callable[[int], Array]) -> list[Array]:
        """The float64 matrices work(0) … work(count - 1), each made by one rank, on all ranks."""
        mine = {i: np.ascontiguousarray(work(i)) for i in range(self.rank, count, self.size)}
        found = []
        for i in range(count):
            root = i % self.size
            shape = self.spread(
                np.array(mine[i].shape if i in mine else (0, 0)), root=root, wait=True
            )
            found.append(self.spread(mine.get(i, np.empty(tuple(shape))), root=root))
        return found

    def add(self, value: Array) -> Array:
        """The sum over the ranks in place of each one's value, the same bits on all."""
        began, theirs = time.perf_counter(), np.empty_like(value)
        for level, distance in enumerate(self._distances()):
            self._exchange(value, theirs, distance, level)
            np.add(value, theirs, out=value)
        self.seconds += time.perf_counter() - began
        return value

    def scatter_add(self, value: Array, room: Array) -> slice:
        """The sum over the ranks, each having only a slice of it: value[slice], which is returned.

        The rest of `value` then means nothing; `room` is as large, and scratch.
        """
        began, own = time.perf_counter(), slice(0, len(value))
        for level, (distance, mine, theirs) in enumerate(self._halves(len(value))):
            self._exchange(value[theirs], room[mine], distance, level)
            np.add(value[mine], room[mine], out=value[mine])
            own = mine
        self.seconds += time.perf_counter() - began
        return own

    def gather(self, value: Array) -> Array:
        """All of a buffer of which each rank has the slice that `scatter_add` gave it, in place."""
        began = time.perf_counter()
        steps = list(self._halves(len(value)))
        for level, (distance, mine, theirs) in enumerate(reversed(steps)):
            self._exchange(value[mine], value[theirs], distance, level)
        self.seconds += time.perf_counter() - began
        return value

    def of_all(self, mine: Array) -> Array:
        """Each rank's small vector, one a row, on every rank."""
        theirs = np.empty((self.size, *mine.shape), dtype=mine.dtype)
        theirs[self.rank] = mine
        for rank in range(self.size):
            self.spread(theirs[rank], root=rank, wait=True)
        return theirs

    def require_same(self, what: str, digest: bytes) -> None:
        """Raise ConfigError, naming the rank, unless all ranks have the same 32 bytes."""
        all_ = self.of_all(np.frombuffer(digest, dtype=np.uint8).copy())
        for rank in range(self.size):
            if not np.array_equal(all_[rank], all_[0]):
                raise ConfigError(f"rank {rank} has {what} that differ from rank 0's")

    def _distances(self) -> Iterator[int]:
        distance = 1
        while distance < self.size:
            yield distance
            distance *= 2

    def _halves(self, size: int) -> Iterator[tuple[int, slice, slice]]:
        """For each level of the tree: the partner's distance, the half that is kept, and the other.

        Each halves what the one before kept.
        """
        first, last = 0, size
        for distance in self._distances():
            middle = first + (last - first) // 2 // ALIGNED * ALIGNED
            low, high = slice(first, middle), slice(middle, last)
            mine, theirs = (high, low) if self.rank & distance else (low, high)
            yield distance, mine, theirs
            first, last = mine.start, mine.stop

    def _exchange(self, mine: Array, theirs: Array, distance: int, level: int) -> None:
        """Give `mine` to the partner at that distance, and take `theirs`."""
        partner = self.rank ^ distance
        received = self.comm.Irecv(theirs, source=partner, tag=distance)
        sent = self.comm.Isend(mine, dest=partner, tag=distance)
        self._finish(received, f"rank {partner}", 1, level)
        self._finish(sent, f"rank {partner}", 1, level)

    def _finish(self, request: Any, who: str, times: int = 1, level: int = 0) -> None:
        began = time.monotonic()
        limit = self.limit * (LONGER if self.patient else times) + APART * level
        while not request.Test():
            waited = time.monotonic() - began
            if not waited <= limit:
                raise LostRank(
                    f"{who} has not answered rank {self.rank} for {waited:.0f} s: the run ends; "
                    "its last checkpoint is whole"
                )
            if waited > SPIN:
                time.sleep(1e-4)

    def end(self, code: int = 1) -> None:
        """End every process of the run at once."""
        self.comm.Abort(code)


def open_world(limit: float = LIMIT) -> World:
    """The processes that mpiexec started.

    Raises ConfigError, one line, where there is no MPI to talk by.
    """
    size = processes()
    try:
        with warnings.catch_warnings():  # what it says of another MPI is said below, in one line
            warnings.simplefilter("ignore", RuntimeWarning)
            MPI = begin_mpi()
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"{launcher()} started {size} processes, and MPI cannot be used ({error}): "
            "pip install 'minivae[mpi]'"
        ) from None
    comm = MPI.COMM_WORLD
    if comm.size != size:
        raise ConfigError(
            f"{launcher()} started {size} processes, but mpi4py sees {comm.size}: {other_mpi()}"
        )
    return World(comm, limit)


def begin_mpi() -> Any:
    """mpi4py's MPI, begun; what MPI itself would say of another's launcher is one line first."""
    import mpi4py

    mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
    from mpi4py import MPI

    if not MPI.Is_initialized():
        library = MPI.Get_library_version().replace("Version:", "")
        if speaks_otherwise(library):
            raise ConfigError(
                f"{launcher()} started {processes()} processes, but mpi4py's MPI is "
                f"{' '.join(library.split(',')[0].splitlines()[0].split())}: {other_mpi()}"
            )
        MPI.Init_thread()
    return MPI


def speaks_otherwise(library: str) -> bool:
    """Whether that MPI (Get_library_version) cannot understand the launcher: MPICH hears PMIx only
    where it was built with it, Open MPI never hears MPICH's launcher."""
    if "Open MPI" in library:
        return "HYDI_CONTROL_FD" in os.environ
    only_pmix = "PMIX_RANK" in os.environ and "PMI_RANK" not in os.environ
    return only_pmix and "MPICH" in library and "pmix" not in library.lower()


def other_mpi() -> str:
    """Why mpi4py may see too few processes, and what helps."""
    if launcher().startswith("srun"):
        return "give srun the --mpi that this MPI speaks (pmi2 for MPICH; see srun --mpi=list)"
    return "it is another MPI than this mpiexec is of"


def require_shares(shards: int, size: int) -> None:
    """Raise ConfigError unless so many processes can share the shards out evenly."""
    if shards % size:
        fitting = 1 << (size - 1).bit_length()
        more = "" if fitting == size else f", and {fitting} processes"
        raise ConfigError(
            f"shards = {shards}: {size} processes cannot share them out; give --shards as a "
            f"power of two that is a multiple of {fitting}{more}"
        )
