"""The alarm: another commit's kernels in the same run; it rings on ratios, never on seconds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ROOT, alarm
from benchmarks.__main__ import main
from minivae.racing.result import Result

GIT = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True).returncode
needs_git = pytest.mark.skipif(GIT != 0, reason="not a git checkout")


def result(low: float, high: float, margin: float = 0.02) -> Result:
    middle = (low + high) / 2
    ratio = {"verdict": "slower", "ratio": middle, "interval": [low, high], "n": 15}
    rows = [{"name": "this tree", "against": {"old": ratio}}, {"name": "old"}]
    return Result("op", rows, "15 rounds", margin, {"busy": ""}, ratio)


def test_it_rings_only_where_the_whole_interval_is_beyond_the_margin() -> None:
    assert "slower than old" in alarm.judged("op", "old", result(0.7, 0.8))["failed"]
    assert "failed" not in alarm.judged("op", "old", result(0.7, 0.95))
    assert "failed" not in alarm.judged("op", "old", result(1.2, 1.4))
    assert "failed" not in alarm.judged("op", "old", result(0.7, 0.8, margin=0.5))  # A / A is off
    assert "slower than old" in alarm.table([alarm.judged("op", "old", result(0.7, 0.8))])


def test_a_wrong_kernel_is_an_alarm_and_a_missing_one_of_old_is_not() -> None:
    found: Any = result(0.9, 1.1)
    found.rows[0] = {"name": "this tree", "failed": "wrong"}
    assert alarm.judged("op", "old", found)["failed"] == "this tree's kernel: wrong"
    found.rows[:] = [{"name": "this tree"}, {"name": "old", "failed": "KeyError: 'op'"}]
    assert "failed" not in alarm.judged("op", "old", found)


@needs_git
def test_a_commit_is_unpacked_beside_this_tree(tmp_path: Path) -> None:
    assert (alarm.unpacked("HEAD", tmp_path) / "minivae_kernels" / "__init__.py").is_file()
    with pytest.raises(alarm.AlarmError, match="nowhere: "):
        alarm.unpacked("nowhere", tmp_path)


@needs_git
def test_a_strange_commit_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alarm", "--against", "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_fault_of_the_race_is_no_slip_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate takes 2 for a tree without a history, and must not for a race that broke."""
    monkeypatch.setattr(alarm, "run", lambda *given, **how: int("a fault"))
    with pytest.raises(ValueError, match="a fault"):
        main(["alarm", "relu_forward"])


def test_kernels_from_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(alarm.AlarmError, match="not from"):
        alarm.kernel("relu_forward", 1, str(tmp_path))


@needs_git
def test_the_same_kernels_are_not_raced(capsys: pytest.CaptureFixture[str]) -> None:
    if alarm._git("diff", "--quiet", "HEAD", "--", "kernels/minivae_kernels"):
        pytest.skip("the kernels differ from their commit")
    assert main(["alarm", "--against", "HEAD"]) == 0
    assert capsys.readouterr().out == f"{'all':24} the kernels are those of HEAD\nno alarm\n"


@needs_git
def test_the_commit_is_the_newest_with_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"machine": {"commit": c, "time": t}}
            for c, t in (("HEAD", "2026-01-01"), ("0000000+", "2026-01-03"))]  # fmt: skip
    monkeypatch.setattr(alarm, "all_rows", lambda: rows)
    assert alarm.measured() == "HEAD"  # the other is of no history here
    monkeypatch.setattr(alarm, "all_rows", list)
    monkeypatch.setattr(alarm, "_git", lambda *words: 1)
    with pytest.raises(alarm.AlarmError, match="no commit to race against"):
        alarm.measured()


def test_it_rings_only_if_it_would_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raced: list[str] = []
    slow = {"op": "x", "commit": "old", "a_a": None, "load": {}, "failed": "slower than old: 0.5 ×"}
    well = {k: v for k, v in slow.items() if k != "failed"} | {"note": "the same"}
    answers = {"a": [slow, slow], "b": [slow, well], "c": [well]}

    def once(pits: Any, op: str, *rest: Any) -> dict[str, Any]:
        raced.append(op)
        return answers[op].pop(0) | {"op": op}

    monkeypatch.setattr(alarm, "once", once)
    monkeypatch.setattr(alarm, "unpacked", lambda commit, folder: tmp_path)
    rows = alarm.run("old", 1, ("a", "b", "c"))
    assert [row["op"] for row in rows if "failed" in row] == ["a"]
    assert raced == ["a", "a", "b", "b", "c"] and "ALARM: a" in alarm.table(rows)
