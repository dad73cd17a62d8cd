"""After a power cut any write that was not yet flushed may be lost, and renames may be reordered.

A run's operations are recorded. For each moment the states are built that a disk may be left in:
what was flushed, and of the rest nothing, or all names without their contents, or some of the names
in any order with part of the contents. Each is resumed, and must end in the same bytes.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.faulty_disk import FaultyDisk, Operation
from tests.reliability.tiny_runs import SMALL, TINY, go_on, tiny_run
from tests.training.child_run import Ending, ending

pytestmark = pytest.mark.usefixtures("swift_disk")  # the shim notes what is flushed
Change = list[tuple[str, int | None]]  # names and the file each now stands for


class Disk:
    """What a journal of operations leaves: what is flushed, and what still may be lost."""

    def __init__(self, log: list[Operation]) -> None:
        self.folders: set[str] = set()  # durable ones
        self.names: dict[str, int] = {}  # durable names
        self.waiting: list[tuple[str, Change]] = []  # changes of names, by folder
        self.now: dict[str, int] = {}  # names as the process sees them
        self.flushed: dict[int, bytes] = {}
        self.written: dict[int, bytes] = {}
        self._files = itertools.count()
        for operation in log:
            getattr(self, "do_" + operation.kind.replace("-", "_"))(operation)

    def _change(self, change: Change) -> None:
        self.waiting.append((os.path.dirname(change[-1][0]), change))
        for name, file in change:
            if file is None:
                self.now.pop(name, None)
            else:
                self.now[name] = file

    def do_mkdir(self, o: Operation) -> None:
        self.waiting.append((os.path.dirname(o.path), [(o.path + os.sep, None)]))

    def do_create(self, o: Operation) -> None:
        file = next(self._files)
        self.flushed[file] = self.written[file] = b""
        self._change([(o.path, file)])

    def do_write(self, o: Operation) -> None:
        before = self.written[self.now[o.path]]
        kept, after = before[: o.offset].ljust(o.offset, b"\0"), o.offset + len(o.data)
        self.written[self.now[o.path]] = kept + o.data + before[after:]

    def do_truncate(self, o: Operation) -> None:
        self.written[self.now[o.path]] = b""

    def do_fsync(self, o: Operation) -> None:
        self.flushed[self.now[o.path]] = self.written[self.now[o.path]]

    def do_sync_folder(self, o: Operation) -> None:
        for _, change in [w for w in self.waiting if w[0] == o.path]:
            self.apply(change, self.names, self.folders)
        self.waiting = [w for w in self.waiting if w[0] != o.path]

    def do_replace(self, o: Operation) -> None:
        self._change([(o.path, None), (o.target, self.now[o.path])])

    def do_link(self, o: Operation) -> None:
        self._change([(o.target, self.now[o.path])])

    def do_unlink(self, o: Operation) -> None:
        self._change([(o.path, None)])

    @staticmethod
    def apply(change: Change, names: dict[str, int], folders: set[str]) -> None:
        for name, file in change:
            if name.endswith(os.sep):
                folders.add(name.rstrip(os.sep))
            elif file is None:
                names.pop(name, None)
            else:
                names[name] = file

    def left(self, run: Path, how: str, chance: random.Random) -> None:
        """Make `run` one of the states that this disk may be found in."""
        names, folders, waiting = dict(self.names), set(self.folders), list(self.waiting)
        if how == "flushed":
            waiting = []
        elif how == "reordered":
            waiting = chance.sample(waiting, chance.randint(0, len(waiting)))
        for _, change in waiting:
            self.apply(change, names, folders)
        base = run.parent / "whole"
        for folder in sorted(folders):
            if base == Path(folder) or base in Path(folder).parents:
                (run / Path(folder).relative_to(base)).mkdir(parents=True, exist_ok=True)
        for name, file in names.items():
            place = run / Path(name).relative_to(base)
            if place.parent.is_dir():  # else the folder itself was lost, with what is in it
                place.write_bytes(self._contents(file, how, chance))

    def _contents(self, file: int, how: str, chance: random.Random) -> bytes:
        flushed, written = self.flushed[file], self.written[file]
        if how != "reordered" or not written.startswith(flushed):
            return flushed
        more = written[len(flushed) :][: chance.randint(0, len(written))]
        return flushed + (more if chance.random() < 0.5 else b"\0" * len(more))


def recorded(root: Path, spec: dict) -> tuple[list[Operation], Ending]:
    disk = FaultyDisk(root)
    with disk.below():
        tiny_run(root / "whole", spec)
    return disk.log, ending(root / "whole")


def survives(root: Path, spec: dict, ways: tuple[str, ...]) -> int:
    log, whole = recorded(root, spec)
    chance, tried = random.Random(1), 0
    for moment, how in itertools.product(range(len(log) + 1), ways):
        run = root / f"run-{tried}"
        Disk(log[:moment]).left(run, how, chance)
        assert go_on(run, spec) == whole, (moment, how)
        tried += 1
    return tried


def test_what_was_flushed_is_enough_at_every_moment(tmp_path: Path) -> None:
    assert survives(tmp_path, TINY, ("flushed", "names only")) > 140


@pytest.mark.slow
def test_lost_and_reordered_writes_at_every_moment(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    tried = survives(tmp_path, SMALL, ("flushed", "reordered"))
    tell(f"power cuts tried: {tried}, runs lost: 0")


def test_a_finished_run_is_flushed_to_the_last_byte(tmp_path: Path) -> None:
    log, whole = recorded(tmp_path, TINY)
    Disk(log).left(tmp_path / "found", "flushed", random.Random(0))
    assert ending(tmp_path / "found")[1] == whole[1]
    kept = {name: data for name, data in ending(tmp_path / "found")[0].items() if name in whole[0]}
    assert kept == whole[0]


def test_a_run_that_flushes_nothing_would_be_caught(tmp_path: Path) -> None:
    """Without its flushes the recorded run leaves nothing that a power cut spares."""
    log, _ = recorded(tmp_path, TINY)
    without = [o for o in log if o.kind not in ("fsync", "sync-folder")]
    Disk(without).left(tmp_path / "found", "flushed", random.Random(0))
    assert not (tmp_path / "found").exists()
    Disk([o for o in log if o.kind != "fsync"]).left(
        tmp_path / "empty", "flushed", random.Random(0)
    )
    assert all(not p.read_bytes() for p in (tmp_path / "empty").rglob("*") if p.is_file())
