"""y = x W at 128 x 784 x 400: from three Python loops to a register tile on packed panels."""

from __future__ import annotations

import numpy as np
from numba import njit

from minivae_kernels.cpu.compile.decorators import OPTIONS
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm import matmul
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.ladder.base import Args, Ladder, chosen

f32 = np.float32


def _inputs(rng: np.random.Generator, rows: int) -> Args:
    x = rng.standard_normal((rows, 784), dtype=np.float32)
    W = f32(0.05) * rng.standard_normal((784, 400), dtype=np.float32)
    return x, W, rng.standard_normal(400, dtype=np.float32)


LADDER = Ladder(op="dense_forward", unit="flop", rows=128, inputs=_inputs,
                work=lambda args: 2 * args[0].size * args[1].shape[1])  # fmt: skip


@LADDER.version(part=128)
def product_v0(x, W, b):
    """three Python loops, as the sum is written"""
    y = np.empty((len(x), len(b)), np.float32)
    for r in range(len(x)):
        for c in range(len(b)):
            total = f32(0)
            for k in range(len(W)):
                total += x[r, k] * W[k, c]
            y[r, c] = total + b[c]
    return y


_compiled = njit(product_v0)


@LADDER.version()
def product_v1(x, W, b):
    """the same loops compiled: W is read down its columns, a new cache line at every step"""
    return _compiled(x, W, b)


@njit
def _biases(x, b):
    """y with b in every row, for the sums to start from."""
    y = np.empty((len(x), len(b)), np.float32)
    for r in range(len(x)):
        for c in range(len(b)):
            y[r, c] = b[c]
    return y


@njit(error_model="numpy")
def _axpy(factor, row, out):
    for c in range(len(out)):
        out[c] += factor * row[c]


@LADDER.version()
@njit
def product_v2(x, W, b):
    """loops exchanged, k before c: rows of W are read along and the inner loop vectorises"""
    y = _biases(x, b)
    for r in range(len(x)):
        for k in range(len(W)):
            _axpy(x[r, k], W[k], y[r])
    return y


@LADDER.version()
@njit
def product_v3(x, W, b):
    """blocks of 64 k: a slab of W (100 KB) stays in the cache while all rows pass over it"""
    y = _biases(x, b)
    for low in range(0, len(W), 64):
        high = min(low + 64, len(W))
        for r in range(len(x)):
            for k in range(low, high):
                _axpy(x[r, k], W[k], y[r])
    return y


@njit(error_model="numpy")
def _four(x0, x1, x2, x3, W, y0, y1, y2, y3):
    for k in range(len(x0)):
        a0, a1, a2, a3, row = x0[k], x1[k], x2[k], x3[k], W[k]
        for c in range(len(row)):
            w = row[c]
            y0[c] += a0 * w
            y1[c] += a1 * w
            y2[c] += a2 * w
            y3[c] += a3 * w


@LADDER.version()
@njit
def product_v4(x, W, b):
    """four rows at once: each element of W that is loaded serves four sums"""
    y = _biases(x, b)
    for low in range(0, len(W), 64):
        part, r = W[low : low + 64], 0
        k = slice(low, low + len(part))
        while r + 4 <= len(x):
            _four(x[r, k], x[r + 1, k], x[r + 2, k], x[r + 3, k], part,
                  y[r], y[r + 1], y[r + 2], y[r + 3])  # fmt: skip
            r += 4
        for last in range(r, len(x)):
            for j in range(len(part)):
                _axpy(x[last, low + j], part[j], y[last])
    return y


def panels(a: np.ndarray) -> np.ndarray:
    """A matrix as flat panels of 32 columns, padded with zeros: panel, row, column."""
    rows, columns = a.shape
    count = -(-columns // PANEL)
    padded = np.zeros((rows, count * PANEL), np.float32)
    padded[:, :columns] = a
    return padded.reshape(rows, count, PANEL).transpose(1, 0, 2).ravel()


def _pack(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> Args:
    count = -(-W.shape[1] // PANEL)
    inputs = -(-len(W) // PANEL) * PANEL
    square = np.zeros((inputs, W.shape[1]), np.float32)
    square[: len(W)] = W
    bias = np.zeros(count * PANEL, np.float32)
    bias[: len(b)] = b
    y = np.zeros(count * len(x) * PANEL, np.float32)
    return panels(x), panels(square), bias, y, len(x), len(W), W.shape[1]


def _unpack(y: np.ndarray, args: Args) -> np.ndarray:
    x, W, _ = args
    return y.reshape(-1, len(x), PANEL).transpose(1, 0, 2).reshape(len(x), -1)[:, : W.shape[1]]


@njit(**OPTIONS)
def _panels_product(x, w, bias, y, rows, inputs, outputs):
    stride = (inputs + 31) // 32 * 32 * 32
    for p in range((outputs + 31) // 32):
        matmul.forward_panel(
            address(x, 0), rows * 32, address(w, p * stride), address(bias, p * 32),
            address(y, p * rows * 32), rows, inputs, matmul.halves_of(outputs, p),
        )  # fmt: skip


@LADDER.version(prepare=_pack, finish=_unpack)
def product_v5(x, w, bias, y, rows, inputs, outputs):
    """operands in panels, sums in registers: twelve rows of 32 columns, 24 vectors, 128 k long"""
    _panels_product(x, w, bias, y, rows, inputs, outputs)
    return y


@LADDER.version(chosen=True)
def product_v6(x, W, b):
    """chosen: as an op, on plain arrays, their panels shared out among the team of threads"""
    return chosen("dense_forward")(x, W, b)
