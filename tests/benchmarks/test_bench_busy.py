"""Races beside other work: the processes are there, and they are gone afterwards."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import step, step_text
from benchmarks.__main__ import main
from benchmarks.busy import busy
from benchmarks.cases import PIXELS, CaseError, has_pixels, parse_arch, published
from benchmarks.gate import shared_data
from minivae.racing.load import seconds_of
from minivae.racing.statistics import StopRule


def children() -> set[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_busy_processes_work_and_end() -> None:
    before = children()
    with busy(2) as named:
        mine = children() - before
        assert len(mine) == 2 and set(named) == mine
        end = time.perf_counter() + 20
        while min(map(seconds_of, mine)) == 0 and time.perf_counter() < end:
            time.sleep(0.05)
        assert min(map(seconds_of, mine)) > 0
    assert not mine & children()


def test_what_the_busy_processes_used_is_not_laid_to_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They share the cores with the race: what they really used counts, not the wall's time."""
    told: list[float] = []

    class Race:
        used = 4.0

        def __init__(self, *_: object) -> None:
            pass

        def run(self) -> list[dict[str, object]]:
            return [{"contender": "minivae-numpy"}]

    class Watch:
        def report(self, ours: float) -> dict[str, object]:
            told.append(ours)
            return {"busy": ""}

    monkeypatch.setattr(step, "StepRace", Race)
    monkeypatch.setattr(step, "LoadWatch", Watch)
    monkeypatch.setattr(step, "busy", lambda count: contextlib.nullcontext([11, 12]))
    monkeypatch.setattr(step, "seconds_of", lambda pid: {11: 1.5, 12: 2.5}[pid])
    options = step.StepOptions(backend="numpy", busy=(2,), say=lambda text: None)
    step.run([parse_arch("31-5:tanh", 7)], options, store=False)
    assert told[0] == pytest.approx(8.0, abs=0.5)


@pytest.mark.slow
def test_one_race_for_each_number(tmp_path: Path) -> None:
    case = parse_arch("31-13-5:tanh", 7)
    rule = StopRule(least=3, most=3, seconds=60)
    options = step.StepOptions(backend="numpy", peers=(), rule=rule, say=lambda text: None,
                           block_steps=4, busy=(0, 1), again=False)  # fmt: skip
    rows = [r for r in step.run([case], options, store=False) if r["contender"] == "minivae-numpy"]
    assert [r["busy"] for r in rows] == [0, 1] and all(r["load"]["seconds"] > 0 for r in rows)
    assert "beside 1 busy" in step_text.table(rows)


def test_a_negative_number_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "--busy", "0,-1", "--no-store"]) == 2
    assert "--busy counts processes" in capsys.readouterr().err


def test_published_pixels_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.environ.get("MINIVAE_TEST_DATA", "")
    if not (Path(data) / "mnist").is_dir():
        pytest.skip("MNIST is not at hand (MINIVAE_TEST_DATA)")
    monkeypatch.setenv("MINIVAE_DATA", data)
    published.cache_clear()
    case = parse_arch("784-400-20:relu:mnist", 128)
    assert case.data == "mnist" and case.arch == "784-400-20:relu:mnist" and has_pixels("mnist")
    pixels = shared_data(case.data_dim, case.data)
    assert pixels.shape == (60_000, 784) and np.mean(pixels == 0) > 0.75
    with pytest.raises(CaseError, match="mnist has 784 pixels, not 31"):
        parse_arch("31-5:mnist", 7)


def test_without_the_data_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINIVAE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    published.cache_clear()
    with pytest.raises(CaseError, match="mnist: "):
        parse_arch("784-400-20:relu:mnist", 7)
    assert not any(has_pixels(name) for name in PIXELS)
    published.cache_clear()
