"""The GPU's training step through its real launch sequence, recorded and replayed on the host.

The graph is a list of launches whose arguments were frozen when it was recorded, so a step that
needed a changing argument would fail here. Not shown: CUDA's own capture, cuBLAS, the card.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minivae_kernels import Unsupported, gpu
from minivae_kernels.gpu.buffers import WORKSPACES, bytes_fixed, bytes_per_datum
from minivae_kernels.gpu.descent import OPTIMISERS
from minivae_kernels.gpu.host_device import HostDevice

sys.path.insert(0, str(Path(__file__).parent))
from gpu_steps import (
    ACTIVATED,
    LIKELY,
    MODELS,
    WEIGHED,
    N,
    check_step,
    problem,
    reference,
    run,
    schedule,
)

from minivae.backend import Backend
from minivae.models.config import ModelConfig
from minivae.proof.tolerances import tol


@pytest.mark.parametrize(
    ("model", "optimiser"),
    [(model, optimiser) for model in MODELS for optimiser in ("sgd", "adam")]
    + [(model, "adam") for model in (*ACTIVATED, *LIKELY, *WEIGHED)]
    + [("three layers, three draws", name) for name in OPTIMISERS if name not in ("sgd", "adam")],
)
def test_step_within_twice_the_reference_error(K: Backend, model: str, optimiser: str) -> None:
    check_step(K, model, optimiser)


def test_repeated_and_reordered_runs_give_the_same_bits(built: None) -> None:
    """No sum depends on who runs first: threads up, down, shuffled."""
    given = problem(MODELS["three layers, three draws"])
    states = [run(gpu.table(HostDevice(order))["make_step"](*given))[0] for order in (0, 0, 1, 77)]
    assert len({theta.tobytes() + moments.tobytes() for theta, moments in states}) == 1


def test_one_call_is_many_calls(K: Backend) -> None:
    """The counters in device memory do what arguments would: 1 x 4 updates are 4 x 1."""
    given = problem(MODELS["relu bernoulli"])
    rows, t, lr, beta = schedule(4, 9)
    whole, single = K.make_step(*given), K.make_step(*given)
    whole(rows, t, lr, beta)
    for i in range(4):
        single(rows[i : i + 1], t + i, lr[i : i + 1], beta[i : i + 1])
    assert whole.state()[0].tobytes() == single.state()[0].tobytes()
    assert whole.metrics()["updates"] == single.metrics()["updates"] == 4


def test_one_graph_for_each_batch_size(K: Backend, device: HostDevice) -> None:
    step = K.make_step(*problem(MODELS["relu bernoulli"]))
    for batch in (9, 9, 4, 9, 1):
        step(*schedule(2, batch))
    assert sorted(step.graphs) == [1, 4, 9]
    device.launches = 0
    step(*schedule(5, 9))
    assert (device.launches - 1) % 5 == 0  # begin_call, then the same launches every update
    metrics = step.metrics()
    assert metrics["updates"] == 15 and metrics["samples"] == 2 * (9 + 9 + 4 + 9 + 1) + 45
    assert step.metrics()["updates"] == 0


@pytest.mark.parametrize("batch", [7, 128, 2051])
def test_batches_of_all_sizes(K: Backend, batch: int) -> None:
    """From one row tile to 256 of several rows a warp, vectorised columns and not."""
    for model in (
        ModelConfig(data_dim=9, latent_dim=3, hidden=(5, 7), draws=2),
        ModelConfig(data_dim=128, hidden=(12,)),
    ):
        given = problem(model, max_batch=2051, optimiser="sgd", settings={"momentum": 0.5})
        mine, single, exact = (
            run(make, n=1, batch=batch)[0][0]
            for make in (
                K.make_step(*given),
                reference(*given, np.float32),
                reference(*given, np.float64),
            )
        )
        assert np.linalg.norm(mine - exact) <= tol("budget_factor") * np.linalg.norm(single - exact)


def test_memory_asked_for_is_the_memory_used(K: Backend, device: HostDevice) -> None:
    """The estimate covers what is allocated, by no more than cuBLAS's workspaces and a tenth."""
    for model in [
        *MODELS.values(),
        ACTIVATED["gelu, 4 latent"],
        LIKELY["gaussian-diagonal, learned"],
        *WEIGHED.values(),
    ]:
        plan, *rest = problem(model, max_batch=3000)
        device.forget()
        step = K.make_step(plan, *rest)
        used = sum(size for _, size in device.buffers)
        parameters = step.buffers.theta.size
        asked = bytes_fixed(plan, parameters, rest[2].nbytes) + 3000 * bytes_per_datum(plan)
        assert used <= asked <= 1.1 * used + WORKSPACES


