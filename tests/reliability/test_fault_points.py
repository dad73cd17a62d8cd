"""Every point at which a disk can fail or a process die, one after another: then the same bytes.

A run is recorded once; then, for each change of the disk that it makes, it runs again with that
one failing, failing from then on, done by half, or the process dying before it. What is left is
resumed as a person would, and must end in the files of the run that nothing disturbed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minivae.runs.directory import is_begun
from minivae.runs.errors import RunError
from minivae.runs.load import load_run
from tests.reliability.faulty_disk import READING, Died, FaultyDisk, Operation
from tests.reliability.tiny_runs import SMALL, TINY, go_on, tiny_run
from tests.training.child_run import Ending, ending

pytestmark = pytest.mark.usefixtures("swift_disk")  # the shim notes what is flushed
FAULTS = ("once", "for good", "torn", "dies")


def recorded(root: Path, spec: dict[str, Any]) -> tuple[list[Operation], Ending]:
    """What a run asks of the disk, and where it ends."""
    disk = FaultyDisk(root / "whole")
    with disk.below():
        tiny_run(root / "whole", spec)
    return disk.log, ending(root / "whole")


def disturbed(run: Path, spec: dict[str, Any], at: int, fault: str, resume: bool = False) -> None:
    """Run until the disk or the process fails; a failure of the disk must be one clear line."""
    with FaultyDisk(run, at, fault).below():
        try:
            if resume:
                go_on(run, spec)
            else:
                tiny_run(run, spec)
        except Died:
            return
        except RunError as error:
            assert "\n" not in str(error) and str(run) in str(error), (at, fault)


def points(log: list[Operation]) -> list[tuple[int, str]]:
    """Every operation with every fault. Half of anything but a write or read is one that is done;
    to die before something is read is to die before what comes next."""
    left_out = {kind: ("dies",) if kind == "read" else ("dies", "torn") for kind in READING}
    return [
        (at, fault)
        for at, operation in enumerate(log)
        for fault in FAULTS
        if fault not in left_out.get(operation.kind, () if operation.kind == "write" else ("torn",))
    ]


def require_no_dead_end(run: Path) -> None:
    """What a fault leaves can be resumed, or says how to start it again, which is then accepted."""
    if not run.is_dir():
        return
    begun = is_begun(run)
    try:
        load_run(run)
    except RunError as error:
        assert not begun and f"minivae train --out {run}" in str(error)
    else:
        assert begun


def survives_all(root: Path, spec: dict[str, Any], leave_out: tuple[str, ...] = ()) -> int:
    """Try every point, each with every fault that is not left out; how many were tried."""
    log, whole = recorded(root, spec)
    tried = [(at, fault) for at, fault in points(log) if fault not in leave_out]
    for number, (at, fault) in enumerate(tried):
        run = root / f"{number}"
        disturbed(run, spec, at, fault)
        require_no_dead_end(run)
        assert go_on(run, spec) == whole, (at, fault, log[at])
        config = json.loads((run / "config.json").read_bytes())
        assert config["train"]["epochs"] == 2 and not list(run.rglob("*.tmp"))
    return len(tried)


def test_every_fault_point_of_a_small_run(tmp_path: Path) -> None:
    assert survives_all(tmp_path, TINY) > 200


@pytest.mark.slow
def test_every_fault_point_of_a_larger_run(tmp_path: Path, tell: Callable[[str], None]) -> None:
    tried = survives_all(tmp_path, SMALL, leave_out=("for good",))  # the small run has it
    tell(f"fault points tried: {tried}, runs lost: 0")


@pytest.mark.slow
def test_a_second_fault_while_the_first_is_mended(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    log, whole = recorded(tmp_path, TINY)
    chance = random.Random(3)
    tried = 150
    for number in range(tried):
        run = tmp_path / f"{number}"
        disturbed(run, TINY, *chance.choice(points(log)))
        for _ in range(chance.randint(1, 3)):
            disturbed(run, TINY, chance.randrange(len(log)), chance.choice(FAULTS), resume=True)
        assert go_on(run, TINY) == whole, number
    tell(f"faults within faults tried: {tried}, runs lost: 0")


def test_the_shim_itself_fails_tears_and_kills(tmp_path: Path) -> None:
    """A disk that never fails would let every test above pass."""
    log, _ = recorded(tmp_path, TINY)
    writes = [at for at, operation in enumerate(log) if operation.kind == "write"]
    big = max(writes, key=lambda at: len(log[at].data))
    for fault in ("torn", "dies"):
        with FaultyDisk(tmp_path / fault, big, fault).below(), pytest.raises(Died):
            tiny_run(tmp_path / fault, TINY)
    torn = [p for p in (tmp_path / "torn").rglob("*.tmp") if p.stat().st_size]
    assert [p.stat().st_size for p in torn] == [len(log[big].data) // 2]
    for fault, words in (("once", "input/output error"), ("for good", "no space left")):
        with FaultyDisk(tmp_path / fault, big, fault).below(), pytest.raises(RunError, match=words):
            tiny_run(tmp_path / fault, TINY)
