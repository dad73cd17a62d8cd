"""Resuming: the same files from any stop, and what may and may not change in between."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from minivae.models.config import ConfigError
from minivae.runs.config import TrainConfig
from minivae.runs.errors import CheckpointError, RunError
from minivae.runs.load import load_model, load_run
from minivae.runs.resume import other_settings
from tests.training.child_run import (
    CALM,
    HARD,
    checkpoint_files,
    ending,
    lasting_records,
    run_here,
    small_data,
)
from tests.training.doubles import Notes, RecordingBackend, StopAt

pytestmark = pytest.mark.usefixtures("swift_disk")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of HARD that nobody stopped: its checkpoints and its metrics."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    run_here(CALM, run_dir)
    return ending(run_dir)


@pytest.mark.parametrize("pauses", [0, 1, 2, 7, 17, 18, 19, 20, 45, 63])
def test_stopped_anywhere_and_resumed_it_ends_in_the_same_files(tmp_path, whole, pauses):
    # pauses 17 to 20 fall on the last chunks of the first epoch and on its measurement
    stopped = run_here(CALM, tmp_path / "cut", stop=StopAt(pauses))
    assert stopped.reason == "stopped" and "--resume" in stopped.message
    run_here(CALM, tmp_path / "cut", resume=True)
    assert ending(tmp_path / "cut") == whole


def test_stopped_at_every_third_chunk_it_still_ends_in_the_same_files(tmp_path, whole):
    resume = False
    for _ in range(200):
        result = run_here(HARD, tmp_path / "cut", resume=resume, stop=StopAt(3))
        resume = True
        if result.reason == "finished":
            break
    assert result.reason == "finished"
    assert ending(tmp_path / "cut") == whole


@pytest.mark.parametrize(
    "spec",
    [
        {"train": {"optimiser": "sgd", "lr": 0.003}, "model": {"activation": "tanh"}},
        {"model": {"likelihood": "gaussian", "c": "learned", "hidden": ()}},
        {"train": {"binarise": "fixed", "validation": 0.3}, "model": {"hidden": (9, 5)}},
    ],
)
def test_other_models_resume_to_the_same_files(tmp_path, spec):
    spec = {"chunk": 3, **spec}
    run_here(spec, tmp_path / "whole")
    run_here(spec, tmp_path / "cut", stop=StopAt(25))
    run_here(spec, tmp_path / "cut", resume=True)
    assert checkpoint_files(tmp_path / "cut") == checkpoint_files(tmp_path / "whole")


def test_more_epochs_later_are_the_same_as_at_once(tmp_path):
    run_here({}, tmp_path / "whole")
    run_here({"train": {"epochs": 2}}, tmp_path / "more")
    run_here({}, tmp_path / "more", resume=True)
    assert lasting_records(tmp_path / "more") == lasting_records(tmp_path / "whole")
    one, two = (load_model(tmp_path / name, "last")[2] for name in ("more", "whole"))
    assert one.tobytes() == two.tobytes()


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    first = run_here({}, tmp_path / "run")
    files = checkpoint_files(tmp_path / "run")
    again = run_here({}, tmp_path / "run", resume=True)
    assert again.reason == "finished" and again.theta.tobytes() == first.theta.tobytes()
    assert again.best_theta.tobytes() == first.best_theta.tobytes()
    assert checkpoint_files(tmp_path / "run") == files


def test_a_damaged_newest_checkpoint_changes_nothing_in_the_end(tmp_path, whole):
    run_here(HARD, tmp_path / "cut", stop=StopAt(50))
    newest = tmp_path / "cut" / "checkpoints" / "last.safetensors"
    newest.write_bytes(newest.read_bytes()[:999])
    notes = Notes()
    run_here(HARD, tmp_path / "cut", resume=True, reporter=notes)
    assert any("damaged" in note and "instead" in note for note in notes.notes)
    assert ending(tmp_path / "cut") == whole


def test_a_kill_between_the_last_checkpoint_and_its_pointers_is_made_good(tmp_path, whole):
    run_here(HARD, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for pointer in ("last", "best"):
        for suffix in (".json", ".safetensors"):
            (folder / f"{pointer}{suffix}").unlink()
            (folder / f"{pointer}{suffix}").write_bytes(
                (folder / f"epoch-0005{suffix}").read_bytes()
            )
    (folder / "epoch-0002.json").write_text("{}")  # and before what is old was dropped
    run_here(HARD, tmp_path / "run", resume=True)
    assert ending(tmp_path / "run") == whole


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ({"model": {"latent_dim": 4}}, CheckpointError, "another model: its latent_dim is 3"),
        ({"model": {"hidden": (5, 4)}}, CheckpointError, "another model: its hidden"),
        ({"train": {"batch_size": 11}}, RunError, "started with batch_size 10, not 11"),
        ({"train": {"seed": 1}}, RunError, "started with seed 0, not 1"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, spec, error, message):
    run_here({}, tmp_path / "run", stop=StopAt(3))
    files = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(error, match=message) as caught:
        run_here(spec, tmp_path / "run", resume=True)
    assert "\n" not in str(caught.value)
    assert files == {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}


def test_other_data_are_not_resumed_on(tmp_path):
    run_here({}, tmp_path / "run", stop=StopAt(3))
    data = small_data()
    data.train[17, 3] ^= 1
    with pytest.raises(CheckpointError, match="trained on other data"):
        run_here({}, tmp_path / "run", resume=True, data=data)


def test_an_unknown_key_is_named_with_the_nearest(tmp_path):
    run_here({}, tmp_path / "run", stop=StopAt(3))
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["train"]["epoch"] = config["train"].pop("epochs")
    path.write_text(json.dumps(config))
    for attempt in (
        lambda: run_here({}, tmp_path / "run", resume=True),
        lambda: load_run(tmp_path / "run"),
    ):
        with pytest.raises(ConfigError, match=r"'epoch'.*'epochs'"):
            attempt()


def test_a_lower_rate_may_be_resumed_and_is_noted(tmp_path):
    run_here({}, tmp_path / "run", stop=StopAt(3))
    notes = Notes()
    run_here({"train": {"lr": 1e-4}}, tmp_path / "run", resume=True, reporter=notes)
    assert any("lr 0.001 and goes on with 0.0001" in note for note in notes.notes)
    assert load_run(tmp_path / "run").train.lr == 1e-4


def test_another_backend_may_resume_and_is_noted(tmp_path):
    run_here({}, tmp_path / "run", stop=StopAt(3))
    K, notes = RecordingBackend(), Notes()
    K.name = "numba"
    run_here({"train": {"backend": "numba"}}, tmp_path / "run", resume=True, K=K, reporter=notes)
    assert any("bits may differ" in note for note in notes.notes)


def test_early_stopping_cannot_be_added_later_on_rows_already_trained_on(tmp_path):
    run_here({}, tmp_path / "run", stop=StopAt(3))
    with pytest.raises(RunError, match="resume it without --patience"):
        run_here({"train": {"patience": 2}}, tmp_path / "run", resume=True)
    with pytest.raises(RunError, match=r"started with validation None, not 0\.1"):
        run_here({"train": {"validation": 0.1}}, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("order", "blocks"),
        ("lr_steps", [[1, 0.5]]),
        ("output_bias", "mean"),
        ("initialisation", "fan-in"),
        ("shards", 2),
        ("optimiser_settings", {"beta1": 0.5}),
    ],
)
def test_a_setting_that_an_earlier_version_had_not_is_at_its_default(key, value):
    """A run without it was trained as the default says; another value is another run's."""
    now = TrainConfig()
    old = {name: kept for name, kept in now.to_dict().items() if name != key}
    assert other_settings(old, now.to_dict()) is None
    assert other_settings(now.to_dict(), old) is None
    changed = now.with_changes(**{key: value}).to_dict()
    assert other_settings(old, changed).startswith(f"{key} ")
    assert other_settings(changed, old).startswith(f"{key} ")


def test_a_run_of_an_earlier_version_is_not_resumed_in_another_order(tmp_path):
    old_run = Path(__file__).parents[1] / "training" / "old_run"
    shutil.copytree(old_run, tmp_path / "run")
    train = {"warmup": 1.3, "binarise": "dynamic", "epochs": 4, "order": "blocks"}
    spec = {"model": {"free_bits": 0.1, "draws": 2}, "train": train}
    with pytest.raises(RunError, match="was started with order 'rows', not 'blocks'"):
        run_here(spec, tmp_path / "run", resume=True)
