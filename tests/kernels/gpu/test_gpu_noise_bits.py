"""The random bits of the GPU kernels, on the host: identical to minivae/ops/philox.py's."""

from __future__ import annotations

import numpy as np
import pytest

from minivae import ops
from minivae.backend import Backend

SEEDS = (0, 1, 2**32 + 5, 2**64 - 1)


def test_known_answers_of_random123(K: Backend) -> None:
    counter = np.array([[0] * 4, [0xFFFFFFFF] * 4], dtype=np.uint32)
    zero, ones = np.zeros(2, np.uint32), np.full(2, 0xFFFFFFFF, np.uint32)
    first = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    last = [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert K.philox(counter, zero)[0].tolist() == first
    assert K.philox(counter, ones)[1].tolist() == last


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 130])
def test_normals_and_uniforms_bit_for_bit(K: Backend, seed: int, n: int) -> None:
    samples = np.array([0, 5, 59_999, 2**31, 17])
    for name in ("normals", "uniforms"):
        ours = getattr(K, name)(seed, 2, 2**31 + 11, samples, n)
        theirs = getattr(ops, name)(seed, 2, 2**31 + 11, samples, n)
        assert ours.tobytes() == theirs.tobytes(), name


def test_a_quarter_of_a_million_normals_bit_for_bit(K: Backend) -> None:
    samples = np.arange(1000, 2000)
    assert (
        K.normals(42, 4, 3, samples, 256).tobytes() == ops.normals(42, 4, 3, samples, 256).tobytes()
    )


@pytest.mark.parametrize("D", [1, 5, 8, 130])
def test_batches_bit_for_bit(K: Backend, rng: np.random.Generator, D: int) -> None:
    rows = np.array([3, 0, 40, 3, 17])
    stored = rng.integers(0, 256, size=(41, D), dtype=np.uint8)
    for data in (stored, (stored / 255).astype(np.float32)):
        scale = 1 / 255 if data.dtype == np.uint8 else 1.0
        there = K.to_device(data)
        assert K.gather(there, rows, scale).tobytes() == ops.gather(data, rows, scale).tobytes()
        ours = K.gather_binarise(there, rows, scale, 9, 3, 77)
        assert ours.tobytes() == ops.gather_binarise(data, rows, scale, 9, 3, 77).tobytes()
