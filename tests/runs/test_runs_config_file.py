"""config.json: read whole or not at all, under its own sha256, and known again where it is lost."""

from __future__ import annotations

import json

import pytest

from minivae.runs.config_file import encode_config, read_config, require_unchanged
from minivae.runs.errors import RunError
from minivae.runs.fsck import check_run
from minivae.runs.load import load_model, load_run
from minivae.settings import ConfigError
from tests.training.child_run import run_here
from tests.training.doubles import Notes, StopAt

pytestmark = pytest.mark.usefixtures("swift_disk")


@pytest.fixture
def run(tmp_path):
    run_here({"train": {"epochs": 2}}, tmp_path / "run")
    return tmp_path / "run"


def test_it_comes_back_and_holds_its_own_sha256(run):
    config = read_config(run)
    require_unchanged(run, config)
    assert config["train"]["epochs"] == 2 and len(config["sha256"]) == 64
    assert read_config(run.parent) is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"epochs": 2', '"epochs": 3', "sha256 differs"),
        ('"keep": 3', '"keep": 1', "sha256 differs"),
        ('"numpy"', '"nunpy"', "sha256 differs"),
        ('"data"', '"date"', "data is missing"),
        ('"sizes": {', '"sizes": {"x": -1, ', "data.sizes.x is -1, not a list"),
        ('"model": {', '"model": [], "y": {', "model is [], not an object"),
        ("{", "", "not JSON"),
        ("{", "[" * 9000, "nested deeper than 32"),
    ],
)
def test_damage_is_named_and_the_settings_are_known_from_the_checkpoint(run, old, new, words):
    path = run / "config.json"
    before, sound = load_run(run), path.read_bytes()
    path.write_text(path.read_text().replace(old, new, 1))
    damaged, said = path.read_bytes(), []
    info = load_run(run, said.append)
    assert (info.model, info.train, info.data) == (before.model, before.train, before.data)
    assert len(said) == 1 and words in said[0] and str(path) in said[0]
    assert "settings are taken from epoch-0002" in said[0] and "\n" not in said[0]
    notes = Notes()
    run_here({"train": {"epochs": 2}}, run, resume=True, reporter=notes)
    assert any(words in note and "kept as config.json.damaged-1" in note for note in notes.notes)
    assert (run / "config.json.damaged-1").read_bytes() == damaged
    assert json.loads(path.read_bytes())["train"] == json.loads(sound)["train"]
    assert load_run(run) == before


def test_one_without_its_sha256_is_no_earlier_versions(run):
    before = load_run(run)
    config = read_config(run)
    for key in ("sha256", "environments"):
        config.pop(key)
    config["data"]["high"] = -1
    (run / "config.json").write_text(json.dumps(config))
    said = []
    assert load_run(run, said.append).data == before.data
    assert len(said) == 1 and "damaged or edited" in said[0]


def test_one_that_knew_shards_and_objectives_but_no_sha256_is_whole(run):
    config = json.loads((run / "config.json").read_text())
    for key in ("sha256", "environments"):
        del config[key]
    for key in ("bf16", "lr_steps", "initialisation", "output_bias"):
        del config["train"][key]
    (run / "config.json").write_text(json.dumps(config))
    assert {"order", "shards"} <= set(config["train"]) and check_run(run).sound


def test_one_of_a_newer_version_is_told_from_a_damaged_one(run):
    config = read_config(run)
    config["train"]["quantum"] = 1
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"unknown key 'quantum' .* remove the file"):
        load_run(run)
    config.pop("sha256")
    (run / "config.json").write_bytes(encode_config(config))
    with pytest.raises(ConfigError, match=r"unknown key 'quantum' .* a newer minivae wrote it"):
        load_run(run)


def test_a_lost_one_is_known_from_the_checkpoint(run):
    before = load_run(run)
    (run / "config.json").unlink()
    said = []
    assert load_run(run, said.append)[:4] == before[:4]
    assert "has no config.json" in said[0]
    assert load_model(run, "last")[0] == before.model


