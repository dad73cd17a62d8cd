"""The ladder command: races the rungs, and writes the lesson's tables between their markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from minivae_kernels.cpu.threads import count
from minivae_kernels.ladder import NAMES, Ladder, load
from minivae_kernels.ladder.base import chosen

from benchmarks import ladders
from minivae.racing.rounds import Options, run_race
from minivae.racing.stand import Here
from minivae.racing.statistics import StopRule

SHORT = StopRule(least=3, most=3)


def rows_of(name: str) -> list[dict[str, Any]]:
    head = {"processor": "A processor", "threads": 2, "time": "2026-01-02T03:04:05+00:00"}
    ladder = load(name)
    return [
        {"ladder": name, "version": v.number, "idea": v.idea, "unit": ladder.unit, "machine": head,
         "chosen": v is ladder.versions[-1], "ns": {"p50": 100.0 / (v.number + 1)}, "error": 0.25,
         "gain": v.number + 1.0, "peak_share": 0.1 * v.number}
        for v in ladder.versions
    ]  # fmt: skip


def test_the_lesson_has_a_table_for_every_ladder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(ladders.README.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(ladders, "README", copy)
    rows = [row for name in NAMES for row in rows_of(name)]
    ladders.write_readme(rows)
    text = copy.read_text(encoding="utf-8")
    for row in rows:
        assert row["idea"].replace("|", "\\|") in text
    assert "A processor, 2 threads, 2026-01-02." in text
    assert "<svg" in (tmp_path / "ladder.svg").read_text(encoding="utf-8")
    ladders.write_readme(rows)
    assert copy.read_text(encoding="utf-8") == text
    copy.write_text("no markers", encoding="utf-8")
    with pytest.raises(ladders.LadderError, match="markers"):
        ladders.write_readme(rows)


def test_a_race_of_one_ladder_times_every_rung() -> None:
    rows = ladders.race("exp", 1, SHORT, apart=False)
    assert [r["version"] for r in rows] == list(range(len(load("exp").versions)))
    assert all(r["n"] == 3 and r["ns"]["p50"] > 0 and r["judged"] >= 2 for r in rows), rows
    assert rows[0]["gain"] == 1 and rows[-1]["gain"] > 5  # compiled against a Python loop
    assert rows[-1]["a_a"] and "A against A" in ladders.table(rows)
    with pytest.raises(ladders.LadderError, match="unknown ladder"):
        ladders.run("adamw", 1, store=False, write=False)


def test_the_top_rung_times_the_kernel_itself_on_the_threads_asked_for() -> None:
    top = load("adam").versions[-1]
    assert top.bound(1) is chosen("adam_update", 1)
    for threads in (2, 1, 2):  # and no earlier look-up stands in the way
        top.bound(threads)
        assert count.threads() == threads
    below = load("adam").versions[-2]
    assert below.bound(1) is below.call


def lazy_beyond_64(x: np.ndarray) -> np.ndarray:
    return np.exp(x) if len(x) < 64 else x.copy()


def raises_when_timed(x: np.ndarray) -> np.ndarray:
    if len(x) > 64:
        raise RuntimeError("no")
    return np.exp(x)


@pytest.mark.parametrize("cheat", [lazy_beyond_64, raises_when_timed])
def test_a_rung_is_judged_at_the_timed_size_and_costs_its_own_row(cheat: Any) -> None:
    given = load("exp")
    ladder = Ladder(given.op, given.unit, given.rows, given.inputs, given.work)
    ladder.versions = given.versions[1:2]
    asked = ladders.problem_of(ladder)
    bad = given.versions[1].__class__(0, cheat, "cheats", 1, lambda *a: a, lambda r, a: r)
    ladders.gate(ladder, bad, 1)  # five numbers: nothing to see
    makers = {
        "right": lambda: Here(asked, ladders.contestant(given.versions[1])),
        "wrong": lambda: Here(asked, ladders.contestant(bad)),
    }
    found = run_race(asked, makers, baseline="right", options=Options(SHORT))
    assert "failed" in found.row("wrong") and found.row("right")["n"] == 3


@pytest.mark.parametrize(
    ("ns", "words"),
    [
        (2.85e-5, "28.5 fs"),
        (0.0053, "5.30 ps"),
        (0.3, "300 ps"),
        (999.7, "1.00 µs"),
        (8.9e4, "89.0 µs"),
    ],
)
def test_durations_have_a_unit_that_fits(ns: float, words: str) -> None:
    """A card's 0.00003 ns a flop had stood as 0.000."""
    assert ladders.duration(ns) == words
