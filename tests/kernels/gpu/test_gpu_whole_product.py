"""Training, evaluation, checkpoints and resume with the cupy backend, on the stand-in for the card.

With CuPy's legacy default stream and with the per-thread one, which are ordered differently.

Shown: the code around the backend brings arrays to the card and back where it must, and a resumed
run has the same bits. NOT shown: any of it on a card (see fake_cupy.py for what stands in).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.backend import Backend, load_backend
from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.models.vae import decode_mean, encode, layout_of
from minivae.runs.config import TrainConfig
from minivae.training.loop import train

pytestmark = pytest.mark.parametrize("per_thread", [False, True], ids=["legacy", "per thread"])

MODEL = ModelConfig(data_dim=33, latent_dim=3, hidden=(17,))


@pytest.fixture
def dataset(rng: np.random.Generator) -> Dataset:
    stored = rng.integers(0, 256, size=(70, 33), dtype=np.uint8)
    return Dataset("made up", stored[:50], stored[50:], scale=1 / 255)


def settings(backend: str, **more: Any) -> TrainConfig:
    return TrainConfig(
        dataset="made up", epochs=2, batch_size=16, binarise="dynamic", backend=backend, **more
    )


def test_trains_as_the_reference_does(C: Backend, dataset: Dataset) -> None:
    """The last, smaller batch of an epoch included."""
    mine = train(MODEL, settings("cupy"), dataset, C)
    theirs = train(MODEL, settings("numpy"), dataset, load_backend("numpy"))
    assert mine.updates == theirs.updates == 8
    # Adam turns a gradient of rounding size into a step of size lr: 8 of them at most.
    assert np.abs(mine.theta - theirs.theta).max() <= 8 * 2e-3
    assert np.linalg.norm(mine.theta - theirs.theta) <= 1e-3 * np.linalg.norm(theirs.theta)


def test_resumes_to_the_same_bits(C: Backend, dataset: Dataset, tmp_path: Path) -> None:
    whole = train(MODEL, settings("cupy"), dataset, C, tmp_path / "whole")
    half = settings("cupy").with_changes(epochs=1)
    train(MODEL, half, dataset, C, tmp_path / "parts")
    parts = train(MODEL, settings("cupy"), dataset, C, tmp_path / "parts", resume=True)
    assert whole.theta.tobytes() == parts.theta.tobytes()


def test_encode_and_decode_stay_on_the_card(C: Backend, dataset: Dataset) -> None:
    result = train(MODEL, settings("cupy"), dataset, C)
    p = layout_of(MODEL).views(C.to_device(result.theta))
    x = C.gather(C.to_device(dataset.test), np.arange(7), 1 / 255)
    mu, logvar = encode(C, p, x, MODEL)
    picture = decode_mean(C, p, mu, MODEL)
    assert all(isinstance(a, C.xp.ndarray) for a in (mu, logvar, picture))
    assert C.to_host(picture).shape == (7, 33)
