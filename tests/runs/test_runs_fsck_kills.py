"""`minivae fsck` of what a kill leaves of a run: notes, never damage; and damage is no kill's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from minivae.cli.train_settings import epochs_done
from minivae.runs.checkpoint import write_checkpoint
from minivae.runs.errors import RunError
from minivae.runs.fsck import check_run
from tests.reliability.faulty_disk import FaultyDisk
from tests.reliability.test_fault_points import disturbed, recorded
from tests.reliability.tiny_runs import SMALL, TINY, Lines, go_on, memory_folder, tiny_run
from tests.training.child_run import run_here

pytestmark = pytest.mark.usefixtures("swift_disk")
INSIDE = {**SMALL, "train": {**SMALL["train"], "epochs": 1, "batch_size": 5, "keep": 3}}
LONG = {**TINY, "train": {**TINY["train"], "epochs": 5}}


def damaged(run: Path) -> dict[str, str]:
    return {f.file: f.words for f in check_run(run).findings if f.state == "damaged"}


def test_no_kill_while_checkpoints_within_an_epoch_are_dropped_is_damage(tmp_path):
    """Two of them are kept, whatever --keep says of those at an epoch's end."""
    with memory_folder(tmp_path) as root:
        log, _ = recorded(root, INSIDE)
        dropping = [at for at, one in enumerate(log) if one.kind == "unlink"]
        halves = 0
        for at in dropping:
            run = root / f"{at}"
            disturbed(run, INSIDE, at, "dies")
            assert damaged(run) == {}, log[at]
            halves += any("without its manifest" in f.words for f in check_run(run).findings)
        assert halves > 2


def test_a_lost_manifest_of_the_best_checkpoint_is_damage_however_old_it_is(tmp_path):
    run = tmp_path / "run"
    run_here({"train": {"epochs": 1, "keep": 1}}, run)
    run_here({"train": {"epochs": 4, "keep": 1, "lr": 3.0}}, run, resume=True)
    newest = json.loads((run / "checkpoints" / "epoch-0004.json").read_text())
    assert newest["progress"]["best_epoch"] == 1
    (run / "checkpoints" / "epoch-0001.json").unlink()
    assert "checkpoints/epoch-0001.safetensors" in damaged(run)


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)], ids=["more", "fewer"])
def test_no_kill_of_a_resume_that_keeps_more_or_fewer_is_damage(tmp_path, before, after):
    """How many are kept is on the disk before one is dropped by it."""
    spec = {**LONG, "train": {**LONG["train"], "keep": before}}
    other = {**LONG, "train": {**LONG["train"], "keep": after}}
    with memory_folder(tmp_path) as root:
        log, _ = recorded(root, spec)
        drops = [at for at, one in enumerate(log) if one.kind == "unlink" and "epoch-" in one.path]
        dropping = [at for at in drops if not log[at].path.endswith(".tmp")]
        killed = dropping[-1] if dropping else len(log) - 1
        disturbed(root / "begun", spec, killed, "dies")
        disk = FaultyDisk(root / "again")
        shutil.copytree(root / "begun", root / "again")
        with disk.below():
            go_on(root / "again", other)
        assert len(disk.log) > 4
        for at in range(len(disk.log)):
            run = root / f"{at}"
            shutil.copytree(root / "begun", run)
            disturbed(run, other, at, "dies", resume=True)
            assert damaged(run) == {}, disk.log[at]
            shutil.rmtree(run)
        assert damaged(root / "again") == {}


def test_a_first_checkpoint_without_its_manifest_costs_nothing_and_that_is_said(tmp_path):
    tiny_run(tmp_path / "run", {**TINY, "train": {**TINY["train"], "epochs": 1}})
    for name in os.listdir(tmp_path / "run" / "checkpoints"):
        if name != "epoch-0001.safetensors":
            (tmp_path / "run" / "checkpoints" / name).unlink()
    report = check_run(tmp_path / "run")
    assert report.sound and report.left == ["checkpoints/epoch-0001.safetensors"]
    assert "nothing is lost" in report.recover[0]
    assert "starts from the beginning" in report.recover[0]
    go_on(tmp_path / "run")
    assert check_run(tmp_path / "run").left == []


def test_half_a_picture_is_a_note(tmp_path):
    tiny_run(tmp_path / "run")
    (tmp_path / "run" / "pictures" / "curves.png.tmp").write_bytes(b"half")
    (tmp_path / "run" / "mine.tmp").touch()
    report = check_run(tmp_path / "run")
    notes = {f.file: f.words for f in report.findings if f.state == "note"}
    assert "half-written" in notes["pictures/curves.png.tmp"] and report.sound
    assert notes["mine.tmp"] == "no file of a run's"


def test_a_disk_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    tiny_run(tmp_path / "run")

    def broken(path):
        raise OSError(5, "Input/output error", os.fspath(path))

    for call in ("listdir", "scandir"):
        with (
            monkeypatch.context() as patch,
            pytest.raises(RunError, match="check the disk") as told,
        ):
            patch.setattr(os, call, broken)
            check_run(tmp_path / "run")
        assert "input/output error" in str(told.value)


def test_a_checkpoint_of_another_run_stops_no_resume(tmp_path):
    """One of more epochs than the run is to have, and one that is no run's at all."""
    run, other, lines = tmp_path / "run", tmp_path / "other", Lines()
    tiny_run(run)
    tiny_run(other, {**TINY, "train": {**TINY["train"], "epochs": 9, "seed": 1}})
    for end in ("json", "safetensors"):
        shutil.copy(other / f"checkpoints/epoch-0009.{end}", run / "checkpoints")
    write_checkpoint(run / "checkpoints" / "epoch-0008.safetensors", {"W": np.ones(3)}, {})
    assert epochs_done(run) == 2
    tiny_run(run, {**TINY, "train": {**TINY["train"], "epochs": 3}}, resume=True, reporter=lines)
    said = " ".join(lines.notes)
    assert "epoch-0009.safetensors is another run's: seed 1, not 0" in said
    assert "it is no run's checkpoint" in said and epochs_done(run) == 3
    (run / "config.json").unlink()
    shutil.copy(other / "checkpoints/epoch-0009.json", run / "checkpoints/epoch-0003.json")
    assert epochs_done(run) == 0  # none is left: the resume says so