def test_where_nothing_was_begun_the_command_that_is_printed_works(tmp_path):
    run = tmp_path / "a run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "pictures").mkdir()
    for name in ("lock", "config.json.tmp", "metrics.jsonl.tmp", "checkpoints/probe.tmp"):
        (run / name).write_bytes(b"12")
    with pytest.raises(RunError, match=r"with the same options: minivae train --out '.*a run'"):
        load_run(run)
    result = run_here({"train": {"epochs": 1}}, run)
    assert result.epochs == 1 and not list(run.rglob("*.tmp"))


def test_a_folder_that_is_no_run_is_not_taken_for_one(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="no run directory"):
        load_run(tmp_path)
    with pytest.raises(RunError, match="not empty"):
        run_here({}, tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_removed_while_running_it_is_said_and_written_again(tmp_path):
    run, notes = tmp_path / "run", Notes()
    config, lines = run / "config.json", run / "metrics.jsonl"
    seen = []

    def meddle():
        if lines.exists() and lines.read_bytes().count(b"\n") == 2 and not seen:
            seen.append(config.read_bytes())
            config.unlink()
            lines.unlink()
        return False

    result = run_here({}, run, stop=meddle, reporter=notes)
    assert result.epochs == 6
    assert config.read_bytes() == seen[0]
    assert [json.loads(line)["epoch"] for line in lines.read_text().splitlines()] == [*range(1, 7)]
    for path in (config, lines):
        assert any(note.startswith(str(path)) and "from memory" in note for note in notes.notes)


def test_a_directory_removed_or_replaced_while_running_is_not_written_into(tmp_path):
    run = tmp_path / "run"

    def replace():
        if not (tmp_path / "moved").exists():
            run.rename(tmp_path / "moved")
            run.mkdir()
        return False

    with pytest.raises(RunError, match="removed or replaced while the run went on"):
        run_here({}, run, stop=replace)
    assert list(run.iterdir()) == []


def test_checkpoints_removed_while_running_are_said(tmp_path):
    import shutil

    run, notes, done = tmp_path / "run", Notes(), []

    def remove():
        if not done and (run / "checkpoints/epoch-0002.json").exists():
            shutil.rmtree(run / "checkpoints")
            done.append(1)
        return False

    run_here({}, run, stop=remove, reporter=notes)
    assert any("checkpoints was removed" in note for note in notes.notes)
    assert load_model(run, "last")[3]["progress"]["epoch"] == 6


def test_a_resume_may_be_stopped_and_config_keeps_its_record(tmp_path):
    run_here({}, tmp_path / "run", stop=StopAt(9))
    run_here({}, tmp_path / "run", resume=True)
    (environment,) = read_config(tmp_path / "run")["environments"]
    assert environment["from_update"] == 0 and environment["facts"]["backend"] == "numpy"


def test_lost_checkpoints_and_the_log_of_another_run_are_said(run, tmp_path):
    other = tmp_path / "other"
    run_here({"train": {"epochs": 2, "seed": 1}}, other)
    (run / "metrics.jsonl").write_bytes((other / "metrics.jsonl").read_bytes())
    notes = Notes()
    run_here({"train": {"epochs": 3}}, run, resume=True, reporter=notes)
    assert any("does not fit the checkpoint and may be another run's" in n for n in notes.notes)
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    notes = Notes()
    assert run_here({"train": {"epochs": 3}}, run, resume=True, reporter=notes).epochs == 3
    assert any("has lost the checkpoints of 3 epochs" in note for note in notes.notes)


def test_a_checkpoint_of_another_run_is_passed_over(run, tmp_path):
    other = tmp_path / "other"
    run_here({"train": {"epochs": 2, "seed": 1}}, other)
    whole = tmp_path / "whole"
    run_here({"train": {"epochs": 3}}, whole)
    for path in (other / "checkpoints").glob("epoch-0002.*"):
        (run / "checkpoints" / path.name).write_bytes(path.read_bytes())
    notes = Notes()
    run_here({"train": {"epochs": 3}}, run, resume=True, reporter=notes)
    assert any("epoch-0002.safetensors is another run's: seed 1, not 0" in n for n in notes.notes)
    assert load_model(run, "last")[2].tobytes() == load_model(whole, "last")[2].tobytes()