def test_portions_larger_than_the_buffer(K: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(MODELS["linear"])
    whole, parts = K.make_step(*given), K.make_step(*given)
    whole(*schedule(7, 9))
    monkeypatch.setattr("minivae_kernels.gpu.step.ROWS_HELD", 20)
    parts(*schedule(7, 9))
    assert whole.state()[0].tobytes() == parts.state()[0].tobytes()


@pytest.mark.parametrize("plan", [{}, {"optimiser": "sgd"}])
def test_a_loss_that_is_not_finite_stops_everything(K: Backend, plan: dict[str, Any]) -> None:
    """The bad update and all after it change nothing, and it is named."""
    model = MODELS["gaussian, given c"]
    settings, theta, moments, data = problem(model, **plan)
    data[N - 1, 3] = np.inf
    step = K.make_step(settings, theta, moments, data)
    rows, t, lr, beta = schedule(4, 9)
    rows[rows == N - 1] = 0
    step(rows[:1], t, lr[:1], beta[:1])
    good = step.state()
    rows[2, 4] = N - 1
    two = K.make_step(settings, theta, moments, data)
    two(rows[:2], t, lr[:2], beta[:2])
    assert step.bad_step == -1
    step(rows[1:], t + 1, lr[1:], beta[1:])
    assert step.bad_step == t + 2
    step(rows[:1], t + 4, lr[:1], beta[:1])
    assert step.bad_step == t + 2
    assert step.metrics()["updates"] == 2
    for mine, theirs, before in zip(step.state(), two.state(), good, strict=True):
        assert mine.tobytes() == theirs.tobytes() != before.tobytes()


def test_overflow_beyond_float32_counts_as_not_finite(K: Backend) -> None:
    settings, theta, moments, data = problem(MODELS["gaussian, given c"])
    step = K.make_step(settings, theta, moments, np.full_like(data, 3e19))
    step(*schedule(1, 9))
    assert step.bad_step == 6


def test_moments_are_taken_up(K: Backend) -> None:
    """Stopping and resuming is the same as going on."""
    plan, theta, moments, data = problem(MODELS["tanh, two layers, free bits"])
    rows, t, lr, beta = schedule(4, 9)
    whole, first = K.make_step(plan, theta, moments, data), K.make_step(plan, theta, moments, data)
    whole(rows, t, lr, beta)
    first(rows[:2], t, lr[:2], beta[:2])
    second = K.make_step(plan, *first.state(), data)
    second(rows[2:], t + 2, lr[2:], beta[2:])
    assert whole.state()[0].tobytes() == second.state()[0].tobytes()


def test_bad_arguments_are_named(K: Backend, device: HostDevice) -> None:
    plan, theta, moments, data = problem(MODELS["linear"])
    step = K.make_step(plan, theta, moments, data)
    one = np.ones(1)
    with pytest.raises(ValueError, match="B from 1 to 9"):
        step(np.zeros((1, 10), int), 0, one, one)
    with pytest.raises(IndexError, match="rows 0 to 40"):
        step(np.full((1, 2), N), 0, one, one)
    with pytest.raises(ValueError, match="for 2 updates"):
        step(np.zeros((2, 2), int), 0, one, one)
    with pytest.raises(TypeError, match="float32"):
        K.make_step(plan, theta.astype(float), moments, data)
    with pytest.raises(TypeError, match="uint8 or float32"):
        K.make_step(plan, theta, moments, data.astype(int))
    device.memory = 80 << 20
    with pytest.raises(MemoryError, match=r"a batch of [0-9]+ would fit"):
        K.make_step(plan._replace(max_batch=10**6), theta, moments, data)
    device.memory = 1 << 20
    with pytest.raises(MemoryError, match="use fewer data"):
        K.make_step(plan, theta, moments, data)


@pytest.mark.parametrize("part", ["activation", "likelihood", "optimiser", "objective"])
def test_a_part_without_a_kernel_is_declined_by_name(K: Backend, part: str) -> None:
    plan, *rest = problem(MODELS["relu bernoulli"])
    plan = plan._replace(**{part: "brand-new"})
    with pytest.raises(Unsupported, match=f"{part} 'brand-new'"):
        gpu.table(HostDevice())["make_step"](plan, *rest)


def test_rows_of_unequal_weight_are_declined() -> None:
    from minivae_kernels.gpu.importance import require_kernels

    plan, *_ = problem(MODELS["relu bernoulli"])
    require_kernels(plan)
    with pytest.raises(Unsupported, match="rows of unequal weight"):
        require_kernels(plan._replace(weighted=True))
