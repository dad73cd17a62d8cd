"""metrics.jsonl: whole lines only, whatever a killed process left."""

from __future__ import annotations

import errno

import pytest

from minivae.runs.errors import RunError
from minivae.runs.metrics_log import MetricsLog


@pytest.fixture
def log(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for epoch in (1, 2, 3):
        log.append({"epoch": epoch, "loss": 0.1 * epoch})
    return log


def test_lines_come_back(log):
    assert [record["epoch"] for record in log.read()] == [1, 2, 3]
    assert log.read()[2]["loss"] == 0.1 * 3


def test_no_file_is_no_lines(tmp_path):
    assert MetricsLog(tmp_path / "none").read() == []


@pytest.mark.parametrize("half", ['{"epoch": 4, "lo', "\x00\x00", "[1]", "null"])
def test_a_half_written_last_line_is_left_out_and_removed(log, half):
    with open(log.path, "a") as file:
        file.write(half)
    assert [record["epoch"] for record in log.read()] == [1, 2, 3]
    log.keep_until(3)
    log.append({"epoch": 4})
    assert [record["epoch"] for record in log.read()] == [1, 2, 3, 4]


def test_lines_after_the_checkpoint_are_dropped(log):
    assert [record["epoch"] for record in log.keep_until(2)] == [1, 2]
    assert log.path.read_text().count("\n") == 2


def test_a_full_disk_is_named(log, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr("minivae.runs.metrics_log.os.fsync", full)
    with pytest.raises(RunError, match=r"metrics\.jsonl: no space left"):
        log.append({"epoch": 4})
