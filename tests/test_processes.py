"""What the launchers say by environment, each in its own words, and what is made of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minivae import processes
from minivae.training.world import speaks_otherwise

ROOT = Path(__file__).resolve().parents[1]
STEP = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}
# as `env` printed it under each launcher: what it sets, and rank, size and command from that
LAUNCHERS = {
    "nothing": ({}, 0, 1, "mpiexec"),
    "mpich": ({"PMI_RANK": "2", "PMI_SIZE": "4", "HYDI_CONTROL_FD": "9"}, 2, 4, "mpiexec"),
    "mpich-in-a-step": (
        {**STEP, "PMI_RANK": "1", "PMI_SIZE": "2", "HYDI_CONTROL_FD": "9"}, 1, 2, "mpiexec"),
    "open-mpi": (
        {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"},
        3, 4, "mpiexec"),
    "srun-pmi2": (
        {**STEP, "PMI_RANK": "3", "PMI_SIZE": "4", "SLURM_MPI_TYPE": "pmi2"},
        3, 4, "srun --mpi=pmi2"),
    "srun-pmix": ({**STEP, "PMIX_RANK": "3"}, 3, 4, "srun"),
    "srun-without": (STEP, 0, 1, "srun"),
    "sbatch": ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, 0, 1, "mpiexec"),
}  # fmt: skip


@pytest.fixture
def launched(monkeypatch):
    for name in (*processes.SIZES, *processes.RANKS, *STEP, "HYDI_CONTROL_FD", "SLURM_MPI_TYPE"):
        monkeypatch.delenv(name, raising=False)

    def by(name):
        given, *expected = LAUNCHERS[name]
        for key, value in given.items():
            monkeypatch.setenv(key, value)
        return expected

    return by


@pytest.mark.parametrize("name", LAUNCHERS)
def test_each_launcher_is_understood(name, launched):
    expected = launched(name)
    found = [processes.own_rank(), processes.processes(), processes.launcher()]
    assert found == expected


@pytest.mark.parametrize("name", LAUNCHERS)
def test_only_srun_without_an_mpi_starts_strangers(name, launched):
    launched(name)
    assert processes.strangers() == ((3, 4) if name == "srun-without" else (0, 1))


MPICH, WITH_PMIX = "MPICH Version: 5.0\nMPICH configure: --with-pm=hydra", "MPICH --with-pmix=/usr"
OPEN_MPI = "Open MPI v5.0.11, package: Open MPI"


@pytest.mark.parametrize(
    ("library", "deaf_to"),
    [(MPICH, {"open-mpi", "srun-pmix"}), (WITH_PMIX, set()),
     (OPEN_MPI, {"mpich", "mpich-in-a-step"})],
)  # fmt: skip
@pytest.mark.parametrize("name", LAUNCHERS)
def test_an_mpi_that_cannot_hear_its_launcher_is_known_before_it_begins(
    library, deaf_to, name, launched
):
    launched(name)
    assert speaks_otherwise(library) == (name in deaf_to)


def test_processes_that_work_apart_have_forgotten_each_other(launched, monkeypatch):
    launched("srun-pmi2")
    monkeypatch.setattr(processes, "started", (0, 1))
    processes.work_apart()
    assert processes.started == (3, 4) and processes.processes() == 1
    assert processes.own_rank() == 0


def ran(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command line in a process that the launcher seems to have started."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return subprocess.run(
        [sys.executable, "-m", "minivae", *words], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": path, **LAUNCHERS[name][0]}, check=False,
    )  # fmt: skip


def test_a_task_of_an_array_speaks_for_itself(tmp_path):
    """Where srun gives every step an MPI, tasks other than the first are no silent ranks."""
    words = ["--grid", "bta=1", "--out", str(tmp_path / "s")]
    alone = ran("srun-pmi2", "sweep", "digits", "--only", "4/4", *words)
    assert alone.returncode == 2 and "did you mean 'beta'" in alone.stderr
    assert len(alone.stderr.splitlines()) == 1


@pytest.mark.parametrize(("name", "lines"), [("srun-pmi2", 0), ("mpich", 0), ("first", 1)])
def test_sweeps_that_would_all_do_the_same_are_refused_in_one_line(
    name, lines, tmp_path, monkeypatch
):
    monkeypatch.setitem(LAUNCHERS, "first", ({"PMI_RANK": "0", "PMI_SIZE": "4"}, 0, 4, "mpiexec"))
    done = ran(name, "sweep", "digits", "--grid", "beta=1", "--out", str(tmp_path / "s"))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == lines
    assert not lines or "mpiexec started 4 sweeps" in done.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("number", "lines"), [("0", 1), ("3", 0)])
def test_srun_without_an_mpi_is_one_line(number, lines, tmp_path, monkeypatch):
    monkeypatch.setitem(STEP, "SLURM_PROCID", number)
    words = ["digits", "--shards", "4", "--backend", "numpy", "--out", str(tmp_path / "r")]
    done = ran("srun-without", "train", *words)
    said = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2 and len(said) == lines
    assert not lines or "srun --mpi=pmi2" in said[0]
    assert not (tmp_path / "r").exists()
