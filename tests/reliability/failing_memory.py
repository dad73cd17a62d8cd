"""Runs in forked processes in which Python's n-th allocation fails.

    python failing_memory.py COUNT FOLDER

Every second one of COUNT takes the next n from 1 on, the others an n from the whole run (some
40,000 allocations), most of them early, where a run is set up. Prints a line for each: how the
process ended, and whether its run then came to the same bytes. A process may die of it; its run
may not.
"""

from __future__ import annotations

import _testcapi
import os
import random
import shutil
import sys
from pathlib import Path

from minivae.runs.errors import RunError
from tests.reliability.tiny_runs import TINY, go_on, tiny_run
from tests.training.child_run import ending


def attempt(run: Path, at: int, length: int) -> int:
    """Train in a child whose allocations from number `at` on fail, `length` of them; its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a dying interpreter writes at length
    status = 3
    try:
        _testcapi.set_nomemory(at, at + length)
        tiny_run(run, TINY)
        status = 0
    except (MemoryError, RunError):
        status = 1
    except BaseException:  # such as SystemError, of a library that did not expect it
        status = 2
    finally:
        _testcapi.remove_mem_hooks()
        os._exit(status)


def main() -> None:
    count, root, chance = int(sys.argv[1]), Path(sys.argv[2]), random.Random(2)
    os.fsync = lambda handle: None  # type: ignore[assignment]
    tiny_run(root / "whole", TINY)
    whole = ending(root / "whole")
    for number in range(count):
        run = root / f"{number}"
        at = number // 2 + 1 if number % 2 else int(10 ** chance.uniform(0, 4.6))
        length = chance.choice((1, 1, 5, 10**6))
        status = attempt(run, at, length)
        same = go_on(run) == whole
        print(status, at, length, "same" if same else "LOST", flush=True)
        shutil.rmtree(run)


if __name__ == "__main__":
    main()
