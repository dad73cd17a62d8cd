"""The fused step for every part that has a kernel, against the reference step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minivae_kernels.cpu.ops.activations import ACTIVATIONS
from minivae_kernels.cpu.ops.likelihoods import LIKELIHOODS
from minivae_kernels.cpu.ops.optimisers import OPTIMISERS
from minivae_kernels.cpu.ops.row_likelihoods import ROW_LIKELIHOODS

from minivae import parts
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.parts.domains import COUNTS, SHARES
from minivae.training.plan import make_plan
from minivae.training.step import ReferenceStep

N, D = 90, 43
GROUPS = (20, 21, 2)  # two of them lie across panels of 32 columns


def both_steps(
    K: Any, *, batch: int = 13, optimiser: str = "sgd", threads: int = 2, **model: Any
) -> list[Any]:
    """The fused step and the reference's, made from the same parameters and data."""
    if parts.LIKELIHOODS[model.get("likelihood", "bernoulli")].grouped:
        model["groups"] = GROUPS
    config = ModelConfig(data_dim=D, latent_dim=5, hidden=(37, 19), **model)
    plan = make_plan(
        config, scale=1.0, seed=3, max_batch=batch, optimiser=optimiser, threads=threads
    )
    theta = initialise(config, 11)
    moments = np.zeros((parts.OPTIMISERS[optimiser].moments, theta.size), dtype=np.float32)
    rng = np.random.default_rng(3)
    data = drawn(config, rng).astype(np.float32)
    steps = [K.make_step(plan, theta, moments, data), ReferenceStep(K, plan, theta, moments, data)]
    rows = np.stack([rng.permutation(N)[:batch] for _ in range(6)])
    for step in steps:
        step(rows, 0, np.linspace(1e-3, 2e-3, 6), np.linspace(0.3, 1.2, 6))
    return steps


def drawn(config: ModelConfig, rng: np.random.Generator) -> np.ndarray:
    """Data that the likelihood accepts: counts up to 10, one of each group, or shades."""
    domain = parts.LIKELIHOODS[config.likelihood].domain
    if domain is COUNTS:
        return rng.integers(0, 3, (N, D)) * np.where(np.arange(D) == 7, 5, 1)
    if domain is SHARES:
        return np.hstack([np.eye(size)[rng.integers(size, size=N)] for size in GROUPS])
    return rng.random((N, D))


def assert_alike(K: Any, **settings: Any) -> None:
    for batch in (1, 13, 70):
        mine, theirs = both_steps(K, batch=batch, **settings)
        (a, am), (b, bm) = mine.state(), theirs.state()
        assert am.shape == bm.shape
        apart = np.abs(a - b)  # an update is about 1e-3; some rules magnify gradients near 0
        assert np.max(apart) <= 2e-4
        assert np.sqrt(np.mean(apart**2)) <= 2e-6
        for m, r in zip(am, bm, strict=True):
            assert np.max(np.abs(m - r)) <= 5e-5 * np.max(np.abs(r))
        x, y = mine.metrics(), theirs.metrics()
        for key in y:
            np.testing.assert_allclose(x[key], y[key], rtol=2e-5, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(K: Any, name: str) -> None:
    assert_alike(K, activation=name)


@pytest.mark.parametrize("name", {**LIKELIHOODS, **ROW_LIKELIHOODS})
def test_likelihood(K: Any, name: str) -> None:
    assert_alike(K, likelihood=name)
    if parts.LIKELIHOODS[name].scale is not None:
        assert_alike(K, likelihood=name, c="learned", draws=3)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "poisson", *ROW_LIKELIHOODS])
@pytest.mark.parametrize(("objective", "draws"), [("iwae", 2), ("iwae", 5), ("sampled-elbo", 1),
                                                  ("sampled-elbo", 3)])  # fmt: skip
def test_weighed_draws(K: Any, likelihood: str, objective: str, draws: int) -> None:
    scale = {"c": "learned"} if parts.LIKELIHOODS[likelihood].scale is not None else {}
    assert_alike(K, objective=objective, draws=draws, likelihood=likelihood, **scale)


@pytest.mark.parametrize("objective", ["elbo", "iwae"])
@pytest.mark.parametrize("name", ROW_LIKELIHOODS)
def test_threads_change_no_bit_of_what_is_scored_by_rows(K: Any, name: str, objective: str) -> None:
    scale = {"c": "learned"} if parts.LIKELIHOODS[name].scale is not None else {}
    settings = {"likelihood": name, "objective": objective, "draws": 2, **scale}
    ends = [both_steps(K, batch=70, threads=n, **settings)[0] for n in (1, 2, 3)]
    assert len({step.state()[0].tobytes() for step in ends}) == 1
    assert len({step.metrics()["loss"] for step in ends}) == 1


@pytest.mark.parametrize("name", ROW_LIKELIHOODS)
def test_a_smaller_batch_after_a_larger_one(K: Any, name: str) -> None:
    """Nothing of the larger one's sums is left in its loss."""
    steps = both_steps(K, batch=70, likelihood=name)
    for step in steps:
        step.metrics()
        step(np.arange(9)[None], 6, np.array([1e-3]), np.array([1.0]))
    mine, theirs = (step.metrics()["loss"] for step in steps)
    assert abs(mine - theirs) <= 1e-5 * abs(theirs)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser(K: Any, name: str) -> None:
    assert_alike(K, optimiser=name)
