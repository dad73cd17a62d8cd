"""Hardware counters of a stretch of work, by Linux's `perf stat` where it is and may be used.

perf is attached to this process and all its threads, so that nothing of the work is changed; the
counts are of the whole stretch. A virtual machine often has no counters: said, never guessed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

EVENTS = ("cycles", "instructions", "branch-misses", "L1-dcache-load-misses", "cache-references",
          "cache-misses")  # fmt: skip
SEPARATOR = ";"
ATTACHING = 0.5  # seconds that perf is given to find the threads; they sleep meanwhile
PATIENCE = 10.0


class NoCounters(RuntimeError):
    """Nothing can be counted here; the message says why."""


def read(
    work: Callable[[], None], program: Sequence[str] = ("perf",), events: Sequence[str] = EVENTS
) -> dict[str, int]:
    """Event -> its count while `work` ran; NoCounters, with the reason, where there is none."""
    found = shutil.which(program[0])
    if found is None:
        raise NoCounters(f"no hardware counters: {program[0]} is not installed (linux-perf)")
    asked = ["stat", "-x", SEPARATOR, "-e", ",".join(events), "-p", str(os.getpid())]
    nothing = subprocess.DEVNULL
    with subprocess.Popen([found, *program[1:], *asked], stdin=nothing, stdout=nothing,
                          stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        try:
            time.sleep(ATTACHING)
            if process.poll() is None:
                work()
                process.send_signal(signal.SIGINT)  # it prints what it has, and ends
            _, told = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise NoCounters(f"no hardware counters: {program[0]} does not end") from None
        finally:
            process.kill()
    return counts(told, events)


def counts(told: str, events: Sequence[str]) -> dict[str, int]:
    """perf's lines, "12345;;cycles;…", as numbers; what is not counted here is left out."""
    fields = (line.split(SEPARATOR) for line in told.splitlines())
    named = {f[2].partition(":")[0]: f[0] for f in fields if len(f) > 2}
    found = {event: int(named[event]) for event in events if named.get(event, "").isdigit()}
    if found:
        return found
    if named:
        raise NoCounters("no hardware counters: this machine's are hidden (a virtual machine?)")
    reason = next((line.strip() for line in told.splitlines() if line.strip()), "perf said nothing")
    raise NoCounters(f"no hardware counters: {reason[:160]}")


def words(found: dict[str, int], updates: int) -> str:
    """The counts of an update, in one line."""
    each = ", ".join(f"{event} {count / updates:,.0f}" for event, count in found.items())
    if found.get("cycles") and "instructions" in found:
        each += f"; {found['instructions'] / found['cycles']:.2f} instructions a cycle"
    return f"an update, all threads: {each}"
