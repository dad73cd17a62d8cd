"""What is measured while training, and on which rows."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.metrics.likelihood import evaluate
from minivae.models.config import ConfigError
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.training import heldout
from minivae.training.heldout import measure, split_rows
from tests.training.child_run import settings, small_data


def measured(spec, data=None):
    model, config = settings(spec)
    data = data or small_data()
    theta = initialise(model, 3)
    theta += np.float32(0.1) * np.cos(np.arange(theta.size, dtype=np.float32))
    K = load_backend("numpy")
    split = split_rows(data, config)
    figures = measure(K, model, theta, split, config, data.scale, lambda: None)
    return figures, (K, model, theta, split, config)


@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_it_is_what_the_evaluation_says(binarise):
    figures, (K, model, theta, _split, config) = measured({"train": {"binarise": binarise}})
    data = small_data()
    p = layout_of(model).views(theta)
    other = evaluate(
        K, p, data.test, model, seed=config.seed, scale=data.scale, binarise=binarise == "dynamic"
    )
    assert figures["reconstruction"] == pytest.approx(other.reconstruction.mean(), rel=1e-6)
    assert figures["kl_j"] == pytest.approx(other.kl.mean(axis=0).tolist(), rel=1e-6)
    assert figures["elbo"] == pytest.approx(other.elbo.mean(), rel=1e-6)
    assert figures["active_units"] == (other.mu.var(axis=0) > 0.01).sum()


def test_the_chunk_changes_nothing_but_rounding(monkeypatch):
    figures, _ = measured({})
    monkeypatch.setattr(heldout, "MAX_ROWS", 7)
    chunked, _ = measured({})
    assert chunked["loss"] == pytest.approx(figures["loss"], rel=1e-6)
    assert chunked["active_units"] == figures["active_units"]


def test_free_bits_and_beta_count_in_the_loss():
    plain, _ = measured({})
    figures, _ = measured({"model": {"free_bits": 50.0, "beta": 0.5}})
    assert figures["loss"] == pytest.approx(plain["reconstruction"] + 0.5 * 3 * 50.0)
    assert figures["elbo"] == plain["elbo"]


def test_carved_rows_depend_on_the_seed_and_share_nothing_with_training():
    _, config = settings({"train": {"validation": 0.2}})
    split, again = split_rows(small_data(), config), split_rows(small_data(), config)
    assert len(split.rows) == 66 and split.name == "valid"
    assert (split.rows == again.rows).all()
    assert sorted([*split.rows, *split.train_rows]) == list(range(331))
    other = split_rows(small_data(), config.with_changes(seed=1))
    assert (other.rows != split.rows).any()


def test_the_datas_own_validation_part_is_used():
    data = small_data()
    data = data.with_parts(valid=data.test[:11])
    _, config = settings({"train": {"patience": 3}})
    split = split_rows(data, config)
    assert split.name == "valid" and len(split.rows) == 11
    with pytest.raises(ConfigError, match="validation part of its own"):
        split_rows(data, config.with_changes(validation=0.1))
