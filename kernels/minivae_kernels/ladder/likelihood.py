"""The Bernoulli likelihood and its gradient from logits: fifteen calls of NumPy, then one pass."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from minivae_kernels.cpu.ops import vector_math
from minivae_kernels.ladder.base import Args, Ladder, chosen

f32 = np.float32


def _inputs(rng: np.random.Generator, rows: int) -> Args:
    dnll = rng.standard_normal((1, rows), dtype=np.float32)
    logits = 3 * rng.standard_normal((1, rows, 784), dtype=np.float32)
    return dnll, logits, rng.random((rows, 784), dtype=np.float32)


LADDER = Ladder(op="bernoulli_nll_grad", unit="pixel", rows=128, inputs=_inputs,
                work=lambda args: args[1].size)  # fmt: skip


@LADDER.version(part=64, rough=100)  # one float32 sum over 784 pixels
def likelihood_v0(dnll, logits, x):
    """a Python loop over the pixels, from the formula: softplus(a) - x a and s(a) - x"""
    nll, dlogits = np.zeros(dnll.shape, np.float32), np.empty_like(logits)
    for index in np.ndindex(*logits.shape):
        a, target = float(logits[index]), float(x[index[1:]])
        nll[index[:2]] += max(a, 0.0) + math.log1p(math.exp(-abs(a))) - target * a
        s = 1 / (1 + math.exp(-a))
        dlogits[index] = dnll[index[:2]] * (s - target)
    return nll, dlogits


@LADDER.version()
def likelihood_v1(dnll, logits, x):
    """whole arrays: the loss and the gradient each take their own exponential"""
    softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    s = 1 / (1 + np.exp(-logits))
    return (softplus - x * logits).sum(axis=-1), dnll[..., None] * (s - x)


@LADDER.version()
def likelihood_v2(dnll, logits, x):
    """one exponential for both: e = exp(-|a|) gives log1p(e) and 1 / (1 + e) or e / (1 + e)"""
    e = np.abs(logits)
    np.exp(np.negative(e, out=e), out=e)
    s = np.where(logits > 0, f32(1), e)
    s /= 1 + e
    s -= x
    s *= dnll[..., None]
    np.log1p(e, out=e)
    e += np.maximum(logits, 0)
    e -= x * logits
    return e.sum(axis=-1), s


@LADDER.version(rough=100)
@njit(error_model="numpy")
def likelihood_v3(dnll, logits, x):
    """one compiled pass: no temporaries, but exp and log1p are calls, one pixel at a time"""
    nll, dlogits = np.zeros(dnll.shape, np.float32), np.empty_like(logits)
    L, B, D = logits.shape
    for draw in range(L):
        for b in range(B):
            total = f32(0)
            for d in range(D):
                a, target = logits[draw, b, d], x[b, d]
                e = f32(math.exp(-abs(a)))
                total += max(a, f32(0)) + f32(math.log1p(e)) - target * a
                s = (f32(1) if a > 0 else e) / (f32(1) + e)
                dlogits[draw, b, d] = dnll[draw, b] * (s - target)
            nll[draw, b] = total
    return nll, dlogits


@njit(error_model="numpy")
def _row(up, logits, x, terms, dlogits):
    for d in range(len(x)):
        e = vector_math.exp_negative(-vector_math.magnitude(logits[d]))
        above = logits[d] if logits[d] > f32(0) else f32(0)
        terms[d] = above + vector_math.log1p_unit(e) - x[d] * logits[d]
        s = (f32(1) if logits[d] > f32(0) else e) / (f32(1) + e)
        dlogits[d] = up * (s - x[d])


@njit(error_model="numpy")
def _total(terms):
    """The sum in 16 interleaved parts: a single chain of additions would not vectorise."""
    parts, n = np.zeros(16, np.float32), len(terms) // 16
    for k in range(n):
        row = terms[16 * k : 16 * k + 16]
        for j in range(16):
            parts[j] += row[j]
    return parts.sum() + terms[16 * n :].sum()


@LADDER.version(rough=10)  # 16 float32 sums
@njit(error_model="numpy")
def likelihood_v4(dnll, logits, x):
    """polynomials that are inlined, on slices that start at 0: sixteen pixels at a time"""
    nll, dlogits = np.zeros(dnll.shape, np.float32), np.empty_like(logits)
    terms = np.empty(x.shape[1], np.float32)
    L, B, _ = logits.shape
    for draw in range(L):
        for b in range(B):
            _row(dnll[draw, b], logits[draw, b], x[b], terms, dlogits[draw, b])
            nll[draw, b] = _total(terms)
    return nll, dlogits


@njit(error_model="numpy")
def _row_of_factors(up, logits, x, terms, factors, dlogits):
    for d in range(len(x)):
        e = vector_math.exp_negative(-vector_math.magnitude(logits[d]))
        above = logits[d] if logits[d] > f32(0) else f32(0)
        terms[d] = above - x[d] * logits[d]
        factors[d] = f32(1) + e
        s = (f32(1) if logits[d] > f32(0) else e) / factors[d]
        dlogits[d] = up * (s - x[d])


@njit(error_model="numpy")
def _logarithm_of_product(factors):
    """Σ log of factors from 1 to 2: the logs of 16 products of 64 at most, as float32 holds."""
    total = f32(0)
    for first in range(0, len(factors), 1024):
        products, some = np.ones(16, np.float32), factors[first : first + 1024]
        for k in range(len(some) // 16):
            row = some[16 * k : 16 * k + 16]
            for j in range(16):
                products[j] *= row[j]
        for j in range(len(some) % 16):
            products[j] *= some[len(some) // 16 * 16 + j]
        for j in range(16):
            products[j] = vector_math.log(products[j])
        total += products.sum()
    return total


@LADDER.version(rough=10)
@njit(error_model="numpy")
def likelihood_v5(dnll, logits, x):
    """the logarithm of a product: log(1 + e) of 64 pixels is one logarithm, and 64 products"""
    nll, dlogits = np.zeros(dnll.shape, np.float32), np.empty_like(logits)
    terms, factors = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    L, B, _ = logits.shape
    for draw in range(L):
        for b in range(B):
            row = dlogits[draw, b]
            _row_of_factors(dnll[draw, b], logits[draw, b], x[b], terms, factors, row)
            nll[draw, b] = _total(terms) + _logarithm_of_product(factors)
    return nll, dlogits


@LADDER.version(chosen=True)
def likelihood_v6(dnll, logits, x):
    """chosen: the same pass with the rows shared out among the team of threads"""
    return chosen("bernoulli_nll_grad")(dnll, logits, x)
