"""A command whose streams came closed or cannot be written: no traceback, and no run is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minivae.runs.fsck import check_run

ROOT = Path(__file__).resolve().parents[2]
TRAIN = "train --backend numpy --hidden 6 --epochs 2 --no-pictures --out run"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


def shell(words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`minivae WORDS`, redirections and all."""
    return subprocess.run(
        ["sh", "-c", f'"$0" -m minivae {words}', sys.executable], cwd=cwd, text=True,
        capture_output=True, timeout=120,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"},
    )  # fmt: skip


def test_without_stderr_the_result_is_still_one_json_object(tmp_path: Path) -> None:
    done = shell(f"{TRAIN} --json 2>&-", tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["epochs"] == 2 and done.stdout.count("\n") == 1
    assert check_run(tmp_path / "run").sound


def test_without_any_stream_a_run_is_made_and_no_file_of_it_is_written_into(tmp_path: Path) -> None:
    done = shell(f"{TRAIN} <&- >&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert check_run(tmp_path / "run").sound


def test_a_fault_without_stderr_is_told_by_the_code_alone(tmp_path: Path) -> None:
    done = shell("train --latent -1 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_onto_a_full_disk_saves_and_says_why(tmp_path: Path) -> None:
    done = shell(f"{TRAIN} >/dev/full", tmp_path)
    assert done.returncode == 141 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("stopped, as its output cannot be written (no space left on ")
    assert f"minivae train --resume {tmp_path / 'run'}" in done.stderr or "nothing" in done.stderr
    assert shell("info >/dev/full 2>/dev/full", tmp_path).returncode == 1


def test_what_a_command_starts_has_the_streams_too(tmp_path: Path) -> None:
    """A worker without stderr ends at once: a sweep with --jobs 2 and 2>&- lost every run."""
    child = "import os; [os.fstat(number) for number in range(3)]"
    code = (
        "from minivae.cli.main import open_closed_streams as o; import subprocess as s, sys; o(); "
        f"sys.exit(s.call([sys.executable, '-c', '{child}']))"
    )
    for closed in ("2>&-", "<&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code])
        assert done.returncode == 0, closed
