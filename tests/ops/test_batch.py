"""Gathering and binarising a batch."""

from __future__ import annotations

import numpy as np

from minivae import ops
from minivae.ops.philox import BINARISE


def test_gather_casts_bytes_and_scales():
    data = np.arange(35, dtype=np.uint8).reshape(5, 7)
    x = ops.gather(data, np.array([4, 0, 4]), 1 / 255)
    assert x.dtype == np.float32
    assert np.array_equal(x, data[[4, 0, 4]].astype(np.float32) * np.float32(1 / 255))


def test_gather_keeps_the_precision_of_floats():
    data = np.linspace(0, 1, 35).reshape(5, 7)
    assert np.array_equal(ops.gather(data, np.array([2]), 1.0), data[[2]])


def test_binarised_pixels_have_the_pixels_mean():
    x = np.tile(np.linspace(0, 1, 11, dtype=np.float32), (20011, 1))
    b = ops.binarise(x, ops.uniforms(2, BINARISE, 0, np.arange(len(x)), 11))
    assert set(np.unique(b)) == {0.0, 1.0}
    assert b.dtype == x.dtype
    assert b[:, 0].max() == 0
    assert b[:, -1].min() == 1
    assert np.abs(b.mean(axis=0) - x[0]).max() < 5 * 0.5 / np.sqrt(len(x))


def test_gather_binarise_is_the_composition():
    data = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
    rows = np.array([3, 1, 1])
    x = ops.gather_binarise(data, rows, 1 / 255, 9, BINARISE, 4)
    u = ops.uniforms(9, BINARISE, 4, rows, 7)
    assert np.array_equal(x, ops.binarise(ops.gather(data, rows, 1 / 255), u))
    assert np.array_equal(x[1], x[2])  # one datum presented twice in a step is one draw
