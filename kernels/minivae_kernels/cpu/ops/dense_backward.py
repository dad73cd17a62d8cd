"""The dense layer's backward on row-major matrices: dx = dy Wᵀ, dW = xᵀ dy and db = Σ dy.

dx needs a matrix transposed, and takes the way with less to transpose: Wᵀ, and then rows of dy by
its panels; or dyᵀ, and then rows of W by its panels, which gives dxᵀ, transposed on its way to its
place. A batch of 128 at 784 x 400 has half as much that way. Either adds up every element in the
same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.address import address, ahead
from minivae_kernels.cpu.gemm.matmul import DEPTH, NOUGHT, ONE, STEP, halves_of
from minivae_kernels.cpu.gemm.pack import unpack_rows
from minivae_kernels.cpu.gemm.plain import (
    MANY,
    multiply_plain,
    pack_columns,
    product_panel,
    transpose_rows,
    unpack_across,
)
from minivae_kernels.cpu.ops.activations import (
    relu_gradient_from_output,
    tanh_gradient_from_output,
)
from minivae_kernels.cpu.ops.arguments import flat, fresh
from minivae_kernels.cpu.ops.dense import (
    EDGE,
    NOTHING,
    PER_UNIT,
    TILE,
    goes_home,
    pack_piece,
    packed_room,
    panel_columns,
    plain_panel,
    product,
    rows_of_piece,
    scratch_rows,
)
from minivae_kernels.cpu.ops.dense_arguments import input_arguments, params_arguments
from minivae_kernels.cpu.ops.elementwise import gradient_op
from minivae_kernels.cpu.threads.barrier import atomic_load
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import laid_out, share_out
from minivae_kernels.cpu.threads.waking import TEAM

f32 = np.float32
DEEP = 512  # rows of x whose part of xᵀ dy is added up before the next are read
HIGH = 96  # rows of dxᵀ in a piece: whole tiles of twelve and whole blocks of 32
TURNED = 2  # units of work to transpose a number


@inner
def transpose_piece(k, member, plain, rows, columns, out):
    """Panel k of the transpose of a matrix (rows, columns)."""
    row, high = panel_columns(k, rows)
    transpose_rows(plain, row * columns, columns, high, columns, out, row * columns)


@entry
def input_kernel(crew, dy, W, zeros, dx, sizes, scratch, packed):
    """dx = dy Wᵀ by Wᵀ's panels, all row-major; sizes: rows, outputs, inputs."""
    _, outputs, inputs = sizes
    job = laid_out(transpose_piece, (W, inputs, outputs, packed))
    share_out(crew, job, (inputs + PANEL - 1) // PANEL, TURNED * inputs * outputs)
    product(crew, dy, W, packed, zeros, dx, sizes, NOUGHT, scratch)


@inner
def across_piece(k, member, W, packed, dx, sizes, scratch):
    """HIGH rows of one panel of dxᵀ = W dyᵀ, brought to their place in dx."""
    rows, outputs, inputs = sizes
    own, across = scratch[member], (rows + PANEL - 1) // PANEL
    panel, first = k % across, k // across * HIGH
    count = min(HIGH, inputs - first)
    row, high = panel_columns(panel, rows)
    own[TILE:EDGE] = f32(0)
    at, b, c = address(W, first * outputs), address(packed, row * outputs), address(own, NOUGHT)
    start, halves = address(own, TILE), halves_of(rows, panel)
    product_panel(at, outputs, ONE, b, STEP, c, c, STEP, start, count, outputs, halves)
    unpack_across(own, count, high, dx, row * inputs + first, inputs)


@entry
def input_across_kernel(crew, dy, W, dx, sizes, scratch, packed):
    """dx = dy Wᵀ by dyᵀ's panels, all row-major; sizes: rows, outputs, inputs."""
    rows, outputs, inputs = sizes
    across = (rows + PANEL - 1) // PANEL
    job = laid_out(transpose_piece, (dy, rows, outputs, packed))
    share_out(crew, job, across, TURNED * rows * outputs)
    job = laid_out(across_piece, (W, packed, dx, sizes, scratch))
    count = across * ((inputs + HIGH - 1) // HIGH)
    share_out(crew, job, count, rows * inputs * outputs // PER_UNIT)


@inner
def weights_piece(k, member, x, dy, packed, dW, db, sizes, scratch):
    """One piece of dW += xᵀ dy, from row `start` on; dy in panels, or, of few rows, as it comes.
    sizes: start, rows, inputs, outputs, rows of a piece."""
    start, rows, inputs, outputs, block = sizes
    own, across = scratch[member], (outputs + PANEL - 1) // PANEL
    panel, first = k % across, k // across * block
    count, halves = min(block, inputs - first), halves_of(outputs, panel)
    column, wide = panel_columns(panel, outputs)
    at, c = address(x, start * inputs + first), address(own, NOUGHT)
    own[TILE:EDGE] = f32(0)
    to, to_row, home = c, STEP, goes_home(wide, NOUGHT) and start == 0
    if home:
        to, to_row = address(dW, first * outputs + column), np.int64(outputs)
    b, zeros = address(packed, column * rows), address(own, TILE)
    if len(packed) == 0:
        plain_panel(at, ONE, inputs, dy, column, (rows, outputs), wide, own, to, to_row, count)
    elif start == 0:
        product_panel(at, ONE, inputs, b, STEP, c, to, to_row, zeros, count, rows, halves)
    else:
        pack_columns(dW, first * outputs + column, outputs, count, wide, own, NOUGHT)
        for k0 in range(0, rows, DEPTH):
            ak, bk = ahead(at, k0 * inputs), ahead(b, k0 * PANEL)
            deep = min(DEPTH, rows - k0)
            multiply_plain(ak, ONE, inputs, bk, STEP, c, STEP, c, STEP, count, deep, halves)
    if not home:
        unpack_rows(own, NOUGHT, count, panel, dW, outputs, first)
    if first == 0:
        sum_columns(dy, start * outputs + column, outputs, rows, db[column : column + wide])


@entry
def params_kernel(crew, dy, x, dW, db, sizes, scratch, packed):
    """dW = xᵀ dy and db = Σ dy, all row-major; `packed` has room for DEEP rows of dy."""
    total, inputs, outputs = sizes
    across = (outputs + PANEL - 1) // PANEL
    block = rows_of_piece(inputs, across, atomic_load(crew, TEAM))
    count = across * ((inputs + block - 1) // block)
    db[:] = f32(0)
    for start in range(0, total, DEEP):
        rows = min(DEEP, total - start)
        if len(packed) > 0:
            stretch = dy[start * outputs : (start + rows) * outputs]
            job = laid_out(pack_piece, (stretch, rows, outputs, packed))
            share_out(crew, job, across, rows * outputs)
        given = (x, dy, packed, dW, db, (start, rows, inputs, outputs, block), scratch)
        share_out(crew, laid_out(weights_piece, given), count, rows * inputs * outputs // PER_UNIT)


@inner
def sum_columns(plain, p0, stride, rows, out):
    """out += `rows` rows, one after another."""
    for r in range(rows):
        row = plain[p0 + r * stride : p0 + r * stride + len(out)]
        for c in range(len(out)):
            out[c] = out[c] + row[c]


def _by_dy(rows: int, outputs: int, inputs: int) -> bool:
    """Whether dyᵀ and dxᵀ are less to transpose than W; rows are computed sixteen at a time."""
    return (rows + 15) // 16 * 16 * (outputs + inputs) < inputs * outputs


def dense_backward_input(dy: Any, W: Any) -> np.ndarray:
    """dx = dy Wᵀ; dy (B, O), W (I, O) -> dx (B, I)                       (E6)"""
    dy, W = input_arguments(dy, W)
    rows, (inputs, outputs) = len(dy), W.shape
    if not outputs:
        return np.zeros((rows, inputs), dtype=np.float32)
    dx = fresh((rows, inputs))
    if not dx.size:
        return dx
    crew, sizes = crew_for(dx.size * outputs // PER_UNIT), (rows, outputs, inputs)
    if _by_dy(*sizes):
        input_across_kernel(crew, flat(dy), flat(W), dx.reshape(-1), sizes, scratch_rows(),
                            packed_room(outputs, rows))  # fmt: skip
    else:
        input_kernel(crew, flat(dy), flat(W), np.zeros(inputs, f32), dx.reshape(-1), sizes,
                     scratch_rows(), packed_room(outputs, inputs))  # fmt: skip
    return dx


def dense_backward_params(dy: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """dW = xᵀ dy and db = Σ_b dy; dy (B, O), x (B, I) -> dW (I, O), db (O,)   (E6)"""
    dy, x = params_arguments(dy, x)
    (rows, outputs), inputs = dy.shape, x.shape[1]
    if not (rows and outputs and inputs):
        return np.zeros((inputs, outputs), dtype=np.float32), dy.sum(axis=0, dtype=np.float32)
    dW, db = fresh((inputs, outputs)), fresh(outputs)
    crew = crew_for(dW.size * rows // PER_UNIT)
    packed = packed_room(min(rows, DEEP), outputs) if rows >= MANY else NOTHING
    params_kernel(crew, flat(dy), flat(x), dW.reshape(-1), db, (rows, inputs, outputs),
                  scratch_rows(), packed)  # fmt: skip
    return dW, db


OPS = (
    dense_backward_params,
    dense_backward_input,
    gradient_op("dense_relu_backward", relu_gradient_from_output),
    gradient_op("dense_tanh_backward", tanh_gradient_from_output),
)
