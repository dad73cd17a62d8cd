"""The GPU backend on a real card; skipped, saying why, where there is none.

What these tests need and the host build cannot give: CUDA's own exp, log and tanh, cuBLAS, stream
capture, the driver. README.md in the backend's folder says how to run them, and whether that has
ever been done.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from minivae_kernels.gpu.descent import OPTIMISERS
from minivae_kernels.ladder import gpu as ladders

from minivae import ops
from minivae.backend import Backend, BackendUnavailable, load_backend
from minivae.proof.kernels import check_kernels

sys.path.insert(0, str(Path(__file__).parent))
from gpu_cases import SHAPES, cases
from gpu_checks import check_noise, check_op
from gpu_steps import ACTIVATED, LIKELY, MODELS, WEIGHED, N, check_step, problem, run, schedule

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def G() -> Backend:
    try:
        loaded = load_backend("cupy")
    except BackendUnavailable as reason:
        pytest.skip(str(reason))
    if os.environ.get("MINIVAE_WITHOUT_POOL"):  # for a sanitiser: see README.md
        loaded.xp.cuda.set_allocator(None)
    return loaded


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", sorted(cases("odd")))
def test_ops_within_their_budgets(G: Backend, op: str, shape: str) -> None:
    check_op(G, op, shape)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("model", [*MODELS, *ACTIVATED, *LIKELY, *WEIGHED])
def test_step_within_its_budget(G: Backend, model: str, optimiser: str) -> None:
    check_step(G, model, optimiser)


def test_noise_has_the_processors_bits(G: Backend) -> None:
    """A million normals and uniforms, in the order of samples and backwards."""
    check_noise(G, 4096)


def test_batches_have_the_processors_bits(G: Backend) -> None:
    data = np.random.default_rng(0).integers(0, 256, size=(500, 784), dtype=np.uint8)
    rows = np.array([3, 499, 0, 77])
    ours = G.to_host(G.gather_binarise(G.to_device(data), rows, 1 / 255, 5, 3, 2))
    assert ours.tobytes() == ops.gather_binarise(data, rows, 1 / 255, 5, 3, 2).tobytes()


@pytest.mark.parametrize("model", MODELS)
def test_the_same_run_has_the_same_bits(G: Backend, model: str) -> None:
    runs = [run(G.make_step(*problem(MODELS[model])), n=20)[0] for _ in range(3)]
    assert len({theta.tobytes() + moments.tobytes() for theta, moments in runs}) == 1


@pytest.mark.parametrize("model", MODELS)
def test_branches_and_replays_change_no_bit(G: Backend, model: str) -> None:
    """The launches one by one on one stream, and the graph of eight updates with two branches."""
    versions = ladders.load("step", G.to_device.__self__).versions
    given = problem(MODELS[model])
    states = [run(version.call(*given), n=19)[0] for version in versions for _ in range(2)]
    assert len({theta.tobytes() + moments.tobytes() for theta, moments in states}) == 1


def test_tf32_is_used_and_within_its_budget() -> None:
    """The products' bits differ from float32's, and by no more than ten bits of mantissa allow."""
    try:
        T = load_backend("cupy", tf32=True)
    except BackendUnavailable as reason:
        pytest.skip(str(reason))
    wrong = [f"{r.op}: {r.problem}" for r in check_kernels(T) if not r.ok]
    assert not wrong
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((256, 256)).astype(np.float32) for _ in range(2))
    zero = np.zeros(256, np.float32)
    product = T.to_host(T.dense_forward(*map(T.to_device, (a, b, zero))))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert 1e-5 < np.linalg.norm(product - exact) / np.linalg.norm(exact) < 2e-3


def test_a_bad_loss_stops_the_replays(G: Backend) -> None:
    plan, theta, moments, data = problem(MODELS["gaussian, given c"])
    data[N - 1, 3] = np.inf
    step = G.make_step(plan, theta, moments, data)
    rows, t, lr, beta = schedule(4, 9)
    rows[rows == N - 1] = 0
    rows[2, 4] = N - 1
    step(rows, t, lr, beta)
    assert step.bad_step == t + 2 and step.metrics()["updates"] == 2
    assert np.isfinite(step.state()[0]).all()


def test_memory_is_given_back(G: Backend) -> None:
    """Ten steps one after another leave no more in use than one."""
    pool = G.xp.get_default_memory_pool()
    used = []
    for _ in range(10):
        step = G.make_step(*problem(MODELS["relu bernoulli"]))
        step(*schedule(2, 9))
        step.metrics()
        del step
        gc.collect()
        used.append(pool.used_bytes())
    assert used[-1] <= used[0]


def test_ten_epochs_of_mnist_in_under_a_second(G: Backend) -> None:
    """784-400-20, batch 128: 4,690 updates after the first capture; the figure is printed."""
    from minivae.models.config import ModelConfig
    from minivae.models.initialise import initialise
    from minivae.training.plan import make_plan

    model = ModelConfig(data_dim=784, latent_dim=20, hidden=(400,))
    plan = make_plan(model, scale=1 / 255, seed=1, max_batch=128)
    data = np.random.default_rng(0).integers(0, 256, size=(60_000, 784), dtype=np.uint8)
    theta = initialise(model, 1, np.float32)
    step = G.make_step(plan, theta, np.zeros((2, theta.size), np.float32), data)
    rows = np.random.default_rng(1).permutation(60_000)[: 468 * 128].reshape(468, 128)
    step(rows, 0, np.full(468, 1e-3), np.ones(468))
    step.metrics()
    begin = time.perf_counter()
    for epoch in range(10):
        step(rows, 468 * (epoch + 1), np.full(468, 1e-3), np.ones(468))
    assert step.metrics()["updates"] == 4680
    seconds = time.perf_counter() - begin
    print(f"ten epochs: {seconds:.3f} s")
    assert seconds < 1.0
