"""Training on rows that lie on disk: the same updates as on the array, by every backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.data import load
from minivae.data.stream import POSSIBLE, FileRows
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig
from minivae.training.loop import train

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="needs pread and private mmap")
X = np.random.default_rng(0).random((300, 12)).astype(np.float32)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("order", ["rows", "blocks"])
def test_the_same_bits_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, order: str
) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    monkeypatch.setattr("minivae.data.window.BLOCK_BYTES", 480)
    monkeypatch.setattr("minivae.data.window.POOL_BLOCKS", 3)
    np.save(tmp_path / "x.npy", X)
    model = ModelConfig(data_dim=12, latent_dim=2, hidden=(8,))
    config = TrainConfig(epochs=2, batch_size=16, backend=backend, order=order, validation=0.1)
    ends = []
    for streamed_from in (0, 1 << 30):
        monkeypatch.setattr("minivae.data.streamed.STREAMED_FROM", streamed_from)
        dataset = load(tmp_path / "x.npy")
        assert isinstance(dataset.train, FileRows) == (streamed_from == 0)
        result = train(model, config, dataset, load_backend(backend))
        ends.append((result.theta, result.history[-1]["held_out"]))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


def test_orders_differ() -> None:
    config = TrainConfig(order="blocks")
    assert config.order == "blocks"
    with pytest.raises(ValueError, match="order = 'random'"):
        TrainConfig(order="random")
