"""`minivae fsck`: every kind of damage is told by file, with what can be recovered."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from minivae.cli.main import run as command
from minivae.runs.errors import CheckpointError, RunError
from minivae.runs.fsck import check_run
from minivae.runs.load import load_model
from tests.training.child_run import run_here

pytestmark = pytest.mark.usefixtures("swift_disk")
OLD_RUN = Path(__file__).parents[1] / "training" / "old_run"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("fsck") / "run"
    run_here({"train": {"epochs": 4, "keep": 2}}, path)
    return path


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def listing(path):
    return {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in path.rglob("*")}


def damaged(run):
    before = listing(run)
    report = check_run(run)
    assert listing(run) == before, "fsck changes nothing"
    return {f.file: f.words for f in report.findings if f.state == "damaged"}, report


def test_a_whole_run_is_sound(run):
    found, report = damaged(run)
    assert found == {} and report.sound and report.resume_from == "epoch-0004"
    named = {finding.file for finding in report.findings}
    assert {"config.json", "metrics.jsonl", "lock", "checkpoints/epoch-0003.safetensors",
            "checkpoints/epoch-0004.safetensors", "checkpoints/last.json",
            "checkpoints/best.json"} <= named  # fmt: skip
    assert all(f.state == "sound" or f.file == "lock" for f in report.findings)


def test_a_run_of_an_earlier_version_is_sound(tmp_path):
    shutil.copytree(OLD_RUN, tmp_path / "run")
    found, report = damaged(tmp_path / "run")
    assert found == {} and report.resume_from == "epoch-0002"
    assert any("earlier version" in finding.words for finding in report.findings)


@pytest.mark.parametrize("name", ["epoch-0003", "epoch-0004", "best", "last"])
def test_no_bit_of_a_file_can_change_unseen(run, name):
    for ending in (".json", ".safetensors"):
        path = run / "checkpoints" / f"{name}{ending}"
        data = path.read_bytes()
        path.unlink()  # a pointer's copy may be the same file
        for place in range(3, len(data), len(data) // 7):
            path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
            found, _ = damaged(run)
            assert any(name in file or name in words for file, words in found.items()), place
        path.write_bytes(data)
    assert damaged(run)[0] == {}


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("config.json", "a resume takes the settings from epoch-0004"),
        ("metrics.jsonl", "the parameters need no line of the log"),
        ("checkpoints/last.json", "pointed at their checkpoints again"),
        ("checkpoints/best.safetensors", "pointed at their checkpoints again"),
        ("checkpoints/epoch-0004.json", "goes on after epoch 3"),
        ("checkpoints/epoch-0004.safetensors", "trained again, to the same bits"),
    ],
)
def test_a_lost_file_is_told_with_what_can_be_recovered(run, file, words):
    (run / file).unlink()
    found, report = damaged(run)
    assert Path(file).stem in " ".join(found) and words in " ".join(report.recover)
    result = run_here({"train": {"epochs": 4, "keep": 2}}, run, resume=True)
    assert result.epochs == 4
    after, _ = damaged(run)
    assert set(after) <= {"metrics.jsonl"}, "what a resume mends is whole again"


def test_best_pointing_at_the_last_is_found_and_not_loaded(run):
    folder = run / "checkpoints"
    manifest = json.loads((folder / "epoch-0004.json").read_text())
    if manifest["progress"]["best_epoch"] == 4:  # make epoch 4 one that was no better
        run_here({"train": {"epochs": 5, "keep": 2, "lr": 3.0}}, run, resume=True)
    newest = max(folder.glob("epoch-*.json"))
    assert json.loads(newest.read_text())["progress"]["best_epoch"] == 4
    (folder / "best.json").write_bytes(newest.read_bytes())
    found, _ = damaged(run)
    assert "by which epoch 4 was the best" in found["checkpoints/best.json"]
    with pytest.raises(CheckpointError, match="by which epoch 4 was the best"):
        load_model(run, "best")


def other_run(path):
    run_here({"train": {"epochs": 4, "seed": 1, "keep": 2}}, path)
    return path


@pytest.mark.parametrize("name", ["epoch-0004", "best", "last"])
def test_files_of_another_run_are_found(run, tmp_path, name):
    other = other_run(tmp_path / "other")
    for ending in (".json", ".safetensors"):
        path = run / "checkpoints" / f"{name}{ending}"
        path.unlink()
        shutil.copy(other / "checkpoints" / f"{name}{ending}", path)
    found, _ = damaged(run)
    assert any("another run's" in words for words in found.values()), found


def test_a_log_and_a_configuration_of_another_run_are_found(run, tmp_path):
    other = other_run(tmp_path / "other")
    shutil.copy(other / "metrics.jsonl", run / "metrics.jsonl")
    assert "best loss" in damaged(run)[0]["metrics.jsonl"]
    shutil.copy(other / "config.json", run / "config.json")
    assert "another run's: seed 0, not 1" in damaged(run)[0]["checkpoints/epoch-0004.safetensors"]


def test_a_renamed_checkpoint_is_found(run):
    for ending in (".json", ".safetensors"):
        old, new = (run / "checkpoints" / f"epoch-{n}{ending}" for n in ("0003", "0009"))
        old.rename(new)
    found, _ = damaged(run)
    assert "it was written as" in found["checkpoints/epoch-0009.safetensors"]


def test_strange_things_in_its_place(run):
    (run / "lock").unlink()
    (run / "lock").symlink_to(run / "config.json")
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    (run / "config.json").unlink()
    os.mkfifo(run / "config.json")
    (run / "checkpoints/epoch-0004.json").write_text("[" * 100_000)
    (run / "pictures/curves.png").write_bytes(b"\x89PNG\r\n\x1a\nhalf")
    (run / "mine.txt").write_text("a letter")
    found, report = damaged_without_reading(run)
    assert {"lock", "config.json", "metrics.jsonl", "checkpoints/epoch-0004.safetensors",
            "pictures/curves.png"} <= set(found)  # fmt: skip
    assert ("mine.txt", "note") in {(f.file, f.state) for f in report.findings}


def damaged_without_reading(run):
    report = check_run(run)  # a pipe in the run: a listing of bytes would wait for ever
    return {f.file: f.words for f in report.findings if f.state == "damaged"}, report


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match="no run directory"):
            check_run(path)


def test_the_command_says_it_in_lines_and_in_json(run, capsys):
    assert command(["fsck", str(run)]) == 0
    assert f"{run}: sound" in capsys.readouterr().out
    (run / "checkpoints/epoch-0004.json").write_text("{}")
    assert command(["fsck", str(run), "--json"]) == 1
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert said.err == "" and facts["sound"] is False and facts["resume_from"] == "epoch-0003"
    assert any("goes on after epoch 3" in words for words in facts["recover"])
    assert command(["fsck", str(run / "checkpoints" / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_checkpoints_that_are_all_gone_are_missed(run):
    shutil.rmtree(run / "checkpoints")
    found, report = damaged(run)
    assert found == {"checkpoints": "those of 4 epochs are missing"}
    assert (
        "starts from the beginning" in report.recover[0] and "nothing is" not in report.recover[0]
    )


def test_an_older_checkpoint_of_a_run_with_another_rate_is_found(run, tmp_path):
    run_here({"train": {"epochs": 3, "lr": 0.01}}, tmp_path / "other")
    for end in ("json", "safetensors"):
        name = f"checkpoints/epoch-0003.{end}"
        shutil.copy(tmp_path / "other" / name, run / name)
    found, _ = damaged(run)
    assert "by checkpoints/epoch-0003" in found["metrics.jsonl"]


def test_a_rate_is_told_beside_the_one_that_the_steps_make(run):
    spec = {"train": {"epochs": 4, "keep": 2, "lr": 0.01, "lr_steps": ((2, 0.5),)}}
    stepped = run.parent / "stepped"
    run_here(spec, stepped)
    log = stepped / "metrics.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert records[-1]["lr"] == 0.005
    records[-1]["lr"] = 0.01
    for record in records:
        record.pop("check")  # as of an earlier version, whose lines have no checksum
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert damaged(stepped)[0]["metrics.jsonl"].endswith("had a rate of 0.01, not 0.005")


def test_a_pointer_written_otherwise_than_its_manifest_is_told(run):
    pointer = run / "checkpoints" / "last.json"
    text = pointer.read_text()
    assert '"epoch": 4,' in text
    pointer.write_text(
        text.replace('"epoch": 4,', '"epoch": 4.0,').replace('"beta": 1.0', '"beta": 1')
    )
    assert "checkpoints/last.json" in damaged(run)[0]
    pointer.write_text(text.replace('"beta": 1.0', '"beta": 1'))
    assert "checkpoints/last.json" in damaged(run)[0]


def test_a_run_that_a_kill_ended_before_its_first_record_is_no_damage(tmp_path):
    (tmp_path / "lock").touch()
    found, report = damaged(tmp_path)
    assert found == {} and report.sound
    assert report.recover == [
        f"start it again, with the same options: minivae train --out {tmp_path}"
    ]


def test_a_lost_manifest_of_a_checkpoint_that_is_kept_is_damage(run):
    (run / "checkpoints" / "epoch-0003.json").unlink()
    found, _ = damaged(run)
    assert "epoch-0003.json is missing" in found["checkpoints/epoch-0003.safetensors"]


def test_a_copy_that_is_behind_its_pointer_is_a_note_and_any_other_content_damage(run):
    copy, older = (run / "checkpoints" / f"{n}.safetensors" for n in ("last", "epoch-0003"))
    data = older.read_bytes()
    copy.unlink()
    copy.write_bytes(data)
    found, report = damaged(run)
    assert not found and report.left == ["checkpoints/last.safetensors"]
    assert any("still epoch-0003.safetensors" in finding.words for finding in report.findings)
    copy.write_bytes(data[:-1])
    found, _ = damaged(run)
    assert list(found) == ["checkpoints/last.safetensors"]
