"""Held-out rows, early stopping by them, and the checkpoints that depend on them."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.runs.errors import Diverged
from minivae.runs.load import load_model
from tests.training.child_run import (
    run_here,
    small_data,
)
from tests.training.doubles import Notes, RecordingBackend

pytestmark = pytest.mark.usefixtures("swift_disk")


def test_the_rows_held_out_are_not_trained_on():
    K = RecordingBackend()
    result = run_here({"train": {"validation": 0.25, "epochs": 2}}, None, K=K)
    seen = {int(row) for rows, *_ in K.seen for row in rows.ravel()}
    assert len(seen) == 331 - round(0.25 * 331) and result.monitor == "valid"


def test_without_anything_held_out_training_itself_is_watched():
    data = small_data()
    result = run_here({}, None, data=data.with_parts(test=data.test[:0]))
    assert result.monitor == "train" and result.history[-1]["held_out"] is None


def test_held_out_rows_that_break_the_model_are_named(tmp_path):
    data = small_data()
    test = data.test.astype(np.float32)
    test[3] = 3e30
    data = data.with_parts(train=data.train.astype(np.float32), test=test)
    spec = {"model": {"likelihood": "gaussian"}}
    with pytest.raises(Diverged, match="the test loss is not finite after epoch 1"):
        run_here(spec, tmp_path / "run", data=data)


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
