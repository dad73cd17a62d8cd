"""Philox 4x32-10, uniforms and normals: exactly the reference's bits, sample after sample.

Every operation is rounded by itself, in the reference's order; nothing is fused. The loops run
over samples or blocks without a branch, so 8 or 16 counters go through the rounds at once.
"""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.decorators import inline
from minivae_kernels.cpu.compile.simd import bits_of_float, float_of_bits

f32, i32, u32, u64 = np.float32, np.int32, np.uint32, np.uint64

MULTIPLIER_0, MULTIPLIER_1 = u64(0xD2511F53), u64(0xCD9E8D57)
WEYL_0, WEYL_1 = u32(0x9E3779B9), u32(0xBB67AE85)
SHIFT = u64(32)

LOG = tuple(
    f32(c)
    for c in (0.33333331, -0.2499999, 0.20000708, -0.1666848, 0.14249937, -0.1241105, 0.11661511,
              -0.11571201, 0.07149754)
)  # fmt: skip
SIN = tuple(f32(c) for c in (1.5707964, -0.6459635, 0.07968022, -0.0046021631))
COS = tuple(f32(c) for c in (-1.2337005, 0.25366941, -0.020861529, 0.00090674171))
LN2_HIGH, LN2_LOW = f32(0.693359375), f32(-2.1219444e-4)
SQRT_HALF = f32(0.70710677)
TO_UNIT, HALF_CELL = f32(2.0**-23), f32(2.0**-24)
TO_TURN, HALF_TURN = f32(2.0**-32), f32(2.0**-33)


@inline
def _round(c0, c1, c2, c3, k0, k1):
    p0, p1 = u64(MULTIPLIER_0 * u64(c0)), u64(MULTIPLIER_1 * u64(c2))
    a = u32(u32(u32(p1 >> SHIFT) ^ c1) ^ k0)
    b = u32(u32(u32(p0 >> SHIFT) ^ c3) ^ k1)
    return a, u32(p1), b, u32(p0)


@inline
def _two_rounds(c0, c1, c2, c3, k0, k1):
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = u32(k0 + WEYL_0), u32(k1 + WEYL_1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3, u32(k0 + WEYL_0), u32(k1 + WEYL_1)


@inline
def block(c0, c1, c2, c3, k0, k1):
    """Ten rounds: counter and key words (uint32) -> four random words                    (E34)"""
    c0, c1, c2, c3, k0, k1 = _two_rounds(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _two_rounds(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _two_rounds(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _two_rounds(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3, k0, k1 = _two_rounds(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@inline
def unit(w):
    """A word as a uniform in (0, 1)                                                      (E35)"""
    return f32(i32(w >> u32(9))) * TO_UNIT + HALF_CELL


@inline
def _log(u):
    """log of u in (0, 1], by bits and a polynomial; each operation rounded alone."""
    bits = bits_of_float(u)
    e = f32(i32(i32(bits >> i32(23)) - i32(126)))
    m = float_of_bits(i32((bits & i32(0x007FFFFF)) | i32(0x3F000000)))
    small = m < SQRT_HALF
    e = e - f32(1) if small else e
    m = (m + m if small else m) - f32(1)
    square = m * m
    p = LOG[8] * m + LOG[7]
    p = p * m + LOG[6]
    p = p * m + LOG[5]
    p = p * m + LOG[4]
    p = p * m + LOG[3]
    p = p * m + LOG[2]
    p = p * m + LOG[1]
    p = p * m + LOG[0]
    p = p * m * square
    p = p + e * LN2_LOW
    p = p - f32(0.5) * square
    return m + p + e * LN2_HIGH


@inline
def box_muller(w0, w1):
    """Two words make two independent standard normals                                    (E36)"""
    u = f32(w0) * TO_TURN + HALF_TURN
    radius = np.sqrt(f32(-2) * _log(u))
    quadrant = u32(w1 >> u32(30))
    t = f32(i32(u32(w1 << u32(2)))) * TO_TURN
    square = t * t
    s = SIN[3] * square + SIN[2]
    s = s * square + SIN[1]
    s = (s * square + SIN[0]) * t
    c = COS[3] * square + COS[2]
    c = c * square + COS[1]
    c = (c * square + COS[0]) * square + f32(1)
    odd = (quadrant & u32(1)) == u32(1)
    cosine = s if odd else c
    sine = c if odd else s
    cosine = -cosine if (quadrant == u32(1)) | (quadrant == u32(2)) else cosine
    sine = -sine if quadrant >= u32(2) else sine
    return radius * cosine, radius * sine
