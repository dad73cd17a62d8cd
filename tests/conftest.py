"""Fixtures that every test may use, and how many processes share the tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST_WORKERS = 4  # each compiles and trains with two threads of its own

try:  # the same examples every time: `--hypothesis-profile=default` draws others
    from hypothesis import settings
except ImportError:
    pass
else:
    settings.register_profile("same", derandomize=True, print_blob=True, deadline=None)
    settings.load_profile("same")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own, which reads what is set here
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share folders of tests among the cores, as `-n CORES --dist worksteal` would.

    Single files start no worker, nor does what wants to see or hold the tests (`-s`, `--pdb`), one
    core, or an environment without pytest-xdist. An own `-n` counts: `-n 0` is one process.
    """
    option = config.option
    if getattr(option, "numprocesses", 0) is not None or hasattr(config, "workerinput"):
        return
    folders = any(Path(argument).is_dir() for argument in config.args)
    held = option.capture == "no" or option.usepdb or option.collectonly
    if folders and not held and usable_cores() > 1:
        option.numprocesses = min(usable_cores(), MOST_WORKERS)
        option.dist = "worksteal" if option.dist == "no" else option.dist
        for pool in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
            os.environ.setdefault(
                pool, "1"
            )  # workers inherit it: idle threads of theirs would spin


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@pytest.fixture
def tell(
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> Callable[[str], None]:
    """Say a line past the capture: at once, or at the session's end where workers run the tests."""

    def say(line: str) -> None:
        if hasattr(request.config, "workerinput"):
            record_property("told", line)
            return
        with capsys.disabled():
            print(f"\n{line}", flush=True)

    return say


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Add to a number that is told of all tests together at the session's end."""
    return lambda what, number: record_property("counted", (what, number))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for kind in terminalreporter.stats.values() for r in kind]
    told = [p for r in reports if getattr(r, "when", None) == "call" for p in r.user_properties]
    sums: Counter[str] = Counter()
    for name, value in told:
        if name == "told":
            terminalreporter.write_line(value)
        elif name == "counted":
            sums[value[0]] += value[1]
    for what, number in sums.items():
        terminalreporter.write_line(f"{number:,} {what}")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data sets; the test is skipped, saying so, where it is absent."""
    named = os.environ.get("MINIVAE_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "mnist").is_dir():
        pytest.skip(f"needs the real data sets: {folder} is absent (set MINIVAE_TEST_DATA)")
    return folder


@pytest.fixture
def swift_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out fsync, which guards against power cuts only and is slow on some disks."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
