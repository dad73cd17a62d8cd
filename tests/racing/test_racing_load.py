"""What counts as the race's own work when a machine is called busy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from minivae.racing.load import family, seconds_of

BURN = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass\n"


def parent(then: str) -> subprocess.Popen[str]:
    """A process that starts another which burns 0.4 s, and says so before it goes on."""
    start = f"child = subprocess.Popen([sys.executable, '-c', {BURN.format(0.4)!r}])"
    done = "print('done', flush=True)"
    code = "\n".join(["import subprocess, sys", start, then, done, "sys.stdin.read()"])
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system keeps no such figures")
@pytest.mark.parametrize("then", ["child.wait()", "pass"], ids=["ended", "still there"])
def test_a_compiler_is_counted_with_whoever_called_it(then: str) -> None:
    """torch.compile's and JAX's helpers had been taken for a neighbour's work."""
    with parent(then) as process:
        assert process.stdout is not None and process.stdout.readline() == "done\n"
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if sum(map(seconds_of, family(process.pid))) >= 0.38:
                break
            time.sleep(0.05)
        found = sum(map(seconds_of, family(process.pid)))
        process.communicate("")
    assert found >= 0.38
