"""The run directory: its lock, and what is refused before anything is written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from minivae.runs import directory as module
from minivae.runs.directory import RunDirectory, next_run_path
from minivae.runs.errors import RunError
from tests.training.child_run import ROOT

HOLDER = """
import sys, time
from minivae.runs.directory import RunDirectory
with RunDirectory(sys.argv[1], resume=False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path/run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path, holder):
    with (
        pytest.raises(RunError, match=f"in use by process {holder.pid}"),
        RunDirectory(tmp_path / "run", resume=True),
    ):
        pass


def test_a_killed_process_leaves_no_lock(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with RunDirectory(tmp_path / "run", resume=True) as again:
        again.claim(pytest.fail)
        assert (again.path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_run_to_resume_is_not_touched_before_it_is_claimed(tmp_path, holder):
    holder.kill()
    holder.wait()
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / "half.tmp").write_text("left by a kill")

    def seen():
        return {p: p.stat().st_mtime_ns for p in [tmp_path / "run", *tmp_path.rglob("*")]}

    before = seen()
    with RunDirectory(tmp_path / "run", resume=True):
        pass
    assert seen() == before
    with RunDirectory(tmp_path / "run", resume=True) as again:
        again.claim(pytest.fail)
    assert not (checkpoints / "half.tmp").exists()


def test_the_lock_is_free_again_afterwards(tmp_path):
    for _ in range(2):
        with RunDirectory(tmp_path / "run", resume=False):
            pass


def test_an_occupied_directory_is_refused_with_the_fix(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("mine")
    with pytest.raises(RunError, match=f"not empty.*--resume {tmp_path}"):
        RunDirectory(tmp_path, resume=False).check(1000)
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_there_must_be_something_to_resume(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        RunDirectory(tmp_path / "none", resume=True).check(1000)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("where", ["file", "file/run"])
def test_a_file_in_the_way_is_named(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        RunDirectory(tmp_path / where, resume=False).check(1000)


def test_a_disk_too_small_is_refused_with_both_sizes(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=20_000_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    RunDirectory(tmp_path / "run", resume=False, keep=3).check(1_000_000)
    with pytest.raises(RunError, match=r"20\.0 MB free and this run needs 33\.4 MB"):
        RunDirectory(tmp_path / "run", resume=False, keep=3).check(5_000_000)
    assert not (tmp_path / "run").exists()


def test_a_directory_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(RunError, match="not writable"):
        RunDirectory(tmp_path / "run", resume=False).check(1000)


def test_a_run_that_cannot_start_leaves_nothing(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(module.os, "fsync", refuse)
    with (
        pytest.raises(RunError, match="read-only file system; choose another"),
        RunDirectory(tmp_path / "run", resume=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_run_names_count_up(tmp_path):
    assert next_run_path("digits", tmp_path) == tmp_path / "digits-1"
    (tmp_path / "digits-1").mkdir()
    (tmp_path / "digits-2").mkdir()
    assert next_run_path("digits", tmp_path) == tmp_path / "digits-3"
