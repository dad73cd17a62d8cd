"""The GPU's training step through its real launch sequence, recorded and replayed on the host.

The graph is a list of launches whose arguments were frozen when it was recorded, so a step that
needed a changing argument would fail here. Not shown: CUDA's own capture, cuBLAS, the card.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minivae_kernels import gpu
from minivae_kernels.gpu.host_device import HostDevice

from minivae.backend import Backend, load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.training.plan import make_plan
from minivae.training.step import ReferenceStep
from minivae.verify.tolerances import tol

N = 41
MODELS = {
    "relu bernoulli": ModelConfig(data_dim=131, latent_dim=5, hidden=(37,), beta=0.7),
    "tanh, two layers, free bits": ModelConfig(
        data_dim=36, latent_dim=8, hidden=(20, 12), activation="tanh", free_bits=0.05
    ),
    "three layers, three draws": ModelConfig(
        data_dim=33, latent_dim=3, hidden=(19, 11, 7), draws=3
    ),
    "linear": ModelConfig(data_dim=21, latent_dim=4, hidden=(), beta=1.3),
    "gaussian, learned c": ModelConfig(
        data_dim=29, latent_dim=35, hidden=(17,), likelihood="gaussian", c="learned", draws=2
    ),
    "gaussian, given c": ModelConfig(
        data_dim=29, latent_dim=3, hidden=(17,), likelihood="gaussian", c=0.4
    ),
}


def problem(model: ModelConfig, **settings: Any) -> tuple[Any, ...]:
    """(plan, theta, moments, data) in float32, bytes for a Bernoulli model."""
    rng = np.random.default_rng(5)
    bernoulli = model.likelihood == "bernoulli"
    data = rng.integers(0, 256, size=(N, model.data_dim), dtype=np.uint8)
    if not bernoulli:
        data = rng.normal(size=data.shape).astype(np.float32)
    defaults = {
        "scale": 1 / 255 if bernoulli else 1.0,
        "seed": 2**33 + 7,
        "max_batch": 9,
        "binarise": "dynamic" if bernoulli else "none",
    }
    plan = make_plan(model, **{**defaults, **settings})
    theta = initialise(model, 3, np.float32)
    theta = theta + np.float32(0.02) * rng.normal(size=theta.size).astype(np.float32)  # biases too
    return plan, theta.astype(np.float32), np.zeros((2, theta.size), np.float32), data


def schedule(n: int, batch: int) -> tuple[Any, ...]:
    """(rows, t, lr, beta) of n updates, all changing."""
    rows = np.random.default_rng(8).integers(0, N, size=(n, batch))
    return rows, 6, 1e-3 * (1 + np.arange(n)), 0.3 + 0.2 * np.arange(n)


def run(step: Any, n: int = 3, batch: int = 9) -> tuple[Any, Any]:
    step(*schedule(n, batch))
    return step.state(), step.metrics()


def reference(plan: Any, theta: Any, moments: Any, data: Any, dtype: Any) -> ReferenceStep:
    data = data if data.dtype == np.uint8 else data.astype(dtype)
    return ReferenceStep(
        load_backend("numpy"), plan, theta.astype(dtype), moments.astype(dtype), data
    )


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("model", MODELS)
def test_step_within_twice_the_reference_error(K: Backend, model: str, optimiser: str) -> None:
    given = problem(MODELS[model], optimiser=optimiser, adam_eps=1e-3)
    exact = run(reference(*given, np.float64))
    single = run(reference(*given, np.float32))
    mine = run(K.make_step(*given))
    pairs = zip(mine[0], single[0], exact[0], strict=True)
    for what, (got, theirs, truth) in zip(("theta", "moments"), pairs, strict=True):
        own, error = np.linalg.norm(theirs - truth), np.linalg.norm(got - truth)
        assert error <= tol("budget_factor") * own, f"{what}: {error} against {own}"
        assert np.linalg.norm(truth - (given[1] if what == "theta" else 0)) > 100 * own
    for key, truth in exact[1].items():
        np.testing.assert_allclose(mine[1][key], truth, rtol=3e-6, err_msg=key)


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
    device.memory = 45 << 20
    with pytest.raises(MemoryError, match=r"a batch of [0-9]+ would fit"):
        K.make_step(plan._replace(max_batch=10**6), theta, moments, data)
    device.memory = 1 << 20
    with pytest.raises(MemoryError, match="use fewer data"):
        K.make_step(plan, theta, moments, data)
