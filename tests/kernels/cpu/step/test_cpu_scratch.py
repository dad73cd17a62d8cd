"""A thread's scratch: nobody works beyond it, and nothing that stood in it before counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minivae_kernels.cpu.gemm.layout import aligned
from minivae_kernels.cpu.step import fused_step

from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.parts import LIKELIHOODS
from minivae.training.plan import make_plan
from tests.kernels.cpu.rounded import load_bf16

ROWS, WIDTH, BEYOND, MARK = 140, 301, 1 << 15, np.float32(7e33)


def step_of(K: Any, likelihood: str) -> Any:
    """Of a model whose layers are wide enough for the largest pieces, on data in bytes."""
    groups = {"groups": (WIDTH,)} if LIKELIHOODS[likelihood].grouped else {}
    model = ModelConfig(WIDTH, 33, hidden=(261,), likelihood=likelihood, draws=2, **groups)
    given: dict[str, Any] = {"binarise": "dynamic", "threads": 2}
    plan = make_plan(model, scale=1 / 255, seed=3, max_batch=131, **given)
    data = np.random.default_rng(3).integers(0, 256, (ROWS, WIDTH)).astype(np.uint8)
    theta = initialise(model, 11)
    return K.make_step(plan, theta, np.zeros((2, theta.size), np.float32), data)


def trained(step: Any) -> bytes:
    for batch in (131, 13):
        rows = np.random.default_rng(batch).integers(ROWS, size=(2, batch))
        step(rows, 0, np.full(2, 1e-3), np.ones(2))
    theta: np.ndarray = step.state()[0]
    assert np.isfinite(theta).all()
    return theta.tobytes()


@pytest.mark.parametrize("likelihood", ["bernoulli", "student-t", "categorical"])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_thread_keeps_to_its_scratch(
    K: Any, likelihood: str, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, rooms, own_of = (load_bf16(2) if bf16 else K), [], fused_step.Step._own

    def marked(step: Any, J: int) -> Any:
        own = own_of(step, J)
        n = len(own.scratch)
        room = aligned(n + BEYOND)
        room[:n], room[n:] = np.nan, MARK
        rooms.append((room, n))
        return own._replace(scratch=room[:n])

    try:
        with monkeypatch.context() as patch:
            patch.setattr(fused_step.Step, "_own", marked)
            end = trained(step_of(backend, likelihood))
        assert len(rooms) == 2
        assert all((room[n:] == MARK).all() for room, n in rooms)
        assert trained(step_of(backend, likelihood)) == end
    finally:
        load_backend("numba", threads=2)
