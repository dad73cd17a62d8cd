"""A 784-400-20 model: probes, planted errors, the sample, the latent dimension, the wrong op."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from minivae import ops
from minivae.models.config import ModelConfig
from minivae.proof.full_size import FullSize, score_plants
from minivae.proof.tolerances import tol


@pytest.fixture(scope="module")
def model():
    return FullSize()


def spoilt(op, change):
    K = SimpleNamespace(**{name: getattr(ops, name) for name in ops.OPS})
    right = getattr(ops, op)
    setattr(K, op, lambda *args: change(right(*args), *args))
    return K


def test_every_tensor_is_right(model):
    rows = model.probe_all()
    assert {row.tensor for row in rows} == set(model.p)
    assert all(row.error <= tol("probe") for row in rows)


def test_probing_all_tensors_is_quick(model):
    times = []
    for _ in range(3):
        start = time.process_time()
        model.probe_all()
        times.append(time.process_time() - start)
    # Processor time, so that a busy machine does not fail it; twice the figure for slow ones.
    assert min(times) <= 2 * tol("full_size_seconds")


def test_one_entry_off_by_1e_10_of_the_norm_shows(model):
    g = model.hand["encoder.0.W"].copy()
    g[311, 7] += 1e-10 * np.sqrt((g * g).sum())
    assert not model.probe("encoder.0.W", {**model.hand, "encoder.0.W": g}).ok


def test_planted_errors_are_located(model):
    found = score_plants(model, 4, tol("plant"), seed=5)
    assert all(hit for hit, _ in found)
    assert all(f.probes <= 22 for _, f in found)


@pytest.mark.slow
def test_two_hundred_planted_errors_are_located(model):
    found = score_plants(model, 200, tol("plant"))
    assert sum(hit for hit, _ in found) == 200
    assert np.median([f.seconds for _, f in found]) <= tol("locate_seconds")


def test_nan_is_not_small(model):
    g = model.hand["decoder.0.b"].copy()
    g[3] = np.nan
    assert not model.probe("decoder.0.b", {**model.hand, "decoder.0.b": g}).ok


def test_down_to_the_sample_the_latent_dimension_and_the_op():
    def change(grads, dkl, mu, logvar):
        dmu, dlogvar = grads
        dlogvar = dlogvar.copy()
        if len(mu) > 11:
            dlogvar[11, 4] *= 1.001
        return dmu, dlogvar

    small = FullSize(spoilt("kl_backward", change), ModelConfig(31, 7, hidden=(13,)), batch=17)
    bad = [row.tensor for row in small.probe_all() if not row.ok]
    assert "encoder.logvar.W" in bad and "decoder.out.W" not in bad
    found = small.locate("encoder.logvar.W")
    assert small.latent_dimension("encoder.logvar.W", found.at) == 4
    assert small.latent_dimension("decoder.0.W", (4, 9)) == 4
    assert small.latent_dimension("decoder.out.W", (4, 9)) is None  # a hidden unit's
    assert small.latent_dimension("decoder.0.b", (4,)) is None
    bare = FullSize(config=ModelConfig(5, 3, hidden=()), batch=2)
    assert bare.latent_dimension("decoder.out.W", (2, 4)) == 2
    verdict = small.first_wrong_op()
    assert verdict.op == "kl_backward" and verdict.argument == 1 and verdict.at == (11, 4)


def test_the_sample_to_blame():
    def change(grads, dy, x):
        dW, db = grads
        marked = np.isclose(x[:, 0], 0.123456)
        return dW + 0.01 * x[marked].T @ dy[marked], db

    small = FullSize(spoilt("dense_backward_params", change), ModelConfig(31, 7, hidden=(13,)), 17)
    small.x[5, 0] = 0.123456
    small.hand = small.gradient()
    found = small.locate("encoder.0.W")
    assert small.blame_sample("encoder.0.W", found.at) == 5
    assert small.first_wrong_op().op == "dense_backward_params"
