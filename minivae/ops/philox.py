"""Random numbers that belong to a (seed, stream, step, sample), never to the order of calls.

Philox 4x32-10 turns a 128-bit counter and a 64-bit key into 128 random bits (Salmon et al.
2011). The counter says what the number is *for*, so any batch split, thread, worker or resumed
run finds the same one. Every backend computes what stands here, bit for bit: all arithmetic
is float32, in this order, each operation rounded by itself (no fused multiply-add).
"""

from __future__ import annotations

import numpy as np

from minivae.types import Array

INIT, PERMUTATION, EPS, BINARISE, GENERATE, EVALUATE = range(6)

MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
WORD = 0xFFFFFFFF

# Least-squares fits on Chebyshev nodes, rounded to float32; highest power last.
# log(1 + m) = m - m²/2 + m³ P(m) on √½ - 1 <= m < √2 - 1
LOG = (
    0.33333331,
    -0.2499999,
    0.20000708,
    -0.1666848,
    0.14249937,
    -0.1241105,
    0.11661511,
    -0.11571201,
    0.07149754,
)
# sin(π t / 2) = t P(t²) and cos(π t / 2) = 1 + t² Q(t²) on |t| <= 1/2
SIN = (1.5707964, -0.6459635, 0.07968022, -0.0046021631)
COS = (-1.2337005, 0.25366941, -0.020861529, 0.00090674171)
LN2_HIGH, LN2_LOW = 0.693359375, -2.1219444e-4  # their sum is log 2; the first is exact in 10 bits
SQRT_HALF = 0.70710677


def philox(counter: Array, key: Array) -> Array:
    """Ten rounds of Philox 4x32                                         (E34)

    counter (..., 4) uint32, key (2,) uint32 -> (..., 4) uint32.
    Agrees with the published Random123 known-answer vectors.
    """
    c0, c1, c2, c3 = np.moveaxis(counter, -1, 0).astype(np.uint64)
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & WORD, (p0 >> 32) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + WEYL_0) & WORD, (k1 + WEYL_1) & WORD
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def _words(seed: int, stream: int, step: int, samples: Array, n: int) -> Array:
    """The first n words of every sample's sequence, rounded up to whole blocks: (B, ≥n)."""
    samples = np.asarray(samples)
    blocks = np.arange((n + 3) // 4)
    shape = (len(samples), len(blocks))
    counter = np.stack(
        [
            np.broadcast_to(blocks, shape),
            np.broadcast_to(samples[:, None], shape),
            np.broadcast_to(step, shape),
            np.broadcast_to(stream, shape),
        ],
        axis=-1,
    ).astype(np.uint32)
    key = np.array([seed & WORD, (seed >> 32) & WORD], dtype=np.uint32)
    return philox(counter, key).reshape(len(samples), 4 * len(blocks))


def uniforms(seed: int, stream: int, step: int, samples: Array, n: int) -> Array:
    """n uniforms per sample in the open interval (0, 1)                 (E35)

    samples (B,) -> (B, n) float32. The top 23 bits, centred in their cell: the largest is
    1 - 2⁻²⁴, still below 1 in float32.
    """
    words = _words(seed, stream, step, samples, n)[:, :n]
    return (words >> 9).astype(np.float32) * np.float32(2**-23) + np.float32(2**-24)


def _log(u: Array) -> Array:
    """The natural logarithm of a float32 u in (0, 1], to 1 ULP, by bits and a polynomial."""
    f = np.float32
    bits = u.view(np.uint32)
    exponent = ((bits >> 23).astype(np.int32) - 126).astype(np.float32)
    m = ((bits & 0x007FFFFF) | 0x3F000000).view(np.float32)  # in [1/2, 1)
    small = m < f(SQRT_HALF)
    exponent = np.where(small, exponent - f(1), exponent)
    m = np.where(small, m + m, m) - f(1)
    square = m * m
    p = np.full_like(m, LOG[-1])
    for c in LOG[-2::-1]:
        p = p * m + f(c)
    p = (p * m) * square
    p = p + exponent * f(LN2_LOW)
    p = p - f(0.5) * square
    return (m + p) + exponent * f(LN2_HIGH)


def _sin_cos_quarter(t: Array) -> tuple[Array, Array]:
    """sin and cos of (π/2) t for |t| <= 1/2, float32."""
    f = np.float32
    square = t * t
    sine, cosine = np.full_like(t, SIN[-1]), np.full_like(t, COS[-1])
    for c in SIN[-2::-1]:
        sine = sine * square + f(c)
    for c in COS[-2::-1]:
        cosine = cosine * square + f(c)
    return sine * t, cosine * square + f(1)


def box_muller(w0: Array, w1: Array) -> tuple[Array, Array]:
    """Two words make two independent standard normals                   (E36)

    w0, w1 uint32 of one shape -> two float32 arrays of that shape; |normal| < 6.8.
    Box & Muller 1958. w0 sets the radius; the top two bits of w1 the quadrant, the rest the
    angle within it.
    """
    f = np.float32
    u = w0.astype(np.float32) * f(2**-32) + f(2**-33)
    radius = np.sqrt(f(-2) * _log(u))
    quadrant = w1 >> 30
    t = (w1 << 2).astype(np.uint32).view(np.int32).astype(np.float32) * f(2**-32)
    s, c = _sin_cos_quarter(t)
    odd = (quadrant & 1) == 1
    cosine, sine = np.where(odd, s, c), np.where(odd, c, s)
    cosine = np.where((quadrant == 1) | (quadrant == 2), -cosine, cosine)
    sine = np.where(quadrant >= 2, -sine, sine)
    return radius * cosine, radius * sine


def normals(seed: int, stream: int, step: int, samples: Array, n: int) -> Array:
    """n standard normals per sample                                     (E36)

    samples (B,) -> (B, n) float32. A block of four words gives four normals: words 0 and 1
    the first two, words 2 and 3 the next.
    """
    words = _words(seed, stream, step, samples, n)
    words = words.reshape(len(samples), words.shape[1] // 2, 2)
    pair = box_muller(np.ascontiguousarray(words[..., 0]), np.ascontiguousarray(words[..., 1]))
    whole = np.stack(pair, axis=-1).reshape(len(samples), 2 * words.shape[1])
    return np.ascontiguousarray(whole[:, :n])


def permutation(seed: int, epoch: int, n: int) -> Array:
    """The order of the n data in an epoch, a function of (seed, epoch) alone   (E34)

    -> (n,) int64: the stable sorting order of n random 64-bit keys.
    """
    words = _words(seed, PERMUTATION, epoch, np.arange(n), 2).astype(np.uint64)
    return np.argsort((words[:, 0] << np.uint64(32)) | words[:, 1], kind="stable")
