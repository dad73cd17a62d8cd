"""NaN and infinity: the first op, layer and samples are named, and the last good state is kept."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.models.vae import elbo_backward, elbo_forward, layout_of
from minivae.runs.errors import Diverged
from minivae.runs.load import load_model
from minivae.runs.state import State
from minivae.training.job import make_job
from minivae.training.nan_origin import TracingBackend, trace_update
from minivae.training.nan_replay import investigate
from minivae.training.schedule import Schedule
from minivae.training.step import ReferenceStep
from tests.training.child_run import run_here, settings, small_data

pytestmark = pytest.mark.usefixtures("swift_disk")


def job_and_state(spec):
    model, config = settings(spec)
    job = make_job(model, config, small_data(), load_backend("numpy"), None)
    return job, State.fresh(model, 0, config.optimiser)


def poison(job, state, name, value):
    layout_of(job.model).views(state.theta)[name][...] = value


def test_a_wild_rate_is_caught_and_the_state_before_it_kept(tmp_path):
    spec = {"train": {"lr": 1e30, "optimiser": "sgd", "momentum": 0.0}}
    with pytest.raises(Diverged) as caught:
        run_here(spec, tmp_path / "run")
    text = str(caught.value)
    assert "gave infinity" in text or "gave NaN" in text
    assert "try a lower rate" in text and "last good state is kept" in text and "\n" not in text
    assert "update 1 (epoch 1)" in text
    theta = load_model(tmp_path / "run", "last")[2]
    assert np.isfinite(theta).all()


def test_where_the_first_update_is_bad_nothing_is_said_to_be_kept(tmp_path):
    with pytest.raises(Diverged, match=r"update 0 .*no update came before it") as caught:
        run_here({"train": {"lr": 1e38}}, tmp_path / "run")
    assert "kept" not in str(caught.value)
    assert not list((tmp_path / "run" / "checkpoints").glob("*.safetensors"))


def test_the_kept_state_is_the_one_before_the_bad_update(tmp_path, monkeypatch):
    spec = {"train": {"lr": 1e-3, "epochs": 2}, "model": {"likelihood": "gaussian"}}
    bad_from = 44  # in the second epoch
    planned = Schedule(lambda t: 1e-3 if t < bad_from else 1e36, 1.0, 0.0)
    monkeypatch.setattr(Schedule, "of", lambda *given: planned)
    with pytest.raises(Diverged, match=rf"update {bad_from + 1} \(epoch 2\)"):
        run_here(spec, tmp_path / "run")
    manifest = load_model(tmp_path / "run", "last")[3]
    assert manifest["progress"]["t"] == bad_from + 1
    # the epoch before is there too
    assert (tmp_path / "run" / "checkpoints" / "epoch-0001.json").exists()


def test_a_row_that_is_no_number_is_named(tmp_path):
    data = small_data()
    train = data.train.astype(np.float32)
    train[[5, 300]] = np.nan
    data = data.with_parts(train=train, test=data.test.astype(np.float32))
    spec = {"model": {"likelihood": "gaussian"}, "train": {"batch_size": 400}}
    with pytest.raises(
        Diverged,
        match=r"gather in the data gave NaN; training rows 5, 300|"
        r"gather in the data gave NaN; training rows 300, 5",
    ):
        run_here(spec, tmp_path / "run", data=data)


@pytest.mark.parametrize(
    ("name", "value", "op", "place"),
    [
        ("encoder.1.W", 3e38, "dense_forward", "encoder.1"),
        ("encoder.mu.W", np.nan, "dense_forward", "encoder.mu"),
        ("decoder.out.b", np.inf, "dense_forward", "decoder.out"),
    ],
)
@pytest.mark.parametrize("draws", [1, 3])
def test_the_first_op_and_layer_are_named(name, value, op, place, draws):
    job, state = job_and_state({"model": {"hidden": (7, 5), "draws": draws}})
    poison(job, state, name, value)
    fault = trace_update(job, state, job.order(0)[:9])
    assert (fault.op, fault.place) == (op, place)
    assert set(fault.rows) <= set(job.order(0)[:9].tolist()) and fault.rows


def test_only_the_samples_that_made_it_are_named():
    job, state = job_and_state({"model": {"draws": 2}})
    rows = job.order(0)[:9]
    job.data.train[:] = 0
    job.data.train[rows[4], 3] = job.data.train[rows[7], 3] = 255
    views = layout_of(job.model).views(state.theta)
    views["encoder.0.W"][3] = 3e38  # two rows reach it, and overflow one layer on
    views["encoder.mu.W"][...] = 1e3
    fault = trace_update(job, state, rows)
    assert (fault.op, fault.place, fault.what) == ("dense_forward", "encoder.mu", "infinity")
    assert set(fault.rows) == {int(rows[4]), int(rows[7])}


def test_a_backward_fault_is_named_by_its_layer():
    job, state = job_and_state({"model": {"hidden": (7, 5), "likelihood": "gaussian"}})
    views = layout_of(job.model).views(state.theta)
    views["decoder.1.W"][...] = 0  # so the output is its bias, whatever the next weights are
    views["decoder.out.b"][...] = 1e18  # the loss is finite; its gradient times the weights is not
    views["decoder.out.W"][...] = 1e25
    fault = trace_update(job, state, job.order(0)[:9])
    assert (fault.op, fault.place) == ("dense_backward_input", "decoder.out")
    assert set(fault.rows) == set(job.order(0)[:9].tolist())


def test_every_layers_gradients_are_told_apart():
    job, state = job_and_state({"model": {"hidden": (7, 5)}})
    rows = job.order(0)[:9]
    parameters = layout_of(job.model).views(state.theta)
    K, places = TracingBackend(parameters, rows), []
    check = K._check
    K._check = lambda op, *rest: (places.append((op, K.place)), check(op, *rest))
    x, eps = ReferenceStep(K, job.plan, state.theta, state.moments, job.data.train).batch(rows, 0)
    loss, cache = elbo_forward(K, parameters, x, eps, 1.0, job.model)
    elbo_backward(K, 0.7 * np.ones_like(loss), cache, parameters, job.model)
    heads = ["encoder.mu", "encoder.logvar"]
    forward = ["encoder.0", "encoder.1", *heads, "decoder.0", "decoder.1", "decoder.out"]
    assert [p for op, p in places if op == "dense_forward"] == forward
    backward = forward[:3:-1] + heads[::-1] + ["encoder.1", "encoder.0"]
    assert [p for op, p in places if op == "dense_backward_params"] == backward


def test_a_fault_of_the_backend_alone_is_said_to_be_its_own():
    job, state = job_and_state({})

    class Broken:
        name = "numba"

        def __getattr__(self, name):
            return getattr(load_backend("numpy"), name)

        def make_step(self, *args):
            step = ReferenceStep(load_backend("numpy"), *args)
            step.theta[0] = np.nan
            return step

    object.__setattr__(job, "K", Broken())
    text, good = investigate(job, state)
    assert "not by the reference" in text and "numba" in text
    assert good.progress.t == 0


def test_the_moments_overflowing_is_found(tmp_path):
    # the gradient is finite, its square is not: Adam's v becomes infinite while theta stays finite
    spec = {"model": {"likelihood": "gaussian", "c": 1e-25}, "train": {"epochs": 1}}
    with pytest.raises(Diverged, match="adam_update"):
        run_here(spec, tmp_path / "run")
