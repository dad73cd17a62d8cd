"""`card`: stages are bounded, logged and survive each other; the real ones run on the stand-in."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from minivae_kernels.gpu.host_build import compiler

from benchmarks import card
from benchmarks.__main__ import main

CHILD = str(Path(__file__).parent / "card_child.py")


def script(name: str, text: str, share: float = 1.0, **more: object) -> card.Stage:
    return replace(card.Stage(name, (sys.executable, "-c", text), share), **more)  # type: ignore[arg-type]


@pytest.mark.slow
def test_every_stage_is_bounded_logged_and_survives_the_others(tmp_path: Path) -> None:
    planned = [
        script("fails", "import sys; print('because'); sys.exit(3)"),
        script("tells", "print('{\"a\": 1}'); print('{not json')", shows=card.last_json),
        card.Stage("absent", ("no-such-program-here",), 1.0),
        script("lacks", "", needs="no-such-program-here"),
        script("hangs", "import time; time.sleep(600)", share=0.3),
        script("late", "print('after all')"),
    ]
    begin = time.perf_counter()
    rows = {r["stage"]: r for r in card.run(60.0, tmp_path, planned, say=lambda text: None)}
    assert time.perf_counter() - begin < 70
    assert rows["fails"]["failed"] == "exit code 3" and rows["fails"]["tail"] == ["because"]
    assert rows["tells"]["facts"] == [{"a": 1}] and "failed" not in rows["tells"]
    assert "failed" in rows["absent"] and "not installed" in rows["lacks"]["skipped"]
    assert "not done within" in rows["hangs"]["failed"]
    assert rows["late"]["exit"] == 0 and (tmp_path / "late.log").read_text() == "after all\n"
    assert len(json.loads((tmp_path / "card.json").read_text())) == len(planned)
    page = (tmp_path / "card.txt").read_text()
    assert all(stage.name in page for stage in planned) and "because" in page


def test_without_time_nothing_is_begun(tmp_path: Path) -> None:
    (row,) = card.run(0.1, tmp_path, [script("never", "print(1)")], say=lambda text: None)
    assert row["skipped"] == "no time was left"


def test_what_a_stage_started_ends_with_it(tmp_path: Path) -> None:
    text = ("import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', "
            "'import time; time.sleep(600)']); print(p.pid, flush=True); p.wait()")  # fmt: skip
    (row,) = card.run(8.0, tmp_path, [script("parent", text)], say=lambda text: None)
    assert "not done" in row["failed"]
    time.sleep(0.5)
    state = Path(f"/proc/{int(row['tail'][0])}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_the_plan_fits_the_time() -> None:
    planned = card.stages()
    assert sum(stage.share for stage in planned) == pytest.approx(1)
    names = [stage.name for stage in planned]
    assert names == ["card", "gpu-tests", "verify", "mnist", "bandwidth", "step", "ladders",
                     "memcheck"]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["--seconds", "0"], "--seconds must be positive"), (["--out", __file__], "is a file")],
)
def test_a_mistake_is_one_line(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", *argv]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


@pytest.mark.slow
def test_the_stages_run_on_the_stand_in(tmp_path: Path) -> None:
    """The card's facts and the kernels' bandwidth, by the commands of the plan."""
    if compiler() is None:
        pytest.skip("the host build of the CUDA kernels needs g++")
    planned = {stage.name: stage for stage in card.stages((sys.executable, CHILD))}
    kept = [planned[name] for name in ("card", "bandwidth")]
    kept[1] = replace(kept[1], command=(*kept[1].command, "--rows", "3"))
    rows = {r["stage"]: r for r in card.run(240.0, tmp_path, kept, say=lambda text: None)}
    for row in rows.values():
        assert "failed" not in row, (row["tail"], os.environ.get("PYTHONPATH"))
    assert rows["card"]["facts"][0]["card"] == "Stand-in"
    assert len(rows["bandwidth"]["facts"][0]["kernels"]) >= 11
