"""The loop: every row once an epoch, the same bits from any stop, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.data.errors import DataError
from minivae.models.config import ConfigError
from minivae.training.errors import CheckpointError, Diverged, RunError
from minivae.training.job import make_job
from minivae.training.load import load_model, load_run
from minivae.training.progress import NullReporter
from tests.training.child_run import (
    CALM,
    HARD,
    checkpoint_files,
    lasting_records,
    run_here,
    settings,
    small_data,
)

pytestmark = pytest.mark.usefixtures("swift_disk")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of HARD that nobody stopped: its checkpoints and its metrics."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    run_here(CALM, run_dir)
    return checkpoint_files(run_dir), lasting_records(run_dir)


class StopAt:
    """Asks to stop at the n-th pause."""

    def __init__(self, n):
        self.left = n

    def __call__(self):
        self.left -= 1
        return self.left < 0


class Notes(NullReporter):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class RecordingBackend:
    """A backend whose steps write down the rows they are given."""

    def __init__(self):
        self.K, self.seen, self.name = load_backend("numpy"), [], "numpy"

    def __getattr__(self, name):
        return getattr(self.K, name)

    def make_step(self, *args):
        step, seen = self.K.make_step(*args), self.seen

        class Step:
            def __call__(self, rows, t, lr, beta):
                seen.append((rows.copy(), t, lr.copy(), beta.copy()))
                step(rows, t, lr, beta)

            def __getattr__(self, name):
                return getattr(step, name)

        return Step()


def test_every_row_is_seen_once_an_epoch_in_another_order():
    K = RecordingBackend()
    run_here({"train": {"epochs": 2, "batch_size": 25}}, None, K=K)
    rows = np.concatenate([rows.ravel() for rows, *_ in K.seen])
    first, second = rows[:331], rows[331:]
    assert sorted(first) == sorted(second) == list(range(331))
    assert (first != second).any()
    counted = [t + i for rows, t, *_ in K.seen for i in range(len(rows))]
    assert counted == list(range(2 * 14))
    assert {rows.shape[1] for rows, *_ in K.seen} == {25, 331 % 25}


def test_a_batch_larger_than_the_data_is_one_batch():
    K = RecordingBackend()
    run_here({"train": {"epochs": 2, "batch_size": 5000}}, None, K=K)
    assert [rows.shape for rows, *_ in K.seen] == [(1, 331)] * 2


def test_warm_up_reaches_the_step():
    K = RecordingBackend()
    spec = {"train": {"epochs": 3, "batch_size": 50, "warmup": 1.5}, "model": {"beta": 3.0}}
    run_here(spec, None, K=K)
    beta = np.concatenate([beta for *_, beta in K.seen])
    assert beta == pytest.approx(np.minimum(1, np.arange(21) / 10.5) * 3.0)


def test_it_learns_and_says_how_well(tmp_path):
    result = run_here({"train": {"lr": 0.01}}, tmp_path / "run")
    losses = [record["held_out"]["loss"] for record in result.history]
    assert losses[-1] < losses[0] - 0.5 and result.best_loss == min(losses)
    assert result.monitor == "test" and result.reason == "finished"
    assert [r["epoch"] for r in result.history] == [1, 2, 3, 4, 5, 6]
    for part in ("train", "held_out"):
        figures = result.history[-1][part]
        assert figures["elbo"] == pytest.approx(-figures["reconstruction"] - figures["kl"])
        assert sum(figures["kl_j"]) == pytest.approx(figures["kl"])
    assert lasting_records(tmp_path / "run") == [
        {k: v for k, v in r.items() if k not in ("seconds", "samples_per_second")}
        for r in result.history
    ]


def test_the_same_command_twice_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        run_here(CALM, tmp_path / name)
    assert checkpoint_files(tmp_path / "a") == checkpoint_files(tmp_path / "b")
    assert lasting_records(tmp_path / "a") == lasting_records(tmp_path / "b")


def test_with_and_without_a_directory_the_parameters_are_the_same(tmp_path):
    inside, outside = run_here({}, tmp_path / "run"), run_here({}, None)
    assert inside.theta.tobytes() == outside.theta.tobytes()
    assert inside.best_theta.tobytes() == outside.best_theta.tobytes()


@pytest.mark.parametrize("pauses", [0, 1, 2, 7, 17, 18, 19, 20, 45, 63])
def test_stopped_anywhere_and_resumed_it_ends_in_the_same_files(tmp_path, whole, pauses):
    # pauses 17 to 20 fall on the last chunks of the first epoch and on its measurement
    stopped = run_here(CALM, tmp_path / "cut", stop=StopAt(pauses))
    assert stopped.reason == "stopped" and "--resume" in stopped.message
    run_here(CALM, tmp_path / "cut", resume=True)
    assert (checkpoint_files(tmp_path / "cut"), lasting_records(tmp_path / "cut")) == whole


def test_stopped_at_every_third_chunk_it_still_ends_in_the_same_files(tmp_path, whole):
    resume = False
    for _ in range(200):
        result = run_here(HARD, tmp_path / "cut", resume=resume, stop=StopAt(3))
        resume = True
        if result.reason == "finished":
            break
    assert result.reason == "finished"
    assert (checkpoint_files(tmp_path / "cut"), lasting_records(tmp_path / "cut")) == whole


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
    assert (checkpoint_files(tmp_path / "cut"), lasting_records(tmp_path / "cut")) == whole


def test_a_kill_between_the_last_checkpoint_and_its_pointers_is_made_good(tmp_path, whole):
    run_here(HARD, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for pointer in ("last", "best"):
        for ending in (".json", ".safetensors"):
            (folder / f"{pointer}{ending}").unlink()
            (folder / f"{pointer}{ending}").write_bytes(
                (folder / f"epoch-0005{ending}").read_bytes()
            )
    (folder / "epoch-0002.json").write_text("{}")  # and before what is old was dropped
    run_here(HARD, tmp_path / "run", resume=True)
    assert (checkpoint_files(tmp_path / "run"), lasting_records(tmp_path / "run")) == whole


def test_patience_holds_rows_out_and_says_why_it_stopped(tmp_path):
    notes = Notes()
    spec = {"train": {"epochs": 60, "patience": 2, "lr": 0.3}}
    result = run_here(spec, tmp_path / "run", reporter=notes)
    assert result.reason == "patience" and result.monitor == "valid" and result.epochs < 60
    assert "has not improved for 2 epochs" in result.message
    assert any("10% of the training rows" in note for note in notes.notes)
    assert result.epochs == result.best_epoch + 2
    best = load_model(tmp_path / "run", "best")
    assert best[2].tobytes() == result.best_theta.tobytes()
    assert best[3]["progress"]["epoch"] == result.best_epoch
    again = run_here(spec, tmp_path / "run", resume=True)
    assert again.reason == "patience" and again.updates == result.updates


def test_early_stopping_cannot_be_added_later_on_rows_already_trained_on(tmp_path):
    run_here({}, tmp_path / "run", stop=StopAt(3))
    with pytest.raises(RunError, match="resume it without --patience"):
        run_here({"train": {"patience": 2}}, tmp_path / "run", resume=True)
    with pytest.raises(RunError, match=r"started with validation None, not 0\.1"):
        run_here({"train": {"validation": 0.1}}, tmp_path / "run", resume=True)


def test_held_out_rows_that_break_the_model_are_named(tmp_path):
    data = small_data()
    test = data.test.astype(np.float32)
    test[3] = 3e30
    data = data.with_parts(train=data.train.astype(np.float32), test=test)
    spec = {"model": {"likelihood": "gaussian"}}
    with pytest.raises(Diverged, match="the test loss is not finite after epoch 1"):
        run_here(spec, tmp_path / "run", data=data)


def test_the_rows_held_out_are_not_trained_on():
    K = RecordingBackend()
    result = run_here({"train": {"validation": 0.25, "epochs": 2}}, None, K=K)
    seen = {int(row) for rows, *_ in K.seen for row in rows.ravel()}
    assert len(seen) == 331 - round(0.25 * 331) and result.monitor == "valid"


def test_without_anything_held_out_training_itself_is_watched():
    data = small_data()
    result = run_here({}, None, data=data.with_parts(test=data.test[:0]))
    assert result.monitor == "train" and result.history[-1]["held_out"] is None


@pytest.fixture
def planned(monkeypatch):
    """Makes the held-out losses what a test says, epoch by epoch."""

    def plan(losses):
        remaining = iter(losses)
        zero = {"reconstruction": 1.0, "kl": 0.0, "elbo": -1.0, "kl_j": [0.0], "active_units": 0}
        monkeypatch.setattr(
            "minivae.training.trainer.measure", lambda *args: zero | {"loss": next(remaining)}
        )

    return plan


def test_patience_counts_from_the_last_improvement(planned):
    planned([5, 4, 6, 3, 3, 7, 1])
    result = run_here({"train": {"epochs": 7, "patience": 2}}, None)
    assert (result.reason, result.epochs, result.best_epoch) == ("patience", 6, 4)


def test_checkpoints_may_be_rarer_than_epochs_but_for_the_best_and_the_last(tmp_path, planned):
    planned([5, 3, 4, 4, 4, 4, 4])
    run_here({"train": {"checkpoint_every": 4, "epochs": 7}}, tmp_path / "run")
    names = sorted(p.stem for p in (tmp_path / "run/checkpoints").glob("epoch-*.json"))
    assert names == ["epoch-0002", "epoch-0004", "epoch-0007"]


def test_chunks_end_at_fixed_places_of_the_epoch():
    model, config = settings({})
    job = dataclasses.replace(
        make_job(model, config, small_data(), load_backend("numpy"), None), chunk=4
    )
    order = job.order(0)
    assert len(job.next_rows(order, 4)) == 4
    assert len(job.next_rows(order, 6)) == 2  # a state saved where a bad update stopped it
    assert len(job.next_rows(order, 32)) == 1
    assert job.next_rows(order, 33).shape == (1, 331 % 10)


def test_a_run_can_be_read_back(tmp_path):
    result = run_here(HARD, tmp_path / "run")
    info = load_run(tmp_path / "run")
    assert info.model == result.model and info.train == result.config
    assert len(info.metrics) == 6 and info.data["name"] == "small"
    for path in (tmp_path / "run", tmp_path / "run/checkpoints/last.safetensors"):
        model, train_config, theta, manifest = load_model(path, "last")
        assert model == result.model and theta.tobytes() == result.theta.tobytes()
        assert train_config.batch_size == 10 and manifest["progress"]["epoch"] == 6


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


def test_a_second_run_does_not_touch_the_first(tmp_path):
    run_here({}, tmp_path / "run")
    files = checkpoint_files(tmp_path / "run")
    with pytest.raises(RunError, match="--resume"):
        run_here({}, tmp_path / "run")
    assert checkpoint_files(tmp_path / "run") == files


@pytest.mark.parametrize(
    ("spec", "data", "error", "message"),
    [
        ({"model": {"data_dim": 24}}, {}, ConfigError, "data_dim = 24.*23 features"),
        ({}, {"scale": 1.0}, DataError, "Bernoulli"),
        ({"train": {"validation": 0.001}}, {}, ConfigError, "holds out 0 of 331"),
        (
            {"train": {"binarise": "fixed"}, "model": {"likelihood": "gaussian"}},
            {},
            ConfigError,
            "bernoulli",
        ),
    ],
)
def test_bad_input_writes_nothing(tmp_path, spec, data, error, message):
    with pytest.raises(error, match=message):
        run_here(spec, tmp_path / "run", data=small_data().with_parts(**data))
    assert not (tmp_path / "run").exists()
