"""The last layer and the likelihood at once are the two ops one after the other, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minivae_kernels import Unsupported
from minivae_kernels.cpu.gemm.layout import aligned
from minivae_kernels.cpu.ops import output_nll as module
from minivae_kernels.cpu.ops.output_nll import output_nll


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize(
    ("draws", "batch", "inputs", "outputs"),
    [(1, 1, 1, 1), (3, 50, 40, 70), (2, 201, 7, 33), (5, 97, 128, 784), (1, 5, 3, 2100)],
)
def test_the_same_bits(
    K: Any, likelihood: str, draws: int, batch: int, inputs: int, outputs: int
) -> None:
    rng = np.random.default_rng((draws, batch, inputs, outputs))
    h = rng.standard_normal((draws * batch, inputs), dtype=np.float32)
    W = rng.standard_normal((inputs, outputs), dtype=np.float32)
    b = rng.standard_normal(outputs, dtype=np.float32)
    x = rng.random((batch, outputs), dtype=np.float32)
    scale = (np.float32(0.3),) if likelihood == "gaussian" else ()
    out = K.dense_forward(h, W, b).reshape(draws, batch, outputs)
    want = getattr(K, f"{likelihood}_nll_forward")(out, x, *scale)
    for _ in range(2):
        got = output_nll(likelihood, h, W, b, x, *scale)
        assert got.shape == (draws, batch)
        np.testing.assert_array_equal(got, want)


def test_a_team_that_grows_after_scratch_was_made_stays_within_it(
    K: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    h, W, x = (rng.random(shape, dtype=np.float32) for shape in ((2000, 64), (64, 784), (40, 784)))
    want = output_nll("bernoulli", h, W, W[0], x)
    beyond: list[np.ndarray] = []

    def with_room_beyond(floats: int) -> np.ndarray:
        room = aligned(2 * floats)
        room[floats:] = 7
        beyond.append(room[floats:])
        return room[:floats]

    monkeypatch.setattr(module, "aligned", with_room_beyond)
    monkeypatch.setattr(module, "team", lambda: 1)  # then another thread asked for two
    for _ in range(20):
        np.testing.assert_array_equal(output_nll("bernoulli", h, W, W[0], x), want)
    assert len(beyond) == 20
    assert all((room == 7).all() for room in beyond)


def test_what_has_no_kernel_is_declined() -> None:
    h, W, b, x = np.ones((2, 3)), np.ones((3, 4)), np.ones(4), np.ones((2, 4))
    with pytest.raises(Unsupported):
        output_nll("bernoulli", h, W, b, x)  # float64
    floats = (a.astype(np.float32) for a in (h, W, b, x))
    with pytest.raises(Unsupported, match="cauchy"):
        output_nll("cauchy", *floats)
    with pytest.raises(ValueError, match="3 rows of h do not go with 2 of x"):
        output_nll("bernoulli", np.ones((3, 3), np.float32), W.astype(np.float32),
                   b.astype(np.float32), x.astype(np.float32))  # fmt: skip
