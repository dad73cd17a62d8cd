"""How the VAE is fitted: Ctrl-C, warm starts, epoch by epoch, held-out rows, callbacks."""

from __future__ import annotations

import datetime
import signal
import warnings

import numpy as np
import pytest

from minivae import VAE
from minivae.estimators.training import FitStopped, reporter_for
from minivae.training.progress import RichReporter

rng = np.random.default_rng(0)
X = rng.normal(size=(61, 2)) @ rng.normal(size=(2, 7)) + 0.1 * rng.normal(size=(61, 7))
NEW = X[:20] + 0.01
SMALL = {"hidden": (9,), "batch_size": 16}


def press_ctrl_c(epoch: int):
    """A callback that sends SIGINT after an epoch, as a terminal or a notebook does."""

    def callback(done: int, metrics: dict) -> None:
        if done == epoch:
            signal.raise_signal(signal.SIGINT)

    return callback


def test_ctrl_c_keeps_the_model_and_a_warm_start_goes_on() -> None:
    whole = VAE(**SMALL, epochs=6).fit(X)
    model, before = VAE(**SMALL, epochs=6), signal.getsignal(signal.SIGINT)
    with pytest.warns(FitStopped, match="stopped by Ctrl-C in epoch 4.*3 of 6 epochs"):
        model.fit(X, callback=press_ctrl_c(3))
    assert model.epochs_done_ == 3 and len(model.loss_curve_) == 3
    assert np.isfinite(model.transform(X)).all()
    assert signal.getsignal(signal.SIGINT) is before
    model.set_params(warm_start=True, epochs=3).fit(X)
    assert model.epochs_done_ == 6
    np.testing.assert_array_equal(model.theta_, whole.theta_)
    assert model.loss_curve_ == whole.loss_curve_


