"""Data of two numbers each, so that the space they live in can be drawn beside the latent one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minivae.ops.philox import GENERATE, normals, uniforms
from minivae.types import Array

COUNT = 600
ARCS = 10  # labels along the ring
SIDE = 3  # blobs a side
_STEP = 0x70F5  # keeps these draws apart from any others of the GENERATE stream


class Toy(NamedTuple):
    """x (N, 2) float32 around the origin, labels (N,), what it is called and what labels mean."""

    name: str
    x: Array
    labels: Array
    meaning: str


def ring(n: int = COUNT) -> Toy:
    """Points near the unit circle; the label is the arc: a line that bites its own tail."""
    u, noise = _draws(n, 0)
    angle = 2 * math.pi * u[:, 0]
    radius = 1 + 0.06 * noise[:, 0]
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Toy(
        "ring", x.astype(np.float32), (ARCS * u[:, 0]).astype(np.int64), "which tenth of the ring"
    )


def two_moons(n: int = COUNT) -> Toy:
    """Two half circles that reach into each other."""
    u, noise = _draws(n, 1)
    angle, label = math.pi * u[:, 0], np.arange(n) % 2
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    x = np.where(label[:, None] == 0, upper, lower) - [0.5, 0.25] + 0.06 * noise
    return Toy("two moons", x.astype(np.float32), label, "which moon")


def blobs(n: int = COUNT) -> Toy:
    """Nine small round clouds on a grid."""
    _, noise = _draws(n, 2)
    label = np.arange(n) % SIDE**2
    centre = np.stack([label % SIDE, label // SIDE], axis=1) - 1.0
    x = 0.9 * centre + 0.1 * noise
    return Toy("grid of blobs", x.astype(np.float32), label, "which blob")


def _draws(n: int, which: int) -> tuple[Array, Array]:
    """Two uniforms and two normals of each row, in float64."""
    rows = np.arange(n)
    u = uniforms(which, GENERATE, _STEP, rows, 2)
    noise = normals(which, GENERATE, _STEP + 1, rows, 2)
    return u.astype(np.float64), noise.astype(np.float64)


TOYS = {"ring": ring, "moons": two_moons, "blobs": blobs}
