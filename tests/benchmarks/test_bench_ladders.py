"""The ladder command: races the rungs, and writes the lesson's tables between their markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

from minivae_kernels.ladder import NAMES, load

from benchmarks import ladders
from benchmarks.timing import StopRule


def rows_of(name: str) -> list[dict[str, Any]]:
    head = {"processor": "A processor", "threads": 2, "time": "2026-01-02T03:04:05+00:00"}
    ladder = load(name)
    return [
        {"ladder": name, "version": v.number, "idea": v.idea, "unit": ladder.unit, "machine": head,
         "chosen": v is ladder.versions[-1], "ns": {"p50": 100.0 / (v.number + 1)}, "error": 1e-7,
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


def test_a_race_of_one_ladder_times_every_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladders, "RULE", StopRule(least=3, most=3))
    rows = ladders.race("exp", 1)
    assert [r["version"] for r in rows] == list(range(len(load("exp").versions)))
    assert all(r["n"] == 3 and r["ns"]["p50"] > 0 and r["error_after"] < 1e-5 for r in rows)
    assert rows[0]["gain"] == 1 and rows[-1]["gain"] > 5  # compiled against a Python loop
    assert "exp_v0" in ladders.table(rows)
    with pytest.raises(ladders.LadderError, match="unknown ladder"):
        ladders.run("adamw", 1, store=False, write=False)
