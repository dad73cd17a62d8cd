"""The process that names a killed rank, without MPI: what it says, and when it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minivae.processes import RANKS, SIZES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
ROOT = Path(__file__).resolve().parents[2]


def rank(code: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Rank 2 of 4, which does `code` once its watcher stands by."""
    before = "import os, signal, sys, time; from minivae.cli.rank_watcher import *; stand_by()\n"
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    environment = {**os.environ, "PYTHONPATH": path, "PMI_RANK": "2", "PMI_SIZE": "4"}
    return subprocess.run(
        [sys.executable, "-c", before + code],
        env=environment, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def test_a_killed_rank_is_one_line(tmp_path):
    run = tmp_path / "a run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.json").write_text('{"progress": {"epoch": 3, "t": 141}}')
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    done = rank(f"print(os.getpid()); sys.stdout.flush(); tell_run({str(run)!r}); {killed}")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: rank 2 (process {int(done.stdout)} on {os.uname().nodename}) was killed (SIGKILL: "
        "by hand, or by a system short of memory): the job ends; last checkpoint: epoch 3, update "
        f"141. Go on with: mpiexec -n 4 minivae train --resume '{run}'\n"
    )
    early = rank(killed)
    assert early.returncode == 1 and early.stderr.endswith("give the same command again\n")


@pytest.mark.parametrize("pointer", [None, "", "{", "[]", '{"progress": {"epoch": "x", "t": 1}}'])
def test_a_pointer_that_cannot_be_read_stops_no_watcher(tmp_path, pointer):
    (tmp_path / "checkpoints").mkdir()
    if pointer is not None:
        (tmp_path / "checkpoints" / "last.json").write_text(pointer)
    done = rank(f"tell_run({str(tmp_path)!r}); os.abort()")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "SIGABRT" in done.stderr and "no checkpoint" in done.stderr


@pytest.mark.parametrize(
    ("ends", "code"),
    [("sys.exit(3)", 3), ("pass", 0), ("os.kill(os.getpid(), signal.SIGTERM)", 143)],
)
def test_of_every_other_end_the_watcher_says_nothing(ends, code):
    done = rank(ends)
    assert (done.returncode, done.stderr) == (code, "")


def test_a_launchers_signal_to_the_group_is_the_ranks():
    done = rank("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
                "time.sleep(0.3); os.kill(os.getppid(), signal.SIGTERM)\n"
                "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)")  # fmt: skip
    assert (done.returncode, done.stderr) == (5, "")


def test_a_rank_whose_watcher_is_killed_ends_in_one_line():
    began = time.monotonic()
    done = rank("os.kill(os.getppid(), signal.SIGKILL); time.sleep(50)")
    assert time.monotonic() - began <= 30 and done.returncode == -signal.SIGKILL
    assert len(done.stderr.splitlines()) == 1 and "error: rank 2" in done.stderr
    assert "by which it was started" in done.stderr


def test_a_watcher_that_was_stopped_ends_with_its_rank():
    assert rank("os.kill(os.getppid(), signal.SIGSTOP); time.sleep(0.3)").returncode == 0


def test_the_launcher_is_told_to_end_once_it_has_read_the_line():
    """MPICH's, of which the abort would lose a line that still waits in its pipe."""
    said, line = os.pipe()
    heard, abort = os.pipe()
    with watcher_of_a_killed_rank(line, abort) as watcher:
        os.close(line)
        os.close(abort)
        assert select.select([said], [], [], 30)[0]
        assert select.select([heard], [], [], 0.3)[0] == []
        assert b"error: rank 2 (process" in os.read(said, 65536)
        assert select.select([heard], [], [], 10)[0]
        assert os.read(heard, 65536) == b"cmd=abort exitcode=1 message=abort\n"
        assert watcher.wait(30) == 1
    os.close(said)
    os.close(heard)


def test_a_launcher_that_never_reads_is_told_to_end_all_the_same():
    said, line = os.pipe()
    heard, abort = os.pipe()
    with watcher_of_a_killed_rank(line, abort) as watcher:
        assert watcher.wait(30) == 1
    assert os.read(heard, 65536).startswith(b"cmd=abort ")
    for end in (said, line, heard, abort):
        os.close(end)


def watcher_of_a_killed_rank(line: int, abort: int) -> subprocess.Popen[bytes]:
    """As MPICH's launcher starts rank 2 of 4: `line` is its stderr, `abort` hears its PMI."""
    mpich = {"HYDI_CONTROL_FD": "0", "PMI_FD": str(abort), "PMI_RANK": "2", "PMI_SIZE": "4"}
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    code = (
        "import os, signal; from minivae.cli.rank_watcher import stand_by; stand_by()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **mpich}, stderr=line, pass_fds=[abort],
    )  # fmt: skip


def test_one_process_has_no_watcher(monkeypatch):
    from minivae.cli.rank_watcher import stand_by

    for name in (*SIZES, *RANKS):
        monkeypatch.delenv(name, raising=False)
    before = os.getpid()
    stand_by()
    assert os.getpid() == before
