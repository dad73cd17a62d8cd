"""What counts as the race's own work when a machine is called busy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minivae.racing.load import family, seconds_of
from minivae.racing.problem import own_problem
from minivae.racing.rounds import Options, Race
from minivae.racing.stand import Here

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


class Failing(Here):
    """Out of the race with its first call, on which it spent 7 s."""

    def __init__(self) -> None:
        self.closed = False

    def warm(self) -> float:
        raise ValueError("it has failed")

    def seconds_used(self) -> float:
        """Known when it has been ended, as of a process."""
        return 7.0 if self.closed else 0.0

    def close(self) -> None:
        self.closed = True


def test_what_they_took_who_are_out_is_no_neighbours() -> None:
    problem = own_problem("root", abs, (np.ones(3, np.float32),))
    race = Race(problem, {"failing": Failing}, Options())
    rows, _ = race.run()
    assert "failed" in rows["failing"] and race.used == 7.0
