"""Generated pictures of circles, squares and triangles whose true factors are known.

Each picture is a function of (seed, row) alone. The arithmetic is +, -, *, / in float64, with the
sine and cosine from a fixed polynomial, so every machine draws the same bytes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minivae.data.dataset import Dataset
from minivae.data.errors import DataError
from minivae.ops.philox import GENERATE, uniforms

NAMES = ("circle", "square", "triangle")
FACTORS = ("kind", "x", "y", "size", "angle")
SIDE = 28
COUNT = 7000
TEST_COUNT = 1000

_STEP = 0xDA7A  # keeps these draws apart from any others of the GENERATE stream
_CHUNK = 1024
# Turning a shape by its period brings it back; a circle has no angle, so its period is 0.
_PERIOD = (0.0, math.pi / 2, 2 * math.pi / 3)
_SMALLEST, _LARGEST = 0.125, 0.215  # the size, as a part of the picture's side
# Half a square's side and a triangle's inner radius, at the area of a circle of radius 1.
_HALF_SIDE = math.sqrt(math.pi) / 2
_INRADIUS = math.sqrt(math.pi / (3 * math.sqrt(3)))


def make_shapes(
    count: int, seed: int = 0, side: int = SIDE
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float64]]]:
    """``count`` anti-aliased grey pictures, (count, side²) uint8, and their factors.

    Factors, each (count,) float64: ``kind`` (0 circle, 1 square, 2 triangle), ``x`` and ``y`` of
    the centre in pixels from the left and top edges, ``size`` (the radius in pixels of the circle
    of equal area), ``angle`` in radians, counter-clockwise as seen, from 0 up to the shape's own
    period. A triangle of angle 0 points up. All factors are independent and uniform.

    Raises:
        DataError: ``count`` or ``side`` too small.
    """
    if count < 1 or side < 8:
        raise DataError(f"shapes: count {count}, side {side}; need count >= 1 and side >= 8")
    u = uniforms(seed, GENERATE, _STEP, np.arange(count), 5).astype(np.float64)
    kind = np.floor(3 * u[:, 0]).astype(np.int64)
    size = side * (_SMALLEST + (_LARGEST - _SMALLEST) * u[:, 3])
    reach = 2 * _INRADIUS * _LARGEST * side + 0.5  # the largest triangle's corner, and its edge
    centres = reach + (side - 2 * reach) * u[:, 1:3]
    angle = np.array(_PERIOD)[kind] * u[:, 4]
    columns = (kind.astype(np.float64), centres[:, 0], centres[:, 1], size, angle)
    factors = dict(zip(FACTORS, columns, strict=True))
    pictures = np.empty((count, side * side), dtype=np.uint8)
    for which in range(3):
        rows = np.flatnonzero(kind == which)
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            inside = _inside(which, centres[chunk], size[chunk], angle[chunk], side)
            grey = np.rint(255 * np.clip(inside + 0.5, 0.0, 1.0))
            pictures[chunk] = grey.reshape(len(chunk), -1)
    return pictures, factors


def load_shapes(seed: int = 0) -> Dataset:
    """The ``shapes`` data set: 6000 training and 1000 test pictures of 28x28."""
    pictures, factors = make_shapes(COUNT, seed)
    cut = COUNT - TEST_COUNT
    labels = factors["kind"].astype(np.int64)
    return Dataset(
        name="shapes",
        train=pictures[:cut],
        test=pictures[cut:],
        train_labels=labels[:cut],
        test_labels=labels[cut:],
        shape=(SIDE, SIDE),
        scale=1.0 / 255.0,
        licence="public domain",
        source=f"generated, seed {seed}",
        factors={name: values[:cut] for name, values in factors.items()},
        test_factors={name: values[cut:] for name, values in factors.items()},
        label_names=NAMES,
    )


def _inside(
    kind: int, centres: NDArray[Any], size: NDArray[Any], angle: NDArray[Any], side: int
) -> NDArray[np.float64]:
    """How far, in pixels, each pixel's middle lies inside the shape's edge, (n, side, side)."""
    middles = np.arange(side) + 0.5
    x = (middles - centres[:, :1])[:, None, :]  # (n, 1, side), to the right
    y = (centres[:, 1:] - middles)[:, :, None]  # (n, side, 1), upwards
    radius = size[:, None, None]
    if kind == 0:
        return np.asarray(radius - np.sqrt(x * x + y * y))
    cos, sin = (part[:, None, None] for part in _cos_sin(angle))
    along, across = cos * x + sin * y, cos * y - sin * x  # the pixel in the shape's own frame
    if kind == 1:
        return np.asarray(_HALF_SIDE * radius - np.maximum(np.abs(along), np.abs(across)))
    slanted = math.sqrt(3) / 2 * np.abs(along) + 0.5 * across  # the two upper edges
    return np.asarray(_INRADIUS * radius - np.maximum(slanted, -across))


def _cos_sin(angle: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosine and sine for angles in [0, 2π/3] by half-angle Taylor sums, to about 1e-15."""
    half = angle / 2
    square = half * half
    sin, cos = np.zeros_like(half), np.zeros_like(half)
    for k in range(9, -1, -1):
        sin = 1.0 / math.factorial(2 * k + 1) - square * sin
        cos = 1.0 / math.factorial(2 * k) - square * cos
    sin = half * sin
    return 1.0 - 2.0 * sin * sin, 2.0 * sin * cos
