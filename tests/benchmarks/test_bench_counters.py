"""Hardware counters by perf: read where there are any, said where not; a script plays perf."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import counters

if sys.platform == "win32":
    pytest.skip("perf is Linux's", allow_module_level=True)

COUNTED = "120;;cycles:u;9;100.00;;\n300;;instructions:u;9;100.00;2.5;insn per cycle\n"
HIDDEN = "<not supported>;;cycles;0;100.00;;\n<not counted>;;instructions;0;100.00;;\n"

PERF = """#!{python}
import signal, sys
assert sys.argv[1:4] == ["stat", "-x", ";"] and sys.argv[6] == "-p" and int(sys.argv[7]) > 0
if {early!r}:
    sys.exit({early!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    signal.pause()
except KeyboardInterrupt:
    sys.stderr.write({told!r})
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "EVENTS", ("cycles", "instructions"))


def perf(folder: Path, told: str = "", early: str = "") -> list[str]:
    script = folder / "perf"
    script.write_text(PERF.format(python=sys.executable, told=told, early=early))
    script.chmod(0o755)
    return [str(script)]


def test_counts_are_read_while_the_work_runs(tmp_path: Path) -> None:
    ran: list[int] = []
    found = counters.read(lambda: ran.append(1), perf(tmp_path, COUNTED))
    assert ran == [1] and found == {"cycles": 120, "instructions": 300}
    text = counters.words(found, 60)
    assert text == "an update, all threads: cycles 2, instructions 5; 2.50 instructions a cycle"


@pytest.mark.parametrize(
    ("told", "early", "words"),
    [
        (HIDDEN, "", "this machine's are hidden"),
        ("", "", "perf said nothing"),
        ("", "Error: Access to performance monitoring is limited.\nmore", "monitoring is limited"),
    ],
)
def test_where_nothing_is_counted_it_says_why(
    tmp_path: Path, told: str, early: str, words: str
) -> None:
    with pytest.raises(counters.NoCounters, match=words) as raised:
        counters.read(lambda: time.sleep(0.01), perf(tmp_path, told, early))
    assert "\n" not in str(raised.value)


def test_without_perf_and_with_one_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(counters.NoCounters, match="is not installed"):
        counters.read(lambda: None, ["no-such-perf-here"])
    monkeypatch.setattr(counters, "PATIENCE", 0.3)
    deaf = tmp_path / "deaf"
    deaf.write_text("#!/bin/sh\ntrap '' INT\nexec sleep 30\n")
    deaf.chmod(0o755)
    with pytest.raises(counters.NoCounters, match="does not end"):
        counters.read(lambda: None, [str(deaf)])


def test_this_machines_own() -> None:
    """Whatever it has: counts, or one line."""
    try:
        found = counters.read(lambda: subprocess.run(["true"], check=True))
    except counters.NoCounters as reason:
        assert str(reason).startswith("no hardware counters: ")
    else:
        assert all(count >= 0 for count in found.values())
