"""A rank that dies, hangs, finds NaN or fills its disk: one line that names it, a sound run."""

from __future__ import annotations

import signal
import subprocess

import pytest

from minivae.runs.fsck import check_run
from tests.training.mpi_jobs import Job, command, environment, fresh


def ended_by(job, rank):
    """That the job ended with one line on that rank, and left a run that can go on."""
    code, errors = job.ended()
    assert code != 0 and len(errors) == 1, (code, errors)
    assert f"rank {rank}" in errors[0]
    assert check_run(job.out).resume_from
    return errors[0]


def is_killed(processes, rank, folder):
    job = Job(processes, folder / "r")
    process = job.process(rank)
    job.signal(rank, signal.SIGKILL)
    said = ended_by(job, rank)
    assert f"error: rank {rank} (process {process} on " in said and "SIGKILL" in said
    assert "last checkpoint: epoch " in said
    assert said.endswith(f"Go on with: mpiexec -n {processes} minivae train --resume {job.out}")


@pytest.mark.usefixtures("mpi")
def test_a_killed_rank_is_named(tmp_path):
    is_killed(2, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
@pytest.mark.parametrize(("processes", "rank"), [(2, 0), (4, 0), (4, 1), (4, 2), (4, 3)])
def test_each_killed_rank_is_named(processes, rank, tmp_path):
    is_killed(processes, rank, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
def test_on_several_machines_too_one_line_comes(tmp_path, monkeypatch):
    """Two proxies, as on two machines, that talk by TCP."""
    monkeypatch.setenv("HYDRA_LAUNCHER", "fork")
    monkeypatch.setenv("MPIR_CVAR_NOLOCAL", "1")
    hosts = tmp_path / "hosts"
    hosts.write_text("localhost:2\n127.0.0.1:2\n")
    monkeypatch.setenv("HYDRA_HOST_FILE", str(hosts))
    is_killed(4, 2, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_stands_still_ends_the_job(rank, tmp_path):
    job = Job(2, tmp_path / "r", "--rank-timeout", "2")
    job.signal(rank, signal.SIGSTOP)
    said = ended_by(job, rank)
    assert f"error: rank {1 - rank}: rank {rank} has not answered" in said


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
def test_a_rank_that_finds_nan_is_named(tmp_path):
    words = command(4, *fresh(tmp_path / "r", "numpy"), "--lr", "1e30", "--quiet")
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 1 and len(errors) == 1
    assert "rank " in errors[0] and "found it" in errors[0]


@pytest.mark.slow
@pytest.mark.usefixtures("mpi")
def test_a_full_disk_is_named_with_the_rank_that_writes(tmp_path):
    """A limit on a file's size, which fails a write in the middle as a full disk does."""
    limited = """if True:
        import resource, sys
        from minivae.cli import main, train_processes as ranks
        talks = ranks.open_world
        def limit(*given):  # once MPI has made its own large files
            world = talks(*given)
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
            return world
        ranks.open_world = limit
        main.main(sys.argv[1:])"""
    words = command(2, *fresh(tmp_path / "r", "numpy", 50), "--quiet")
    at = words.index("-m")
    words[at : at + 2] = ["-c", limited]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2 and len(errors) == 1, done.stderr
    assert errors[0].startswith("error: rank 0: cannot write ") and "too large" in errors[0]
