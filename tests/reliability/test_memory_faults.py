"""The n-th allocation of a run fails: the run ends in one line or not at all, and can go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from minivae.cli.faults import describe, exit_code
from tests.reliability.tiny_runs import memory_folder
from tests.training.child_run import ROOT

pytest.importorskip("_testcapi", reason="this Python was built without its own tests")
SCRIPT = Path(__file__).with_name("failing_memory.py")


def lost_memory(count: int, folder: Path) -> Counter[str]:
    """How so many runs ended whose memory failed; each must have been resumed to the same bytes."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    with memory_folder(folder) as root:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(count), str(root)],
            capture_output=True, text=True, timeout=900,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
                 "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == count and all(line[3] == "same" for line in lines), done.stdout
    return Counter(line[0] for line in lines)


def test_an_allocation_that_fails_loses_no_run(tmp_path: Path) -> None:
    ends = lost_memory(60, tmp_path)
    assert ends["0"] < 30, "hardly an allocation failed"


@pytest.mark.slow
def test_many_allocations_that_fail_lose_no_run(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    ends = lost_memory(500, tmp_path)
    words = {"0": "went on", "256": "ended in one line", "512": "another error"}
    how = ", ".join(f"{words.get(end, 'died')} {number}" for end, number in sorted(ends.items()))
    tell(f"failed allocations tried: {sum(ends.values()):,} ({how}), runs lost: 0")


def test_memory_that_is_full_is_said_in_one_line() -> None:
    for fault in (MemoryError(), MemoryError("Unable to allocate 3 GiB")):
        text = describe(fault)
        assert text.startswith("not enough memory") and "smaller batch" in text
        assert exit_code(fault) == 1
