"""Shards on a card, by the stand-in: gradients there, their sum on the host, the same update."""

from __future__ import annotations

import numpy as np

from minivae.backend import Backend, load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.training.plan import make_plan
from minivae.training.sharded import ShardedStep


def test_the_shards_of_a_card_add_up_to_the_hosts(C: Backend) -> None:
    config = ModelConfig(11, 3, hidden=(7,), draws=2)
    plan = make_plan(config, scale=1 / 255, seed=4, max_batch=8, binarise="dynamic")
    theta = initialise(config, 0).astype(np.float32)
    data = np.random.default_rng(0).integers(0, 256, (40, 11)).astype(np.uint8)
    rows = np.random.default_rng(1).integers(0, 40, (3, 8))
    found = []
    for K in (C, load_backend("numpy")):
        step = ShardedStep(K, plan, theta, np.zeros((2, theta.size), "f"), data, shards=4)
        step(rows, 3, np.full(3, 1e-2), np.full(3, 0.7))
        found.append((*step.state(), step.metrics()["loss"]))
    (mine, moments, loss), (theirs, expected, host) = found
    assert np.abs(mine - theirs).max() <= 1e-5 and np.abs(moments - expected).max() <= 1e-5
    assert abs(loss / host - 1) <= 1e-5
