"""The selftest in parts: what was done is kept, by commit, and what is missing is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import selftest
from benchmarks.__main__ import main


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Results in a folder of the test's own, made by a clean commit; what was raced."""
    raced: list[str] = []
    monkeypatch.setattr(selftest, "RESULTS", tmp_path)
    monkeypatch.setattr(
        selftest.results, "append", lambda kind, rows: APPEND(kind, rows, folder=tmp_path)
    )
    head = {"commit": "abc", "processor": "x", "time": "2026"}
    monkeypatch.setattr(selftest.machine, "header", lambda threads: dict(head))

    def refused(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
        raced.append(name)
        why = "" if selftest.is_honest(name) else "it is wrong"
        return {"kernel": name, "shape": list(shape), "why": why, "harm": "",
                "honest": selftest.is_honest(name)}  # fmt: skip

    def against_itself(pits: Any, seed: int) -> dict[str, Any]:
        raced.append(f"race {seed}")
        return {"race": seed, "verdict": "faster" if seed == 3 else "same", "busy": ""}

    monkeypatch.setattr(selftest, "refused", refused)
    monkeypatch.setattr(selftest, "against_itself", against_itself)
    monkeypatch.setattr(selftest, "covered", lambda **how: {"normal": 0.965})
    return raced


APPEND = selftest.results.append


def test_it_goes_on_where_it_stopped(stored: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--races", "30", "--seconds", "1e-9"]) == 0
    text = capsys.readouterr().out
    assert "0 of 30 races of A against A were run" in text and "as far as it went" in text
    assert stored == []
    assert main(["selftest", "--races", "30"]) == 0
    text = capsys.readouterr().out
    assert "1 false verdicts in 30 races, 3.3%" in text and "UNFINISHED" not in text
    done = len(stored)
    assert done == len(selftest.cheats()) + 30
    assert main(["selftest", "--races", "40"]) == 0  # ten more, and nothing twice
    assert stored[done:] == [f"race {k}" for k in range(30, 40)]
    assert "1 false verdicts in 40 races" in capsys.readouterr().out


def test_a_tree_that_was_changed_begins_anew(
    stored: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for commit in ("abc", "abc+", "other"):
        head = {"commit": commit, "processor": "x", "time": "2026"}
        monkeypatch.setattr(selftest.machine, "header", lambda threads, head=head: dict(head))
        assert main(["selftest", "--races", "2", "--json"]) == 0
    assert len(stored) == 3 * (len(selftest.cheats()) + 2)
    assert main(["selftest", "--races", "2", "--no-store"]) == 0
    assert len(stored) == 4 * (len(selftest.cheats()) + 2)
    capsys.readouterr()


@pytest.mark.parametrize("argv", [["--races", "0"], ["--seconds", "0"]])
def test_a_mistake_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", *argv]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_rate_needs_races(stored: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"race": 0, "verdict": "slower", "busy": ""}
    monkeypatch.setattr(selftest, "against_itself", lambda pits, seed: dict(row))
    for races, words in ((3, ""), (selftest.ENOUGH, "100.0% false verdicts of A against A")):
        assert selftest.run(races)[0].get("failed", "") == words
