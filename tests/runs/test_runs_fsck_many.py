"""`minivae fsck` of a folder of runs: every run in it, and every file beside them, by name."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from minivae.cli.main import run as command
from minivae.runs import files

pytestmark = pytest.mark.usefixtures("swift_disk")
HEX = "0123456789abcdef"
PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "results" / "published"


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
    shutil.rmtree(first(sweep))
    first(sweep).mkdir()
    (sweep / "failures").mkdir()
    second = "runs/beta=2,seed=0"
    halves = {f".sweep.json.{HEX}", f".means.parquet.{HEX}", f"failures/.a.json.{HEX}",
              f"{second}/.result.json.{HEX}", "pictures/loss.png.tmp"}  # fmt: skip
    for name in halves:
        (sweep / name).write_text("{")
    code, facts = checked(sweep, capsys)
    notes = [f["file"] for f in facts["files"] if f["state"] == "note"]
    assert code == 0 and set(notes) == halves | {"runs/beta=1,seed=0"}
    assert len(notes) == len(set(notes))
    assert not [f for f in facts["runs"][0]["files"] if HEX in f["file"]]  # told once


def test_a_sweep_that_a_kill_ended_as_it_began_is_one(tmp_path, capsys):
    (tmp_path / f".sweep.json.{HEX}").write_text("{")
    assert checked(tmp_path, capsys)[0] == 0
    (tmp_path / f".sweep.json.{HEX}").rename(tmp_path / "sweep.json")  # no folder of runs yet
    code, facts = checked(tmp_path, capsys)
    assert code == 1 and damaged(facts) == ["sweep.json"] and facts["runs"] == []


def test_a_run_that_cannot_be_read_is_damage(sweep, capsys, monkeypatch):
    listdir = os.listdir

    def broken(path="."):
        if Path(path) == first(sweep) / "checkpoints":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", broken)
    capsys.readouterr()
    assert command(["fsck", str(sweep), "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert damaged(facts) == ["runs/beta=1,seed=0"]
    assert "input/output error" in next(
        f["words"] for f in facts["files"] if f["state"] == "damaged"
    )


def test_a_result_without_its_run_is_damage_and_a_folder_of_anything_else_a_note(sweep, capsys):
    for entry in first(sweep).iterdir():
        if entry.name != "result.json":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (sweep / "runs" / "mine").mkdir()
    (sweep / "runs" / "mine" / "letter.txt").write_text("a letter")
    code, facts = checked(sweep, capsys)
    said = {f["file"]: f["words"] for f in facts["files"]}
    assert code == 1 and damaged(facts) == ["runs/beta=1,seed=0"]
    assert said["runs/mine"] == "no run's folder"


def test_a_link_to_nothing_is_damage(sweep, capsys):
    (sweep / "failures").mkdir()
    (sweep / "failures" / "x.json").symlink_to(sweep / "nowhere")
    (first(sweep) / "result.json").unlink()
    (first(sweep) / "result.json").symlink_to(sweep / "nowhere")
    code, facts = checked(sweep, capsys)
    assert code == 1
    assert damaged(facts) == ["runs/beta=1,seed=0/result.json", "failures/x.json"]


def test_what_a_run_beside_takes_away_meanwhile_is_no_damage(sweep, capsys, monkeypatch):
    (sweep / "failures").mkdir()
    failure = sweep / "failures" / "x.json"
    failure.write_text('{"error": "why"}')
    read = files.read_file

    def taken(path, *rest, **more):
        if path == failure:
            failure.unlink(missing_ok=True)
        return read(path, *rest, **more)

    monkeypatch.setattr(files, "read_file", taken)
    assert command(["fsck", str(sweep)]) == 0
    assert "failures/x.json" not in capsys.readouterr().out and not failure.exists()


def test_a_project_of_ones_own_is_no_folder_of_runs(sweep, capsys, tmp_path):
    """With `runs`, `data` and `pictures` in it: what is damaged there is not ours to speak of."""
    project = tmp_path / "project"
    for name in ("data/mine.npz", "pictures/mine.png", "mine-result.json"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(b"mine")
    (project / "runs").mkdir()
    shutil.copytree(sweep, project / "runs" / "sweep")
    shutil.copytree(first(sweep), project / "runs" / "digits-1")
    (project / "runs" / "digits-1" / "result.json").unlink()
    capsys.readouterr()
    assert command(["fsck", str(project)]) == 2
    said = capsys.readouterr().err
    assert "it is no run directory" in said and said.count("\n") == 1


def test_a_run_of_a_sweep_is_checked_as_a_run(sweep, capsys):
    code, facts = checked(first(sweep), capsys)
    assert code == 0 and facts["run"] == str(first(sweep))


@pytest.mark.parametrize("number", range(2))
def test_a_kept_result_is_checked_without_its_runs(number, capsys, tmp_path):
    kept = sorted(path.parent for path in PUBLISHED.glob("*/result.json"))[number]
    shutil.copytree(kept, tmp_path / "kept")
    code, facts = checked(tmp_path / "kept", capsys)
    assert code == 0 and {f["file"] for f in facts["files"]} == {"result.json", "picture.png"}
    file = tmp_path / "kept" / "result.json"
    value = json.loads(file.read_text())
    value["seconds"]["training"] += 1
    value.setdefault("sha256", "0" * 64)
    file.write_text(json.dumps(value))
    code, facts = checked(tmp_path / "kept", capsys)
    assert code == 1 and damaged(facts) == ["result.json"]


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
