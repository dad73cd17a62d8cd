"""A fixture of the trainings under mpiexec."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def mpi() -> None:
    """Skips, saying so, where no job can be started."""
    pytest.importorskip("mpi4py", reason="MPI is not installed (the mpi extra)")
    if shutil.which("mpiexec") is None:
        pytest.skip("there is no mpiexec")
