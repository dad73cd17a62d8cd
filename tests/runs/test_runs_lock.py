"""The lock: one writer at a time, through no link, whatever becomes of its file."""

from __future__ import annotations

import os
import types

import pytest

from minivae.runs import lock as module
from minivae.runs.directory import RunDirectory
from minivae.runs.errors import RunError
from minivae.runs.lock import FAR, RunLock, running_process

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    return path


def enter(run, resume=False):
    with RunDirectory(run, resume=resume) as directory:
        directory.claim(print)


def test_a_link_in_its_place_is_not_followed(tmp_path, victim):
    run = tmp_path / "run"
    run.mkdir()
    (run / "lock").symlink_to(victim)
    with pytest.raises(RunError, match=r"symbolic link; remove it; look at .*/run/lock"):
        enter(run)
    assert victim.read_bytes() == b"precious"


def test_a_second_name_of_another_file_is_not_written_into(tmp_path, victim):
    run = tmp_path / "run"
    run.mkdir()
    os.link(victim, run / "lock")
    enter(run)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path, make):
    (tmp_path / "run").mkdir()
    make(tmp_path / "run" / "lock")
    with pytest.raises(RunError, match=r"cannot use .*lock"):
        enter(tmp_path / "run")


@pytest.mark.parametrize("name", ["config.json.tmp", "metrics.jsonl.tmp", "checkpoints/probe.tmp"])
def test_a_link_under_a_temporary_name_is_not_followed(tmp_path, victim, name):
    run = tmp_path / "run"
    (run / name).parent.mkdir(parents=True)
    (run / name).symlink_to(victim)
    with RunDirectory(run, resume=False) as directory:
        directory.write_config({"model": {}, "train": {}})
        directory.metrics.rewrite([])
    assert victim.read_bytes() == b"precious"
    assert not list(run.rglob("*.tmp"))


def test_who_removes_the_file_does_not_let_a_second_writer_in(tmp_path):
    with RunDirectory(tmp_path / "run", resume=False):
        (tmp_path / "run" / "lock").unlink()
        with pytest.raises(RunError, match="in use by process"):
            enter(tmp_path / "run", resume=True)


def test_the_process_that_holds_it_is_named_while_it_runs(tmp_path):
    with RunDirectory(tmp_path / "run", resume=False):
        assert running_process(tmp_path / "run" / "lock") == os.getpid()
    for content in (b"", b"none", b"-1", b"999999999999999999999", b"\xff" * 9):
        (tmp_path / "lock").write_bytes(content)
        assert running_process(tmp_path / "lock") is None


def test_windows_locks_a_byte_beyond_the_number(tmp_path, monkeypatch):
    """There is no Windows here: its call is stood in for, and refuses as it would."""
    held = []

    def locking(descriptor, mode, size):
        place = os.lseek(descriptor, 0, os.SEEK_CUR), size
        if place in held:
            raise PermissionError(13, "Permission denied")
        held.append(place)

    monkeypatch.setattr(module, "fcntl", None)
    monkeypatch.setattr(module, "_lock_folder", lambda descriptor: None)
    stand_in = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setattr(module, "msvcrt", stand_in)
    first, second = RunLock(tmp_path), RunLock(tmp_path)
    first.take()
    first.sign()
    assert held == [(FAR, 1)] and (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        second.take()
    first.release()
