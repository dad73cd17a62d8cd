"""exp of many float32 numbers, from one call of the C library for each to sixteen at a time."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from minivae_kernels.cpu.ops import vector_math
from minivae_kernels.ladder.base import Ladder

LADDER = Ladder(
    op="exp", unit="element", rows=100_352,
    inputs=lambda rng, rows: (4 * rng.standard_normal(rows, dtype=np.float32),),
    work=lambda args: args[0].size,
)  # fmt: skip

f32 = np.float32


def one_by_one(function):
    """The loop over an array that all but two of the rungs are."""

    def loop(x):
        y = np.empty_like(x)
        for i in range(len(x)):
            y[i] = function(x[i])
        return y

    return loop


@LADDER.version(part=64)
def exp_v0(x):
    """a Python loop, one number after another"""
    return one_by_one(math.exp)(x)


@LADDER.version()
def exp_v1(x):
    """the whole array in one call of NumPy: no interpreter between the elements"""
    return np.exp(x)


_by_library = njit(one_by_one(math.exp))


@LADDER.version()
def exp_v2(x):
    """the first loop, compiled: still one call of the C library for each element"""
    return _by_library(x)


POWERS = np.ldexp(1.0, np.arange(-150, 129)).astype(np.float64)


@njit(inline="always")
def taylor(r):
    """exp(r) for |r| <= log(2) / 2, by Horner's rule."""
    p = f32(1 / 5040)
    for k in (720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0):
        p = p * r + f32(1) / f32(k)
    return p


@LADDER.version()
@njit(error_model="numpy")
def exp_v3(x):
    """a polynomial instead of the call: exp(x) = 2ⁿ exp(r), n from floor and 2ⁿ from a table"""
    y = np.empty_like(x)
    for i in range(len(x)):
        n = math.floor(x[i] * f32(1.44269504) + f32(0.5))
        r = f32(x[i] - f32(n) * f32(0.693359375)) + f32(n) * f32(2.12194440e-4)
        y[i] = taylor(f32(r)) * POWERS[int(n) + 150]
    return y


_by_bits = njit(one_by_one(vector_math.exp))
_within_bounds = njit(one_by_one(vector_math.exp_within))


@LADDER.version()
def exp_v4(x):
    """2ⁿ made from bits, n rounded by one addition: no call is left, the loop vectorises"""
    return _by_bits(x)


@LADDER.version()
def exp_v5(x):
    """chosen: one power of two instead of two, no bounds: |x| <= 87, as in σ = exp(logvar / 2)

    The other is for results beyond float32's normal range; within it the bits are the same.
    """
    return _within_bounds(x)
