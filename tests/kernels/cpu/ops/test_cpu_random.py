"""Random bits: exactly the reference's, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minivae import ops

SEEDS = [0, 1, 2**32 - 1, 2**40 + 7, 2**63 + 11]


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == np.ascontiguousarray(b).tobytes()


def test_known_answers(K: Any) -> None:
    """Published by the Random123 library for Philox 4x32-10."""
    zeros, ones = np.zeros(4, np.uint32), np.full(4, 0xFFFFFFFF, np.uint32)
    assert [hex(w) for w in K.philox(zeros, np.zeros(2, np.uint32))] == [
        "0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]  # fmt: skip
    assert [hex(w) for w in K.philox(ones, np.full(2, 0xFFFFFFFF, np.uint32))] == [
        "0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [1, 3, 4, 45, 784])
def test_uniforms_and_normals(K: Any, seed: int, n: int) -> None:
    samples = np.random.default_rng(n).integers(0, 2**31, 37)
    same_bits(K.uniforms(seed, 3, 12345, samples, n), ops.uniforms(seed, 3, 12345, samples, n))
    same_bits(
        K.normals(seed, 2, 2**31 + 5, samples, n), ops.normals(seed, 2, 2**31 + 5, samples, n)
    )


def test_many_normals(K: Any) -> None:
    """A million of them reach the polynomial's seams and the radius's tail."""
    samples = np.arange(1000)
    same_bits(K.normals(5, 2, 0, samples, 1000), ops.normals(5, 2, 0, samples, 1000))


def test_permutation(K: Any) -> None:
    for n in (1, 2, 1797):
        same_bits(K.permutation(2**35 + 3, 7, n), ops.permutation(2**35 + 3, 7, n))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("features", [1, 45, 784])
def test_batches(K: Any, features: int) -> None:
    rng = np.random.default_rng(features)
    stored = rng.integers(0, 256, (90, features)).astype(np.uint8)
    floats = rng.random((90, features), dtype=np.float32)
    rows = rng.integers(0, 90, 41)
    for data, scale in ((stored, 1 / 255), (floats, 1.0), (floats, 0.3)):
        x = K.gather(data, rows, scale)
        same_bits(x, ops.gather(data, rows, scale))
        same_bits(K.gather_binarise(data, rows, scale, 7, 3, 9),
                  ops.gather_binarise(data, rows, scale, 7, 3, 9))  # fmt: skip
        u = rng.random(x.shape, dtype=np.float32)
        same_bits(K.binarise(x, u), ops.binarise(x, u))
