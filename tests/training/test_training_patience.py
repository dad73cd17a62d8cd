"""Held-out rows, early stopping by them, and the checkpoints that depend on them."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.models.vae import layout_of
from minivae.runs.errors import Diverged
from minivae.runs.load import load_model
from minivae.training import loop
from tests.training.child_run import (
    run_here,
    small_data,
)
from tests.training.doubles import Notes, RecordingBackend

pytestmark = pytest.mark.usefixtures("swift_disk")

NOTHING = {"reconstruction": 1.0, "kl": 0.0, "elbo": -1.0, "kl_j": [0.0], "active_units": 0}


def test_the_rows_held_out_are_not_trained_on():
    K = RecordingBackend()
    result = run_here({"train": {"validation": 0.25, "epochs": 2}}, None, K=K)
    seen = {int(row) for rows, *_ in K.seen for row in rows.ravel()}
    assert len(seen) == 331 - round(0.25 * 331) and result.monitor == "valid"


def test_without_anything_held_out_training_itself_is_watched():
    data = small_data()
    result = run_here({}, None, data=data.with_parts(test=data.test[:0]))
    assert result.monitor == "train" and result.history[-1]["held_out"] is None


@pytest.mark.parametrize(("warmup", "first"), [(0.0, 1), (0.5, 2), (2.0, 3), (2.5, 4), (9.0, 6)])
def test_no_training_loss_of_the_warm_up_is_the_best(monkeypatch, warmup, first):
    """Each update's loss has its own β: with little of the KL paid, an early epoch looks best."""
    rising = iter(range(1, 99))
    monkeypatch.setattr(
        "minivae.runs.state.Sums.figures", lambda sums: {**NOTHING, "loss": float(next(rising))}
    )
    data = small_data()
    spec = {"train": {"epochs": 6, "warmup": warmup}}
    result = run_here(spec, None, data=data.with_parts(test=data.test[:0]))
    assert result.best_epoch == first


def test_held_out_losses_of_the_warm_up_have_the_full_weight(planned):
    planned([3, 4, 5, 6])
    assert run_here({"train": {"epochs": 4, "warmup": 2.0}}, None).best_epoch == 1


def test_a_state_to_go_on_from_names_no_best_epoch_without_its_parameters(planned):
    planned([1, 2, 3, 9, 8])
    first = run_here({"train": {"epochs": 3}}, None)
    assert (first.best_epoch, first.best_loss) == (1, 1)
    more = run_here({"train": {"epochs": 5}}, None, state=first.state)
    assert (more.best_epoch, more.best_loss) == (5, 8)
    assert more.best_theta.tobytes() == more.theta.tobytes()
    assert more.best_moments.tobytes() == more.state.moments.tobytes()
    assert first.state.progress.best_epoch == 1  # it stays as it is


def test_held_out_rows_that_break_the_model_are_named(tmp_path):
    data = small_data()
    test = data.test.astype(np.float32)
    test[3] = 3e30
    data = data.with_parts(train=data.train.astype(np.float32), test=test)
    spec = {"model": {"likelihood": "gaussian"}}
    with pytest.raises(Diverged, match="the test loss is not finite after epoch 1"):
        run_here(spec, tmp_path / "run", data=data)


@pytest.mark.parametrize("key", ["loss", "reconstruction", "kl"])
def test_a_held_out_figure_that_is_no_number_keeps_the_epoch_before(tmp_path, monkeypatch, key):
    """By draws, one that explains nothing leaves the loss finite, and JSON has no infinity."""
    found = iter([{}, {}, {key: float("inf")}])
    whole = NOTHING | {"loss": 1.0}
    monkeypatch.setattr("minivae.training.trainer.measure", lambda *args: whole | next(found))
    with pytest.raises(Diverged, match=f"the test {key} is not finite after epoch 3"):
        run_here({"train": {"checkpoint_every": 9}}, tmp_path / "run")
    assert load_model(tmp_path / "run", "last")[3]["progress"]["epoch"] == 2


def test_a_training_figure_that_is_no_number_is_told_in_one_line(tmp_path, monkeypatch):
    figures = {**NOTHING, "loss": 1.0, "reconstruction": float("inf")}
    monkeypatch.setattr("minivae.runs.state.Sums.figures", lambda sums: figures)
    with pytest.raises(Diverged, match="the training reconstruction is not finite after epoch 1"):
        run_here({}, tmp_path / "run")


def test_a_draw_that_explains_nothing_is_told_in_one_line(tmp_path, monkeypatch):
    """Counts whose rate overflows for one draw of eight: -log of the mean of all is finite."""
    small = small_data()
    few, many = small.train[:, :3] % 7, np.full((9, 3), 30, np.uint8)
    data = small.with_parts(train=few, test=many, scale=1.0)
    model = {"likelihood": "poisson", "objective": "iwae", "draws": 8, "hidden": ()}
    planted = {"encoder.mu.W": 0.033, "encoder.logvar.W": 0.0, "decoder.out.W": 10.0}

    def plant(*given):
        state = first_state(*given)
        for name, value in planted.items():
            layout_of(given[0]).views(state.theta)[name][...] = value
        return state

    first_state = loop.first_state
    monkeypatch.setattr(loop, "first_state", plant)
    spec = {"model": {"data_dim": 3, **model}, "train": {"epochs": 2, "lr": 1e-60}}
    with pytest.raises(Diverged, match="the test reconstruction is not finite after epoch 1"):
        run_here(spec, None, data=data)


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


@pytest.fixture
def planned(monkeypatch):
    """Makes the held-out losses what a test says, epoch by epoch."""

    def plan(losses):
        remaining = iter(losses)
        monkeypatch.setattr(
            "minivae.training.trainer.measure", lambda *args: NOTHING | {"loss": next(remaining)}
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
