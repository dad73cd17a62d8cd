"""Which of several processes this one is: the launcher (mpiexec, srun) says it by environment."""

from __future__ import annotations

import os

# MPICH's mpiexec and srun --mpi=pmi2 set the first name, Open MPI's mpiexec the second; srun
# --mpi=pmix sets the third, and the size under the name that it has in every step of a job.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
STEP = "SLURM_STEP_NUM_TASKS"

started = (0, 1)  # rank and number of the processes that `work_apart` made forget each other


def processes() -> int:
    """How many processes the launcher started together; 1 without it."""
    return _first(SIZES, _first((STEP,), 1) if _have_met() else 1)


def own_rank() -> int:
    """This process's number among them, from 0."""
    return _first(RANKS, 0)


def strangers() -> tuple[int, int]:
    """Number of this one, and of the processes that srun started without an --mpi to meet by."""
    return (0, 1) if _have_met() else (_first(("SLURM_PROCID",), 0), _first((STEP,), 1))


def launcher() -> str:
    """The command that started them: srun, with the --mpi that it was given, or mpiexec."""
    others = "HYDI_CONTROL_FD", "OMPI_COMM_WORLD_SIZE"
    if STEP not in os.environ or any(name in os.environ for name in others):
        return "mpiexec"
    kind = os.environ.get("SLURM_MPI_TYPE")
    return f"srun --mpi={kind}" if kind else "srun"


def work_apart() -> None:
    """Forget the other processes: each does its command by itself and speaks for itself."""
    global started
    started = own_rank(), processes()
    for name in (*SIZES, *RANKS):
        os.environ.pop(name, None)


def threads_each(count: int) -> int:
    """The cores that this process may use, divided among so many."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // count)


def _have_met() -> bool:
    return any(name in os.environ for name in RANKS)


def _first(names: tuple[str, ...], default: int) -> int:
    """The first of these variables that holds a number: what is none was set by no launcher."""
    given = (os.environ.get(name, "") for name in names)
    return next((int(text) for text in given if text.isdecimal() and len(text) < 10), default)
