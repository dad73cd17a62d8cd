"""The generated shapes: every picture shows what its factors say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from minivae.data import DataError, load, make_shapes
from minivae.data.shapes import _cos_sin

PICTURES, FACTORS = make_shapes(600, seed=9)
GREY = PICTURES.reshape(-1, 28, 28) / 255.0
MIDDLES = np.arange(28) + 0.5


def moments() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    area = GREY.sum((1, 2))
    x = (GREY.sum(1) * MIDDLES).sum(1) / area
    y = (GREY.sum(2) * MIDDLES).sum(1) / area
    return area, x, y


def test_place_and_size_are_those_of_the_factors() -> None:
    area, x, y = moments()
    assert np.abs(x - FACTORS["x"]).max() < 0.1
    assert np.abs(y - FACTORS["y"]).max() < 0.1
    assert np.abs(area / (np.pi * FACTORS["size"] ** 2) - 1).max() < 0.04


def test_shapes_stay_inside_and_are_anti_aliased() -> None:
    edge = np.concatenate([GREY[:, 0], GREY[:, -1], GREY[:, :, 0], GREY[:, :, -1]])
    assert edge.max() == 0.0
    between = ((PICTURES > 0) & (PICTURES < 255)).sum(1)
    assert between.min() > 4


@pytest.mark.parametrize(("kind", "fold"), [(0, 4), (1, 4), (2, 3)])
def test_the_angle_is_counter_clockwise_from_upright(kind: int, fold: int) -> None:
    """The shape's moment of order `fold` turns with the angle; a circle has none."""
    chosen = FACTORS["kind"] == kind
    x = MIDDLES - FACTORS["x"][chosen][:, None]
    y = FACTORS["y"][chosen][:, None] - MIDDLES  # upwards
    z = (x[:, None, :] + 1j * y[:, :, None]) / FACTORS["size"][chosen][:, None, None]
    moment = (GREY[chosen] * z**fold).sum((1, 2)) / FACTORS["size"][chosen] ** 2
    if kind == 0:
        assert np.abs(moment).max() < 0.2 and not FACTORS["angle"][chosen].any()
        return
    upright = -1.0 if kind == 1 else -1j  # a square's corners at 45 degrees; (i)³ = -i
    turned = upright * np.exp(1j * fold * FACTORS["angle"][chosen])
    assert np.abs(np.angle(moment / turned)).max() < 0.25
    assert FACTORS["angle"][chosen].max() < 2 * np.pi / fold


def test_the_same_bytes_for_a_seed_whatever_the_count() -> None:
    fewer, _ = make_shapes(37, seed=9)
    np.testing.assert_array_equal(fewer, PICTURES[:37])
    assert not np.array_equal(make_shapes(37, seed=10)[0], fewer)
    digest = hashlib.sha256(PICTURES.tobytes()).hexdigest()
    assert digest.startswith("8fcd5f7ca95ead4b"), digest


def test_the_polynomials_are_sine_and_cosine() -> None:
    angle = np.linspace(0, 2 * np.pi / 3, 1001)
    cos, sin = _cos_sin(angle)
    assert np.abs(cos - np.cos(angle)).max() < 4e-16 * 4
    assert np.abs(sin - np.sin(angle)).max() < 4e-16 * 4


def test_kinds_are_even_and_factors_independent() -> None:
    share = np.bincount(FACTORS["kind"].astype(int), minlength=3) / 600
    assert np.abs(share - 1 / 3).max() < 0.08
    table = np.stack([FACTORS[name] for name in ("kind", "x", "y", "size")])
    assert np.abs(np.corrcoef(table) - np.eye(4)).max() < 0.16


def test_the_named_set() -> None:
    shapes = load("shapes")
    assert len(shapes.train) == 6000 and len(shapes.test) == 1000 and shapes.shape == (28, 28)
    assert shapes.factors is not None and shapes.test_factors is not None
    assert shapes.train_labels is not None and shapes.label_names is not None
    np.testing.assert_array_equal(shapes.train_labels, shapes.factors["kind"])
    assert {len(v) for v in shapes.test_factors.values()} == {1000}
    whole = load("shapes", split=False, seed=0)
    assert len(whole.train) == 7000 and whole.factors is not None
    np.testing.assert_array_equal(whole.factors["x"][6000:], shapes.test_factors["x"])
    assert not np.array_equal(load("shapes", seed=1).train, shapes.train)


def test_other_sizes() -> None:
    assert make_shapes(3, side=16)[0].shape == (3, 256)
    for count, side in ((0, 28), (3, 7)):
        with pytest.raises(DataError, match="count"):
            make_shapes(count, side=side)
