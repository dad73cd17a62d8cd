"""A published result's runs and rows as `fsck` sees them, and what that says of a run's end."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil

import numpy as np
import pytest

from minivae.published import carry_out
from minivae.published.fsck import CHECKS, check_data
from minivae.published.record import Protocol
from minivae.published.run import Run
from minivae.runs.fsck_many import check_folder
from minivae.runs.load import load_model
from minivae.runs.strict_json import JsonFault
from tests.published.test_published_frame import SETTINGS, experiment_of, kept, measure, order
from tests.reliability.faulty_disk import Died, FaultyDisk

pytestmark = pytest.mark.usefixtures("swift_disk")


def test_a_run_is_finished_whatever_else_lies_beside_its_checkpoints(tmp_path):
    asked = order(tmp_path / "a")
    carry_out.carry_out(asked)
    path = tmp_path / "a" / "runs" / "seed=0"
    model, config, *_ = load_model(path, "last")
    assert carry_out.is_finished(path, model, config)
    folder = path / "checkpoints"
    (folder / "mine.txt").write_text("a letter")
    (folder / "best.json.damaged-1").write_text("{")
    copy = tmp_path / "elsewhere.safetensors"
    shutil.move(folder / "best.safetensors", copy)
    (folder / "best.safetensors").symlink_to(copy)
    assert carry_out.is_finished(path, model, config)
    for end in ("json", "safetensors"):  # as a kill leaves the last save: `last` not turned yet
        data = (folder / f"epoch-0002.{end}").read_bytes()
        (folder / f"last.{end}").unlink()
        (folder / f"last.{end}").write_bytes(data)
    assert not carry_out.is_finished(path, model, config)


def test_no_kill_of_a_reproduction_is_damage(tmp_path):
    """The files beside its run of an epoch; those in it are tried with any run's."""
    some = Run("some", "digits", {**SETTINGS, "epochs": 1, "batch_size": 500}, rows=900)
    draw = lambda path, outcome: None  # noqa: E731 pictures are drawn past Python's calls
    toy = dataclasses.replace(experiment_of(Protocol((some,), measure, "a second")), draw=draw)
    disk = FaultyDisk(tmp_path / "whole")
    with disk.below():
        kept(order(tmp_path / "whole", experiment=toy))
    assert CHECKS.is_one(tmp_path / "whole")
    assert check_folder(tmp_path / "whole", CHECKS).sound
    beside = [at for at, one in enumerate(disk.log) if "/runs/some/" not in one.path]
    assert len(beside) > 9
    for at in beside:
        folder = tmp_path / f"{at}"
        with FaultyDisk(folder, at, "torn").below(), contextlib.suppress(Died):
            kept(order(folder, experiment=toy))
        report = check_folder(folder, CHECKS)
        assert report.sound, (disk.log[at], report.findings)
        assert CHECKS.is_one(folder) or not [p for p in folder.rglob("*") if p.is_file()]
        shutil.rmtree(folder, ignore_errors=True)


def test_no_changed_bit_of_the_kept_rows_is_a_traceback(tmp_path):
    """One of them says that a member is encrypted, another that it is packed in another way."""
    file = tmp_path / "x.npz"
    np.savez_compressed(file, x_train=np.eye(4, dtype=np.float32), x_test=np.ones((2, 4)))
    whole, told = file.read_bytes(), 0
    assert check_data(file) == "all checksums agree"
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            check_data(file)
        except (JsonFault, OSError) as fault:
            told += "encrypted" in str(fault) or "compression" in str(fault)
    assert told >= 2
