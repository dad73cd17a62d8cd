"""How many cores this process may use: those it may run on, or fewer in a container."""

from __future__ import annotations

import math
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
# Where a container's account lies: microseconds that it may use, or "max" or -1, of so many.
ACCOUNTS = (
    (_ROOT / "cpu.max",),
    (_ROOT / "cpu" / "cpu.cfs_quota_us", _ROOT / "cpu" / "cpu.cfs_period_us"),  # before 2020
)


def allowed_cores() -> int:
    """At least 1; of a container's share of a core, the whole one."""
    try:
        there = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        there = os.cpu_count() or 1
    return max(1, math.ceil(min(there, _of_container())))


def _of_container() -> float:
    """The cores whose time this process's container may use; infinite where nothing limits it."""
    for files in ACCOUNTS:
        try:
            quota, period = map(int, " ".join(file.read_text() for file in files).split())
        except (OSError, ValueError):  # there is no such account, or it says "max"
            continue
        if quota > 0 and period > 0:
            return quota / period
    return math.inf
