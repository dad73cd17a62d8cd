"""Every point at which a disk can fail or a process die, one after another: then the same bytes.

A run is recorded once; then, for each change of the disk that it makes, it runs again with that
one failing, failing from then on, done by half, or the process dying before it. What is left is
resumed as a person would, and must end in the files of the run that nothing disturbed.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minivae.runs.directory import is_begun
from minivae.runs.errors import RunError
from minivae.runs.fsck import check_run
from minivae.runs.load import load_run
from tests.reliability.faulty_disk import READING, Died, FaultyDisk, Operation
from tests.reliability.tiny_runs import SMALL, TINY, go_on, memory_folder, tiny_run
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


def survives_all(root: Path, spec: dict[str, Any]) -> int:
    """Try every point, each with every fault; how many were tried."""
    log, whole = recorded(root, spec)
    tried = points(log)
    for number, (at, fault) in enumerate(tried):
        run = root / f"{number}"
        disturbed(run, spec, at, fault)
        require_no_dead_end(run)
        if fault in ("dies", "torn") and run.is_dir() and any(run.iterdir()):
            damaged = [f for f in check_run(run).findings if f.state == "damaged"]
            assert not damaged, (at, fault, log[at])  # a kill is no damage
        assert go_on(run, spec) == whole, (at, fault, log[at])
        config = json.loads((run / "config.json").read_bytes())
        assert config["train"]["epochs"] == 2 and not list(run.rglob("*.tmp"))
        shutil.rmtree(run)
    return len(tried)


def test_every_fault_point_of_a_small_run(tmp_path: Path) -> None:
    with memory_folder(tmp_path) as root:
        assert survives_all(root, TINY) > 200


def begun_run(root: Path, spec: dict[str, Any], at: int | None) -> Path | None:
    """A run whose process died before operation `at`; None stands for no run."""
    if at is None:
        return None
    disturbed(root / "begun", spec, at, "dies")
    return root / "begun"


def resumed(run: Path, begun: Path | None, spec: dict[str, Any], disk: FaultyDisk) -> None:
    """Go on on this disk with what was begun, a copy of which is made at `run`; one clear line."""
    if begun is not None:
        shutil.copytree(begun, run)
    with disk.below():
        try:
            tiny_run(run, spec, resume=begun is not None)
        except Died:
            return
        except RunError as error:
            assert "\n" not in str(error) and str(run) in str(error), (disk.at, disk.fault)


def survives_reads(root: Path, spec: dict[str, Any], died: int | None, *, all_kinds: bool) -> int:
    """Every read (and all else, where `all_kinds`) of a resume fails; how many were tried."""
    root.mkdir()
    whole = recorded(root, spec)[1]
    begun = begun_run(root, spec, died)
    disk = FaultyDisk(root / "again", reads=True)
    resumed(root / "again", begun, spec, disk)
    assert ending(root / "again") == whole
    tried = [(n, f) for n, f in points(disk.log) if all_kinds or disk.log[n].kind in READING]
    for number, (at, fault) in enumerate(tried):
        run = root / f"{number}"
        resumed(run, begun, spec, FaultyDisk(run, at, fault, reads=True))
        assert go_on(run, spec) == whole, (at, fault, disk.log[at])
        assert not list(run.rglob("*.tmp")), (at, fault)
        assert fault != "once" or not list(run.rglob("*.damaged-*")), (at, disk.log[at])
        shutil.rmtree(run)
    return len(tried)


def test_every_read_of_a_resume_fails(tmp_path: Path) -> None:
    with memory_folder(tmp_path) as root:
        half = len(recorded(root, TINY)[0]) // 2
        assert survives_reads(root / "half", TINY, half, all_kinds=False) > 100


@pytest.mark.slow
def test_every_operation_of_a_resume_fails(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with memory_folder(tmp_path) as root:
        last = len(recorded(root, TINY)[0])
        died = (last // 2, last - 2)  # inside an epoch, and nearly done
        tried = [survives_reads(root / f"{at}", TINY, at, all_kinds=True) for at in died]
    tell(f"reads and writes of a resume that fail tried: {sum(tried):,}, runs lost: 0")


@pytest.mark.slow
def test_every_fault_point_of_a_larger_run(tmp_path: Path, tell: Callable[[str], None]) -> None:
    with memory_folder(tmp_path) as root:
        tried = survives_all(root, SMALL)
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
