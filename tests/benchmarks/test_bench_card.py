"""`card`: stages are bounded, logged and survive each other; the real ones run on the stand-in."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from minivae_kernels.gpu.host_build import compiler
from minivae_kernels.ladder.gpu import NAMES

from benchmarks import card
from benchmarks.__main__ import main

STAND_IN = Path(__file__).parent / "card_stand_in"


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


def test_a_stage_has_variables_of_its_own(tmp_path: Path) -> None:
    asks = script("asks", "import os; print(os.environ['ASKED'])", environment={"ASKED": "1"})
    (row,) = card.run(60.0, tmp_path, [asks], say=lambda text: None)
    assert row["tail"] == ["1"]


def test_memcheck_sees_the_arrays_one_by_one_and_the_process_that_works() -> None:
    memcheck = card.stages()[-1]
    assert memcheck.environment["MINIVAE_WITHOUT_POOL"] == "1"
    assert "--target-processes all" in (words := " ".join(memcheck.command))
    assert "-p no:xdist" in words and " -n " not in words


def test_without_time_nothing_is_begun(tmp_path: Path) -> None:
    (row,) = card.run(0.1, tmp_path, [script("never", "print(1)")], say=lambda text: None)
    assert row["skipped"].endswith(" s: less than 5 s is not begun")


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
def test_every_stage_runs_on_the_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole command at its smallest: facts, tests, verify, training, shares, races, ladders."""
    if compiler() is None:
        pytest.skip("the host build of the CUDA kernels needs g++")
    kernels = Path(__file__).parents[2] / "kernels"  # a wheel has no host build of them
    path = os.pathsep.join([str(STAND_IN), str(kernels), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    planned = card.stages(rehearse=True)
    planned[-1] = replace(planned[-1], needs="no-compute-sanitizer-here")
    rows = {r["stage"]: r for r in card.run(900.0, tmp_path, planned, say=lambda text: None)}
    for row in rows.values():
        assert "failed" not in row, (row["stage"], row["failed"], row.get("tail"))
    assert "is not installed" in rows["memcheck"]["skipped"]
    assert rows["card"]["facts"][0]["card"] == "Stand-in"
    assert re.search(r"\b8 passed", "\n".join(rows["gpu-tests"]["tail"]))
    assert rows["verify"]["tail"][-1] == "all right"
    assert rows["mnist"]["facts"][-1]["epochs"] == 2
    assert len(rows["bandwidth"]["facts"][0]["kernels"]) >= 11
    step = {row["contender"]: row for row in rows["step"]["facts"]}
    assert step["minivae-cupy"]["ms"]["p50"] > 0 and step["cublas-peak"]["ms"]["p50"] > 0
    for peer, package in {"jax": "jax", "torch-graph": "torch"}.items():
        # an installed peer has its row, though it has no card here; another is left out, and named
        assert (peer in step) == (find_spec(package) is not None)
    assert {r["ladder"] for r in rows["ladders"]["facts"]} == set(NAMES)
    page = (tmp_path / "card.txt").read_text()
    for words in ("held-out loss", "of a copy's", "product_v5", "A against A", "cublas-peak"):
        assert words in page
    assert len(page.splitlines()) < 120 and max(map(len, page.splitlines())) <= 160


def test_a_stage_without_its_data_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card, "has_pixels", lambda name: False)
    (row,) = card.run(9.0, tmp_path, [script("mnist", "", data="mnist")], say=lambda text: None)
    assert row["skipped"] == "mnist is not at hand: set MINIVAE_DATA"


def test_the_page_of_half_a_stage_is_the_end_of_its_log() -> None:
    row = {"stage": "mnist", "log": "mnist.log", "tail": ["killed"], "facts": [{"epochs": 3}],
           "failed": "exit code 9", "seconds": 1.0, "limit_s": 2.0}  # fmt: skip
    text = card.page([row, {**row, "facts": []}])
    assert text.count("killed") == 2 and "mnist      exit code 9 after 1 of 2 s" in text
