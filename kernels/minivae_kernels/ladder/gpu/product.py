"""The dense layer y = x W + b by hand, from one thread a number to the tensor cores, and cuBLAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.gpu.launcher import LANES, THREADS, Array, Launcher, ceil_div
from minivae_kernels.gpu.ops_model import ModelOps
from minivae_kernels.ladder.base import Args, Ladder

SIDE, BLOCK_ROWS, BLOCK_COLUMNS = 16, 128, 64  # as in product_rungs.cu
# How many times float32's rounding of a product TF32's is: 13 bits of mantissa less, in two inputs.
TF32_LOSS = 2.0**14


def _inputs(rng: np.random.Generator, rows: int) -> Args:
    x = rng.standard_normal((rows, 784), dtype=np.float32)
    W = np.float32(0.05) * rng.standard_normal((784, 400), dtype=np.float32)
    return x, W, rng.standard_normal(400, dtype=np.float32)


def asked_for(tile_rows: int, tile_columns: int) -> Any:
    """-> the bytes that blocks (or warps) making such tiles of y ask of memory, from the arguments.

    Each reads its rows of x and its columns of W whole, from the caches or from memory.
    """

    def count(x: Array, W: Array, b: Array) -> int:
        (rows, inner), columns = x.shape, W.shape[1]
        again_x, again_W = ceil_div(columns, tile_columns), ceil_div(rows, tile_rows)
        return int(4 * (again_x * rows * inner + again_W * inner * columns + rows * columns))

    return count


def ladder(device: Any) -> Ladder:
    """The rungs on one device; arguments are that device's arrays."""
    found = Ladder("dense_forward", "flop", 8192, _inputs,
                   lambda args: 2 * args[0].size * args[1].shape[1])  # fmt: skip
    launcher = Launcher(device)

    def tiled(kernel: str, rows: int, columns: int, *given: Array, by_fours: bool = True) -> Array:
        """Launch a kernel whose blocks make (rows, columns) numbers of y each."""
        x, W, b = given
        (n, inner), across = x.shape, W.shape[1]
        y = device.empty((n, across), np.float32)
        vec = launcher.by_fours(inner, x) and launcher.by_fours(across, W)
        args = (x, W, b, y, n, inner, across, *([int(vec)] if by_fours else []))
        device.launch(kernel, (ceil_div(across, columns), ceil_div(n, rows)), THREADS, args)
        return y

    @found.version(moves=asked_for(1, LANES))
    def product_v0(x: Array, W: Array, b: Array) -> Array:
        """one thread a number: a warp reads a row of x and 32 columns of W for 32 sums"""
        (n, inner), columns = x.shape, W.shape[1]
        y = device.empty((n, columns), np.float32)
        grid = (n, ceil_div(columns, THREADS))
        device.launch("product_naive_rung", grid, THREADS, (x, W, b, y, inner, columns))
        return y

    @found.version(moves=asked_for(SIDE, SIDE))
    def product_v1(x: Array, W: Array, b: Array) -> Array:
        """tiled: 16 × 16 sums a block, each number it reads is used 16 times from shared memory"""
        return tiled("product_tiled_rung", SIDE, SIDE, x, W, b, by_fours=False)

    @found.version(moves=asked_for(BLOCK_ROWS, BLOCK_COLUMNS))
    def product_v2(x: Array, W: Array, b: Array) -> Array:
        """8 × 4 sums a thread: shared memory is read 12 times for 32 multiply-adds, not 64"""
        kernel, tile = "product_registers_rung", (BLOCK_ROWS, BLOCK_COLUMNS)
        return tiled(kernel, *tile, x, W, b, by_fours=False)

    @found.version(moves=asked_for(BLOCK_ROWS, BLOCK_COLUMNS))
    def product_v3(x: Array, W: Array, b: Array) -> Array:
        """vectorised: four numbers an access, from memory and from shared memory"""
        return tiled("product_fours_rung", BLOCK_ROWS, BLOCK_COLUMNS, x, W, b)

    @found.version(moves=asked_for(BLOCK_ROWS, BLOCK_COLUMNS))
    def product_v4(x: Array, W: Array, b: Array) -> Array:
        """double-buffered: the next slab is on its way while this one is multiplied"""
        return tiled("product_ahead_rung", BLOCK_ROWS, BLOCK_COLUMNS, x, W, b)

    @found.version(moves=asked_for(BLOCK_ROWS, BLOCK_COLUMNS), rough=TF32_LOSS)
    def product_v5(x: Array, W: Array, b: Array) -> Array:
        """TF32, no longer float32: tensor cores (8.0 has them) on inputs of 10 bits of mantissa"""
        return tiled("product_tf32_rung", BLOCK_ROWS, BLOCK_COLUMNS, x, W, b)

    chosen = ModelOps(device).dense_forward

    @found.version()
    def product_v6(x: Array, W: Array, b: Array) -> Array:
        """the product's own: cuBLAS in float32, and the bias in a pass after it"""
        return chosen(x, W, b)

    return found
