"""The fused step in two halves: the whole batch's gradient is the fused update, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from minivae_kernels import Unsupported
from minivae_kernels.cpu.step.gradient import GradientStep

from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.training.gradients import ReferenceGradient, make_gradient_step
from minivae.training.plan import make_plan

ROWS = np.random.default_rng(1).integers(0, 40, 13)


def problem(optimiser: str = "adam", **model: object):
    config = ModelConfig(37, 3, hidden=(33,), draws=2, **model)
    plan = make_plan(config, scale=1 / 255, seed=4, max_batch=13, optimiser=optimiser)
    theta = initialise(config, 0).astype(np.float32)
    data = np.random.default_rng(0).integers(0, 256, (40, 37)).astype(np.uint8)
    return plan, theta, np.zeros((2, theta.size), np.float32), data


EACH = {"likelihood": "gaussian-diagonal", "c": "learned"}


@pytest.mark.parametrize("optimiser", ["adam", "sgd", "rmsprop", "adagrad", "adamw"])
@pytest.mark.parametrize("model", [{}, {"objective": "iwae"}, EACH], ids=["elbo", "iwae", "each"])
def test_both_halves_are_the_fused_update_to_the_bit(optimiser, model):
    K, given = load_backend("numba", 2), problem(optimiser, **model)
    whole = K.make_step(*given)
    halves = K.make_gradient_step(*given)
    out = halves.zeros()
    for t in range(3):
        whole(ROWS[None], t, [1e-2], [0.7])
        sums = halves.gradient(ROWS, t, 0.7, 1.0, out, add=False)
        halves.descend(out, 1e-2, t, slice(0, halves.size))
    for mine, theirs in zip(halves.state(), whole.state(), strict=True):
        assert mine.tobytes() == theirs.tobytes()
    before = halves.state()[0]
    halves.gradient(ROWS, 3, 0.7, 1.0, out, add=False)
    assert halves.state()[0].tobytes() == before.tobytes()  # a gradient moves nothing
    assert np.isfinite(sums).all() and len(sums) == 2 + 3


def test_slices_are_the_whole_update():
    K, given = load_backend("numba", 1), problem()
    one, other = K.make_gradient_step(*given), K.make_gradient_step(*given)
    out = one.zeros()
    one.gradient(ROWS, 0, 0.7, 1.0, out, add=False)
    one.descend(out, 1e-2, 0, slice(0, one.size))
    for part in (slice(0, 48), slice(48, 1056), slice(1056, one.size)):
        other.descend(out, 1e-2, 0, part)
    assert one.state()[0].tobytes() == other.state()[0].tobytes()


@pytest.mark.parametrize("model", [{}, EACH], ids=["elbo", "each"])
def test_the_gradient_is_the_references(model):
    K, given = load_backend("numba", 1), problem(**model)
    mine, theirs = K.make_gradient_step(*given), ReferenceGradient(K, *given)
    out, reference = mine.zeros(), theirs.zeros()
    for add in (False, True):
        sums = mine.gradient(ROWS, 0, 0.7, 0.25, out, add=add)
        expected = theirs.gradient(ROWS, 0, 0.7, 0.25, reference, add=add)
        assert np.abs(sums / expected - 1).max() <= 1e-5
        mine.descend(mine.zeros(), 0.0, 0, slice(0, mine.size))  # no step: only laid out
        from minivae_kernels.cpu.step.tables import unpack

        error = np.abs(unpack(mine.plan, out, mine.layout) - reference).max()
        assert error <= 1e-5 * np.abs(reference).max()


def test_a_loss_that_is_not_finite_is_told_and_forgotten():
    plan, theta, moments, data = problem()
    step = GradientStep(plan, np.full_like(theta, 1e30), moments, data)
    assert np.isnan(step.gradient(ROWS, 0, 1.0, 1.0, step.zeros(), add=False)[0])
    assert step.bad_step == -1


def test_a_part_without_a_kernel_is_the_readable_step(monkeypatch):
    def declined(plan, *arrays):
        raise Unsupported(plan, "no kernel for its activation")

    K, given, told = load_backend("numba", 1), problem(), []
    assert type(make_gradient_step(K, *given, told.append)) is GradientStep and told == []
    monkeypatch.setattr(K, "fused_gradient", declined)
    assert type(make_gradient_step(K, *given, told.append)) is ReferenceGradient
    assert len(told) == 1 and told[0].startswith("numba: no kernel for its activation, so ")
    without = make_gradient_step(load_backend("numpy"), *given, told.append)
    assert type(without) is ReferenceGradient and len(told) == 1
