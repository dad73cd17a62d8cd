"""The generator: published known answers, distribution, and noise that belongs to its sample."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from minivae import ops
from minivae.ops.philox import BINARISE, EPS

# Random123's kat_vectors for philox4x32 with 10 rounds: counter, key, output.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    (
        [0xFFFFFFFF] * 4,
        [0xFFFFFFFF] * 2,
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
    ),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_random123_known_answers(counter, key, expected):
    words = ops.philox(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert words.tolist() == expected
    assert words.dtype == np.uint32


def test_uniforms_are_open_uniform_and_float32():
    u = ops.uniforms(7, BINARISE, 3, np.arange(1001), 97)
    assert u.dtype == np.float32
    assert u.min() > 0
    assert u.max() < 1
    n = u.size
    assert abs(float(u.mean(dtype=np.float64)) - 0.5) < 5 / np.sqrt(12 * n)
    counts = np.histogram(u, bins=64, range=(0, 1))[0]
    chi2 = float(((counts - n / 64) ** 2 / (n / 64)).sum())
    assert 20 < chi2 < 120  # 63 degrees of freedom


@pytest.mark.parametrize(("word", "uniform"), [(0xFFFFFFFF, 1 - 2**-24), (0, 2**-24)])
def test_largest_and_smallest_uniform_lie_inside(monkeypatch, word, uniform):
    words = lambda counter, key: np.full(counter.shape, word, np.uint32)  # noqa: E731
    monkeypatch.setattr(sys.modules["minivae.ops.philox"], "philox", words)
    drawn = ops.uniforms(7, BINARISE, 3, np.arange(2), 5)
    assert drawn.dtype == np.float32 and drawn.shape == (2, 5)
    assert (drawn == uniform).all() and 0 < uniform < 1


def test_normals_have_the_moments_of_a_normal():
    z = ops.normals(5, EPS, 2, np.arange(20011), 10).astype(np.float64)
    n = z.size
    assert abs(z.mean()) < 5 / np.sqrt(n)
    assert abs((z**2).mean() - 1) < 5 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 5 * np.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / n)
    correlation = np.corrcoef(z.T) - np.eye(10)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(z))


def test_normals_follow_the_definition_in_float64():
    """Box–Muller by libm in float64, from the same words, to float32 rounding."""
    module = sys.modules["minivae.ops.philox"]
    rng = np.random.default_rng(0)
    w0 = np.concatenate([rng.integers(0, 2**32, 4099), [0, 1, 2**32 - 1]]).astype(np.uint32)
    w1 = np.concatenate([rng.integers(0, 2**32, 4099), [2**29, 2**31, 2**32 - 1]]).astype(np.uint32)
    z0, z1 = module.box_muller(w0, w1)
    u = (w0.astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)).astype(np.float64)
    quarter = (w1 >> 30) + ((w1 << 2).astype(np.uint32).view(np.int32) * 2.0**-32)
    radius = np.sqrt(-2 * np.log(u))
    assert np.abs(z0 - radius * np.cos(np.pi / 2 * quarter)).max() < 2e-6
    assert np.abs(z1 - radius * np.sin(np.pi / 2 * quarter)).max() < 2e-6


def test_noise_belongs_to_the_sample_not_to_the_call():
    rows = np.array([11, 3, 900, 4])
    whole = ops.normals(1, EPS, 8, rows, 7)
    for i, row in enumerate(rows):
        assert np.array_equal(ops.normals(1, EPS, 8, np.array([row]), 7)[0], whole[i])
    assert np.array_equal(ops.normals(1, EPS, 8, rows, 3), whole[:, :3])


@pytest.mark.parametrize(
    "change", [(2, EPS, 8), (1, BINARISE, 8), (1, EPS, 9), (1 + 2**32, EPS, 8)]
)
def test_seed_stream_and_step_all_count(change):
    rows = np.arange(13)
    assert not np.array_equal(ops.normals(*change, rows, 5), ops.normals(1, EPS, 8, rows, 5))


def test_permutation_is_one_and_depends_on_seed_and_epoch():
    order = ops.permutation(3, 1, 1009)
    assert sorted(order.tolist()) == list(range(1009))
    assert np.array_equal(order, ops.permutation(3, 1, 1009))
    assert not np.array_equal(order, ops.permutation(3, 2, 1009))
    assert not np.array_equal(order, ops.permutation(4, 1, 1009))


def test_no_samples_need_no_noise():
    none, three = np.arange(0), np.arange(3)
    for noise in (ops.uniforms, ops.normals):
        assert noise(1, 2, 3, none, 5).shape == (0, 5)
        assert noise(1, 2, 3, three, 0).shape == (3, 0)
    assert ops.permutation(1, 2, 0).shape == (0,)
