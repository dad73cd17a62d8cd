"""Other work beside a race: so many processes that never rest, on whatever cores they find."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# Ends by itself if the benchmark is killed.
SPIN = "import os\nwhile os.getppid() == {parent}:\n    for _ in range(10**6): pass"


@contextlib.contextmanager
def busy(count: int) -> Iterator[list[int]]:
    """`count` processes that keep a core each busy, for as long as the block runs; their ids."""
    command = [sys.executable, "-S", "-c", SPIN.format(parent=os.getpid())]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
