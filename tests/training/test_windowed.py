"""Training on rows that lie on disk: the same updates as on the array, by every backend."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.data import DataError, load
from minivae.data.stream import POSSIBLE, FileRows
from minivae.models.config import ModelConfig
from minivae.runs.config import TrainConfig
from minivae.training.loop import train

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="needs preadv")
X = np.random.default_rng(0).random((300, 12)).astype(np.float32)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("order", ["rows", "blocks"])
@pytest.mark.parametrize("binarise", ["none", "dynamic"])
def test_the_same_bits_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, order: str, binarise: str
) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    monkeypatch.setattr("minivae.data.window.BLOCK_BYTES", 480)
    monkeypatch.setattr("minivae.data.window.POOL_BLOCKS", 3)
    np.save(tmp_path / "x.npy", X)
    model = ModelConfig(data_dim=12, latent_dim=2, hidden=(8,))
    config = TrainConfig(
        epochs=2, batch_size=16, backend=backend, order=order, validation=0.1, binarise=binarise
    )
    ends = []
    for streamed_from in (0, 1 << 30):
        monkeypatch.setattr("minivae.data.streamed.STREAMED_FROM", streamed_from)
        dataset = load(tmp_path / "x.npy")
        assert isinstance(dataset.train, FileRows) == (streamed_from == 0)
        result = train(model, config, dataset, load_backend(backend))
        ends.append((result.theta, result.history[-1]["held_out"]))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


def test_a_file_cut_short_in_training_ends_in_one_line_and_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minivae.data.window.BLOCK_BYTES", 480)
    monkeypatch.setattr("minivae.data.window.POOL_BLOCKS", 2)
    monkeypatch.setattr("minivae.training.job.MOST_UPDATES_CPU", 1)
    monkeypatch.setattr("minivae.data.streamed.STREAMED_FROM", 0)
    path = tmp_path / "x.npy"
    np.save(path, X)
    model = ModelConfig(data_dim=12, latent_dim=2, hidden=(8,))
    config = TrainConfig(epochs=2, batch_size=16, order="blocks")
    dataset, asked = load(path), iter(range(99))

    def cut() -> bool:
        if next(asked) == 5:
            os.truncate(path, 1000)
        return False

    with pytest.raises(
        DataError, match=r"x.npy: (ended at row|was changed).*update \d+ of 17; saved"
    ):
        train(model, config, dataset, load_backend("numpy"), tmp_path / "run", stop=cut)
    assert (tmp_path / "run" / "checkpoints" / "last.json").exists()


def test_an_order_that_is_none() -> None:
    with pytest.raises(ValueError, match="order = 'random'"):
        TrainConfig(order="random")
