"""Which of several processes this one is: the launcher (mpiexec, srun) says it by environment."""

from __future__ import annotations

import os

# Set by the launchers of MPICH, Open MPI and SLURM.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PMIX_SIZE")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")


def processes() -> int:
    """How many processes mpiexec started; 1 without it."""
    return _first(SIZES, 1)


def own_rank() -> int:
    """This process's number among them, from 0."""
    return _first(RANKS, 0)


def threads_each(count: int) -> int:
    """The cores that this process may use, divided among so many."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // count)


def _first(names: tuple[str, ...], default: int) -> int:
    return next((int(os.environ[name]) for name in names if name in os.environ), default)
