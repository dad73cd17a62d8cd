"""`minivae fsck` of a folder of runs: every run in it, and every file beside them, by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from minivae.cli.main import run as command

pytestmark = pytest.mark.usefixtures("swift_disk")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "sweep"
    words = ["sweep", "digits", "--grid", "beta=1,2", "--epochs", "1", "--hidden", "none",
             "--batch-size", "500", "--backend", "numpy", "--out", str(path), "-q"]  # fmt: skip
    assert command(words) == 0
    return path


@pytest.fixture
def sweep(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "sweep")
    return tmp_path / "sweep"


def checked(path: Path, capsys) -> tuple[int, dict]:
    before = {p: p.is_file() and p.read_bytes() for p in path.rglob("*")}
    capsys.readouterr()
    code = command(["fsck", str(path), "--json"])
    assert {p: p.is_file() and p.read_bytes() for p in path.rglob("*")} == before
    return code, json.loads(capsys.readouterr().out)


def damaged(facts: dict) -> list[str]:
    found = [f["file"] for f in facts["files"]]
    found += [f"{Path(r['run']).name}/{f['file']}" for r in facts["runs"] for f in r["files"]]
    states = [f["state"] for f in facts["files"]]
    states += [f["state"] for r in facts["runs"] for f in r["files"]]
    return [file for file, state in zip(found, states, strict=True) if state == "damaged"]


def test_a_whole_sweep_is_sound(sweep, capsys):
    code, facts = checked(sweep, capsys)
    assert code == 0 and facts["sound"] and len(facts["runs"]) == 2 and not damaged(facts)
    assert {f["file"] for f in facts["files"]} >= {
        "sweep.json", "runs/beta=1,seed=0/result.json", "runs/beta=2,seed=0/result.json"
    }  # fmt: skip
    assert command(["fsck", str(sweep)]) == 0
    assert capsys.readouterr().out.endswith(f"{sweep}: 2 runs; sound\n")


def first(sweep: Path) -> Path:
    return sweep / "runs" / "beta=1,seed=0"


def cut_spec(sweep: Path) -> str:
    (sweep / "sweep.json").write_text("{")
    return "sweep.json"


def edit_result(sweep: Path) -> str:
    file = first(sweep) / "result.json"
    facts = json.loads(file.read_text())
    facts["facts"]["seconds"] += 1
    file.write_text(json.dumps(facts))
    return "runs/beta=1,seed=0/result.json"


def swap_result(sweep: Path) -> str:
    shutil.copy(sweep / "runs" / "beta=2,seed=0" / "result.json", first(sweep) / "result.json")
    return "runs/beta=1,seed=0/result.json"


def damage_run(sweep: Path) -> str:
    (first(sweep) / "config.json").write_text("[]")
    return "beta=1,seed=0/config.json"


def cut_picture(sweep: Path) -> str:
    file = next((sweep / "pictures").glob("*.png"))
    file.write_bytes(file.read_bytes()[:-20])
    return f"pictures/{file.name}"


@pytest.mark.parametrize("harm", [cut_spec, edit_result, swap_result, damage_run, cut_picture])
def test_each_damage_is_told_by_file(sweep, capsys, harm):
    file = harm(sweep)
    code, facts = checked(sweep, capsys)
    assert code == 1 and not facts["sound"] and damaged(facts) == [file]


def test_what_a_kill_leaves_is_a_note(sweep, capsys):
    (sweep / ".sweep.json.0123").write_text("{")
    shutil.rmtree(first(sweep))
    first(sweep).mkdir()
    code, facts = checked(sweep, capsys)
    notes = {f["file"] for f in facts["files"] if f["state"] == "note"}
    assert code == 0 and notes == {".sweep.json.0123", "runs/beta=1,seed=0"}


def test_a_link_is_noted_in_a_run_and_beside_one(sweep, capsys, tmp_path):
    for file in (sweep / "sweep.json", first(sweep) / "checkpoints" / "best.json"):
        moved = tmp_path / file.name
        shutil.move(file, moved)
        file.symlink_to(moved)
    code, facts = checked(sweep, capsys)
    assert code == 0
    assert [f["state"] for f in facts["files"] if f["file"] == "sweep.json"] == ["note"]
    run = next(r for r in facts["runs"] if r["run"] == str(first(sweep)))
    assert "checkpoints/best.json" in {f["file"] for f in run["files"] if "a link" in f["words"]}
