"""One flat buffer, named views."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.params import Layout

LAYOUT = Layout.of({"a.W": (3, 5), "a.b": (5,), "c": ()})


def test_views_write_through_and_tile_the_buffer():
    buffer = np.zeros(LAYOUT.size)
    views = LAYOUT.views(buffer)
    for k, view in enumerate(views.values(), start=1):
        view[...] += k
    assert buffer.tolist() == [1.0] * 15 + [2.0] * 5 + [3.0]
    assert views["c"].shape == ()


def test_flatten_is_the_inverse_of_views():
    buffer = np.arange(float(LAYOUT.size))
    again = LAYOUT.flatten(LAYOUT.views(buffer), np.full(LAYOUT.size, np.nan))
    assert np.array_equal(again, buffer)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match=r"shape \(20,\), but the layout needs \(21,\)"):
        LAYOUT.views(np.zeros(20))
    tensors = {**LAYOUT.views(np.zeros(21)), "a.b": np.zeros(4)}
    with pytest.raises(ValueError, match=r"a.b has shape \(4,\), expected \(5,\)"):
        LAYOUT.flatten(tensors, np.zeros(21))
