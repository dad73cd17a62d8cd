"""A disk that fills or may not be written: said before training, or a good checkpoint is left."""

from __future__ import annotations

import os
import subprocess

import pytest

from minivae.runs import directory as run_module
from minivae.runs.errors import RunError
from minivae.runs.load import load_model
from tests.training.child_run import run_here

SPEC = {"train": {"epochs": 40, "lr": 1e-3}, "model": {"hidden": (300,)}}  # 0.2 MB a checkpoint


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, 2 MB; skipped where mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_too_small_is_refused_before_training(small_disk):
    with pytest.raises(RunError, match="MB free and this run needs"):
        run_here(SPEC, small_disk / "run")
    assert list(small_disk.iterdir()) == []


def test_a_read_only_disk_is_refused_before_training(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RunError, match=r"not writable|read-only"):
        run_here(SPEC, small_disk / "run")


def test_when_the_disk_fills_later_the_last_good_checkpoint_is_whole(small_disk, monkeypatch):
    monkeypatch.setattr(run_module, "MARGIN_BYTES", 0)
    filler = small_disk / "filler"

    def fill():  # leaves room for less than a checkpoint once the run is on its way
        epochs = len((small_disk / "run" / "metrics.jsonl").read_bytes().splitlines())
        if epochs >= 4 and not filler.exists():
            free = os.statvfs(small_disk)
            filler.write_bytes(b"\0" * (free.f_bavail * free.f_bsize - 60_000))
        return False

    with pytest.raises(RunError, match="no space left on device") as caught:
        run_here(SPEC, small_disk / "run", stop=fill)
    assert "\n" not in str(caught.value)
    kept = load_model(small_disk / "run", "last")[3]["progress"]["epoch"]
    assert kept >= 4
    assert not list((small_disk / "run" / "checkpoints").glob("*.tmp"))
    filler.unlink()
    result = run_here(
        {**SPEC, "train": {**SPEC["train"], "epochs": kept + 2}}, small_disk / "run", resume=True
    )
    assert result.epochs == kept + 2
