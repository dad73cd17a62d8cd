"""What else the machine did during a race: other processes, time stolen, the clock's frequency."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

BUSY = 0.25  # cores used by others above which a race is flagged
STOLEN = 0.02  # share of the time that a hypervisor gave to others


_affinity = getattr(os, "sched_getaffinity", None)


def cores() -> list[int]:
    """The cores that this process may use."""
    if _affinity:
        return sorted(_affinity(0))
    return list(range(os.cpu_count() or 1))


def cache_sizes() -> dict[str, int]:
    """Bytes of L1d, L2 and L3 as the system reports them, with modest guesses where it does not."""
    sizes = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind = (entry / "type").read_text().strip()
            text = (entry / "size").read_text().strip()
            level = "L" + (entry / "level").read_text().strip()
        except OSError:
            continue
        if kind != "Instruction" and text.endswith("K"):
            sizes[level] = int(text[:-1]) << 10
    return sizes


def _ticks() -> tuple[float, float]:
    """(seconds that all cores were busy, seconds stolen) since the machine started."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft, steal = (int(w) for w in words[:8])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + soft) / tick, steal / tick


def seconds_of(pid: int) -> float:
    """Processor time of a process so far, and of those it started that have ended.

    A compiler that a peer calls is the race's work, not a neighbour's. 0 where the system does
    not say.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def family(pid: int) -> list[int]:
    """A process, what it has started, and so on; the process alone where the system is silent."""
    found, asked = [], [pid]
    while asked:
        found.append(asked.pop())
        for task in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                asked += [int(word) for word in task.read_text().split()]
    return found


def megahertz() -> float | None:
    """The mean frequency of the cores just now, where the system reports one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    found = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return round(sum(found) / len(found), 1) if found else None


class LoadWatch:
    """Between start and report: how many cores others used, and how much time was stolen."""

    def __init__(self) -> None:
        self.begin, self.frequency = time.perf_counter(), megahertz()
        try:
            self.ticks: tuple[float, float] | None = _ticks()
        except (OSError, ValueError):
            self.ticks = None

    def seconds(self) -> float:
        """Since the start, by the wall's clock."""
        return time.perf_counter() - self.begin

    def report(self, ours: float) -> dict[str, Any]:
        """`ours`: processor seconds of the race itself. `busy` says why it is flagged, or ''."""
        seconds = max(self.seconds(), 1e-9)
        found: dict[str, Any] = {"seconds": round(seconds, 2), "mhz": [self.frequency, megahertz()]}
        if self.ticks is None:
            return {**found, "busy": "", "note": "this system does not say what else ran"}
        busy, stolen = (now - then for now, then in zip(_ticks(), self.ticks, strict=True))
        others, share = max(0.0, busy - ours) / seconds, stolen / seconds / (os.cpu_count() or 1)
        found |= {"other_cores": round(others, 2), "stolen": round(share, 4)}
        found |= {"load": [round(x, 2) for x in os.getloadavg()]}
        why = []
        if others > BUSY:
            why.append(f"other processes used {others:.1f} cores")
        if share > STOLEN:
            why.append(f"{share:.0%} of the time was stolen")
        return {**found, "busy": "; ".join(why)}


def beside(roof: dict[str, Any]) -> list[str]:
    """A line for roofs that were measured beside other work, and may be higher than they look."""
    if not roof.get("busy"):
        return []
    return [f"BUSY MACHINE while the roofs were measured, which lowers them: {roof['busy']}"]
