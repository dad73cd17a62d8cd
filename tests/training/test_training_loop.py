"""The loop: every row once an epoch, the same bits each time, what it leaves and refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.data.errors import DataError
from minivae.models.config import ConfigError
from minivae.runs.errors import RunError
from minivae.runs.load import load_model, load_run
from minivae.training.job import make_job
from tests.training.child_run import (
    CALM,
    HARD,
    checkpoint_files,
    lasting_records,
    run_here,
    settings,
    small_data,
)
from tests.training.doubles import RecordingBackend

pytestmark = pytest.mark.usefixtures("swift_disk")


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
        ({}, {"scale": 1.0}, DataError, "bernoulli"),
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


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"state": "any"}, "state: goes on in memory; with run_dir use resume=True"),
        ({"lr": lambda t: 1e-3}, "lr: a function is not recorded in a run directory"),
    ],
)
def test_what_a_run_directory_does_not_record_is_refused(tmp_path, given, words):
    with pytest.raises(ConfigError, match=words):
        run_here({}, tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_a_rate_that_is_a_function_trains_in_memory():
    K = RecordingBackend()
    run_here({"train": {"epochs": 1}}, None, K=K, lr=lambda t: 1e-3 / (1 + t))
    rates = np.concatenate([lr for _, _, lr, _ in K.seen])
    assert rates == pytest.approx(1e-3 / (1 + np.arange(34)))


def test_more_threads_than_kernels_can_be_run_by_are_refused(tmp_path):
    from minivae_kernels import MOST_THREADS

    K = RecordingBackend()
    K.name = "numba"
    spec = {"train": {"backend": "numba", "threads": MOST_THREADS + 1}}
    with pytest.raises(ConfigError, match=f"threads = {MOST_THREADS + 1}: must be at most"):
        run_here(spec, tmp_path / "run", K=K)
    assert not (tmp_path / "run").exists()
    of_the_reference = {"train": {"threads": MOST_THREADS + 1, "epochs": 1}}
    assert run_here(of_the_reference, None, K=RecordingBackend()).epochs == 1
