"""How many cores there are for this process: its own, less what its container leaves it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

cores = pytest.importorskip("minivae_kernels.cores")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the container's accounts lie, on a machine of 64 cores."""
    new, *old = "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"
    accounts = (tmp_path / new,), tuple(tmp_path / name for name in old)
    monkeypatch.setattr(cores, "ACCOUNTS", accounts)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("said", "there"),
    [("max 100000", 64), ("800000 100000", 8), ("150000 100000", 2), ("25000 100000", 1),
     ("12800000 100000", 64), ("", 64), ("0 100000", 64), ("100000 0", 64), ("much", 64)],
)  # fmt: skip
def test_a_containers_quota_counts(folder: Path, said: str, there: int) -> None:
    (folder / "cpu.max").write_text(said + "\n")
    assert cores.allowed_cores() == there


@pytest.mark.parametrize(("quota", "there"), [("-1", 64), ("300000", 3), ("10000", 1)])
def test_an_older_systems_quota_counts(folder: Path, quota: str, there: int) -> None:
    (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
    assert cores.allowed_cores() == 64  # of no period
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert cores.allowed_cores() == there


def test_a_system_that_does_not_tell_has_its_cores(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cores.allowed_cores() == 64
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, there in ((5, 5), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert cores.allowed_cores() == there