def test_ctrl_c_before_the_first_update_fits_nothing(monkeypatch) -> None:
    import minivae.estimators.training as training

    real = training.train

    def pressed(*args, **more):
        signal.raise_signal(signal.SIGINT)
        return real(*args, **more)

    monkeypatch.setattr(training, "train", pressed)
    model = VAE(**SMALL, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert not hasattr(model, "theta_")


def test_ctrl_c_twice_ends_at_once() -> None:
    def twice(done: int, metrics: dict) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        VAE(**SMALL, epochs=3).fit(X, callback=twice)


def test_a_warm_start_refuses_another_architecture() -> None:
    model = VAE(**SMALL, epochs=1, warm_start=True).fit(X)
    with pytest.raises(ValueError, match="set warm_start=False to start anew"):
        model.set_params(hidden=(5,)).fit(X)
    cold = VAE(**SMALL, epochs=1).fit(X)
    again = cold.theta_.copy()
    np.testing.assert_array_equal(cold.fit(X).theta_, again)  # without it, fit starts anew


def test_partial_fit_is_an_epoch() -> None:
    whole = VAE(**SMALL, epochs=3).fit(X)
    parts = VAE(**SMALL)
    for _ in range(3):
        parts.partial_fit(X)
    np.testing.assert_array_equal(parts.theta_, whole.theta_)
    assert parts.epochs_done_ == 3
    parts.partial_fit(NEW)  # other rows, as many as there are
    assert len(parts.history_["epoch"]) == 4
    with pytest.raises(ValueError, match="expecting 7 features"):
        parts.partial_fit(X[:, :3])


def test_validation_data_are_measured_and_not_trained_on() -> None:
    plain = VAE(**SMALL, epochs=4).fit(X)
    measured = VAE(**SMALL, epochs=4).fit(X, validation_data=NEW)
    np.testing.assert_array_equal(measured.theta_, plain.theta_)
    assert len(measured.validation_curve_) == 4 and plain.validation_curve_ == []
    patient = VAE(**SMALL, epochs=60, lr=0.05, patience=2).fit(X, validation_data=NEW)
    assert patient.n_iter_ < 60
    assert int(np.argmin(patient.validation_curve_)) == patient.n_iter_ - 3
    with pytest.raises(ValueError, match="expecting 7 features"):
        VAE(**SMALL, epochs=1).fit(X, validation_data=NEW[:, :3])


def stopped_by_patience() -> VAE:
    """A model whose best epoch is not its last."""
    model = VAE(**SMALL, epochs=60, lr=0.05, patience=2, validation=0.3).fit(X)
    assert int(np.argmin(model.validation_curve_)) == model.n_iter_ - 3
    return model


def test_after_patience_the_best_epochs_model_is_trained_further() -> None:
    model = stopped_by_patience()
    best, done = model.theta_.copy(), model.n_iter_
    np.testing.assert_array_equal(model.state_.theta, best)
    model.set_params(lr=1e-300).partial_fit(X)  # so it stays where it begins
    np.testing.assert_array_equal(model.theta_, best)
    assert model.n_iter_ == done + 1 and len(model.loss_curve_) == done + 1


def test_a_warm_start_keeps_the_best_of_its_own_epochs() -> None:
    model = stopped_by_patience()
    best, done = model.theta_.copy(), model.n_iter_
    seen = {}
    keep = lambda epoch, row: seen.update({epoch: row["valid_loss"]})  # noqa: E731
    model.set_params(warm_start=True, epochs=9).fit(X, callback=keep)
    chosen = min(seen, key=seen.__getitem__)
    assert done < chosen < model.n_iter_  # neither the last one nor one of the first fit
    again = stopped_by_patience().set_params(warm_start=True, epochs=chosen - done).fit(X)
    np.testing.assert_array_equal(model.theta_, again.theta_)
    assert not np.array_equal(model.theta_, best)


def test_patience_begins_after_the_warm_up() -> None:
    settings = {**SMALL, "lr": 0.05, "patience": 1, "validation": 0.3}
    eager = VAE(**settings, epochs=40).fit(X)
    patient = VAE(**settings, epochs=40, warmup=12.0).fit(X)
    assert eager.n_iter_ < 12 < patient.n_iter_


def test_a_callback_sees_each_epoch_and_may_end_the_fit() -> None:
    seen = []

    def callback(epoch: int, metrics: dict) -> bool:
        seen.append((epoch, metrics["train_loss"]))
        return epoch == 2

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an end that was asked for is no warning
        model = VAE(**SMALL, epochs=9).fit(X, callback=callback)
    assert [epoch for epoch, _ in seen] == [1, 2] and model.epochs_done_ == 2
    assert [loss for _, loss in seen] == model.loss_curve_


def test_the_history_is_a_table() -> None:
    model = VAE(**SMALL, epochs=3, patience=9).fit(X)
    columns = model.history_
    assert {len(column) for column in columns.values()} == {3}
    assert columns["epoch"] == [1, 2, 3] and columns["train_loss"] == model.loss_curve_
    assert columns["valid_loss"] == model.validation_curve_
    pandas = pytest.importorskip("pandas")
    assert pandas.DataFrame(columns).shape[0] == 3


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frames_text_columns_are_named(library: str) -> None:
    frame = pytest.importorskip(library).DataFrame({"age": [3.0, 4.0], "town": ["a", "b"]})
    with pytest.raises(ValueError, match=r"^X has text in 'town': leave such columns out, or"):
        VAE(**SMALL).fit(frame)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_dates_are_no_numbers(library: str) -> None:
    day = [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)]
    frame = pytest.importorskip(library).DataFrame({"age": [3.0, 4.0], "day": day})
    if library == "pandas":
        frame["day"] = frame["day"].astype("datetime64[s]")
    with pytest.raises(ValueError, match="column 'day' holds dates; make numbers of them"):
        VAE(**SMALL).fit(frame)
    with pytest.raises(TypeError, match=r"give its rows, load_data\('x.csv'\)"):
        VAE(**SMALL).fit("x.csv")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (X[:, 0], "got 1D array instead: Reshape your data"),
        (np.float32(3), "got scalar array instead: Reshape your data"),
        (X * 1j, "Complex data not supported: give numpy.hstack"),
        (np.where(X > 1, np.inf, X), "contains infinity"),
        (np.where(X > 1, np.nan, X), "drop those rows or fill them in"),
        ([[1, 2], [3]], "inhomogeneous"),
    ],
    ids=["1-d", "0-d", "complex", "infinite", "missing", "ragged"],
)
def test_wrong_arrays_are_one_line(given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        VAE(**SMALL).fit(given)
    assert "\n" not in str(caught.value)


def test_what_fit_does_not_take_is_said() -> None:
    with pytest.raises(TypeError, match="takes no epochs: its settings are parameters"):
        VAE(**SMALL).fit(X, epochs=3)


def test_samples_spread_as_the_data_do() -> None:
    noisy = rng.normal(size=(400, 1)) * np.array([[1.0, 0.0]]) + rng.normal(size=(400, 2)) * 0.5
    model = VAE(latent_dim=1, hidden=(16,), epochs=80, batch_size=40, lr=5e-3).fit(noisy)
    drawn, means = model.sample(4000), model.sample(4000, mean=True)
    ratio = drawn.std(axis=0) / noisy.std(axis=0)
    assert (np.abs(ratio - 1) <= 0.15).all(), ratio
    assert means.std(axis=0)[1] < 0.5 * noisy.std(axis=0)[1]


def test_a_bar_in_a_notebook_and_lines_elsewhere(monkeypatch, capsys) -> None:
    VAE(**SMALL, epochs=2, verbose=True).fit(X)
    assert capsys.readouterr().out.count("epoch ") >= 2
    monkeypatch.setitem(__import__("sys").modules, "ipykernel", object())
    assert isinstance(reporter_for(True), RichReporter)


def test_it_shows_itself_as_scikit_learn_does() -> None:
    assert "VAE" in VAE(**SMALL)._repr_html_()
