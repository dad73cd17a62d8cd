"""The fused step with products in bfloat16: against a reference that rounds alike, and itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from minivae_kernels.cpu.step import fused_step

from minivae.backend import load_backend
from minivae.proof.product_rounding import rounding_reference
from minivae.training.step import make_step
from tests.kernels.cpu.rounded import load_bf16
from tests.kernels.cpu.step.test_cpu_step import CASES, problem, schedule
from tests.training.child_run import run_here


@pytest.fixture(scope="module")
def H() -> Iterator[Any]:
    yield load_bf16()
    load_backend("numba", threads=2)


def gradient(step: Any, batch: int) -> np.ndarray:
    """What one update by plain descent at a rate of 1 takes from every parameter."""
    before, _ = step.state()
    rows, t, _, beta = schedule(batch, 1)
    step(rows, t, np.ones(1), beta)
    return before - step.state()[0]


@pytest.mark.parametrize("case", list(CASES))
def test_its_gradient_is_that_of_rounded_products(H: Any, case: str) -> None:
    """Far nearer to the reference that rounds its inputs than float32's reference is."""
    for batch in (1, 13, 131):
        plan, theta, moments, data = problem(case, batch)
        plan = plan._replace(optimiser="sgd", settings=(("momentum", 0.0),))
        made = (H, rounding_reference(), load_backend("numpy"))
        steps = [make_step(K, plan, theta, moments[:1], data) for K in made]
        mine, alike, exact = (gradient(step, batch) for step in steps)
        far = np.sqrt(np.mean((exact - alike) ** 2))
        assert np.sqrt(np.mean((mine - alike) ** 2)) <= 0.1 * far


def run_whole(case: str, batch: int, threads: int, share: float = 1.0) -> tuple[bytes, ...]:
    """Every bit of ten updates on data of which so large a share is not 0."""
    plan, theta, moments, data = problem(case, batch, threads)
    data = np.where(np.random.default_rng(1).random(data.shape) < share, data, 0).astype(np.uint8)
    step = make_step(load_bf16(threads), plan, theta, moments, data)
    rows, t, lr, beta = schedule(batch)
    step(rows, t, lr, beta)
    step(rows[:, : batch // 2 + 1], t + 5, lr, beta)  # a smaller batch after a larger one
    state, sums = step.state(), step.metrics()
    assert step.bad_step == -1 and np.isfinite(state[0]).all()
    assert bool(len(step.shared.masks)) == (share < fused_step.PAIRS_WORTH_IT)
    return state[0].tobytes(), state[1].tobytes(), str(sums).encode()


@pytest.mark.parametrize("case", list(CASES))
def test_neither_threads_nor_lists_of_zeros_change_a_bit(
    H: Any, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for batch in (13, 131):
        one = run_whole(case, batch, 1)
        assert all(run_whole(case, batch, threads) == one for threads in (2, 5))
        listed = run_whole(case, batch, 1, 0.05)
        assert run_whole(case, batch, 3, 0.05) == listed
        with monkeypatch.context() as patch:
            patch.setattr(fused_step, "PAIRS_WORTH_IT", 0.0)
            assert run_whole(case, batch, 2, 0.05) == listed


def test_a_run_knows_neither_its_threads_nor_where_it_was_resumed(H: Any, tmp_path: Path) -> None:
    """The same bits with one thread and two, whole and resumed; in fixed shards likewise."""
    for shards in (1, 2):
        ends = []
        for threads in (1, 2):
            spec = {"model": {"draws": 2}, "train": {
                "binarise": "dynamic", "epochs": 2, "backend": "numba", "bf16": True,
                "shards": shards}}  # fmt: skip
            ends.append(run_here(spec, None, K=load_bf16(threads)).theta.tobytes())
        where = tmp_path / str(shards)
        run_here({**spec, "train": {**spec["train"], "epochs": 1}}, where, K=load_bf16(2))
        ends.append(run_here(spec, where, K=load_bf16(1), resume=True).theta.tobytes())
        assert ends[0] == ends[1] == ends[2]
