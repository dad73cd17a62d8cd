"""The dense layer's backward on row-major matrices: dx = dy Wᵀ, dW = xᵀ dy and db = Σ dy.

dx needs a matrix transposed, and takes the way with less to transpose: Wᵀ, and then rows of dy by
its panels; or dyᵀ, and then rows of W by its panels, which gives dxᵀ, transposed on its way to its
place. A batch of 128 at 784 x 400 has half as much that way. Either adds up every element in the
same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.compile.ufunc import call_plain, floats_at, word_at
from minivae_kernels.cpu.gemm.address import address, ahead
from minivae_kernels.cpu.gemm.layout import panels
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
from minivae_kernels.cpu.ops.arguments import F32, asked, declining, plain
from minivae_kernels.cpu.ops.dense import (
    EDGE,
    NOTHING,
    OWN,
    PER_UNIT,
    TILE,
    goes_home,
    kept,
    own_floats,
    pack_piece,
    packed_room,
    panel_columns,
    plain_panel,
    product,
    rows_of_piece,
)
from minivae_kernels.cpu.ops.dense_arguments import input_arguments, params_arguments
from minivae_kernels.cpu.ops.elementwise import (
    CLEAR,
    CREW,
    N0,
    N1,
    N2,
    N3,
    N4,
    Elementwise,
    answering,
    gradient_op,
)
from minivae_kernels.cpu.threads import pool
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


@inner
def upstream_and_room(args, dims):
    """The sizes (rows, outputs, inputs), dy, and the room to pack in: what both gradients take."""
    rows, outputs, inputs = word_at(dims, N1), word_at(dims, N2), word_at(dims, N3)
    dy = floats_at(word_at(args, N0), rows * outputs)
    packed = floats_at(word_at(args, N2), word_at(dims, N4))
    return (rows, outputs, inputs), dy, packed


@inner
def input_whole(args, dims, steps, data):
    """dx = dy Wᵀ, all row-major, by way of dyᵀ's panels or of Wᵀ's; there is room for the more."""
    (rows, outputs, inputs), dy, packed = upstream_and_room(args, dims)
    W = floats_at(word_at(args, N1), inputs * outputs)
    dx, crew = floats_at(word_at(args, N3), rows * inputs), word_at(data, CREW)
    if len(dx) == 0:
        return
    if by_dy(rows, outputs, inputs):
        input_across(crew, dy, W, dx, (rows, outputs, inputs), packed)
    else:
        input_along(crew, dy, W, dx, (rows, outputs, inputs), packed)
    call_plain(word_at(data, CLEAR))


@inner
def input_along(crew, dy, W, dx, sizes, packed):
    """dx = dy Wᵀ by Wᵀ's panels; sizes: rows, outputs, inputs. Its bias is no array: zeros."""
    _, outputs, inputs = sizes
    job = laid_out(transpose_piece, (W, inputs, outputs, packed))
    share_out(crew, job, (inputs + PANEL - 1) // PANEL, TURNED * inputs * outputs)
    product(crew, dy, W, packed, packed[:0], dx, sizes, NOUGHT)


@inner
def across_piece(k, member, W, packed, dx, sizes):
    """HIGH rows of one panel of dxᵀ = W dyᵀ, brought to their place in dx."""
    rows, outputs, inputs = sizes
    own, across = floats_at(own_floats(), np.int64(OWN)), (rows + PANEL - 1) // PANEL
    panel, first = k % across, k // across * HIGH
    count = min(HIGH, inputs - first)
    row, high = panel_columns(panel, rows)
    own[TILE:EDGE] = f32(0)
    at, b, c = address(W, first * outputs), address(packed, row * outputs), address(own, NOUGHT)
    start, halves = address(own, TILE), halves_of(rows, panel)
    product_panel(at, outputs, ONE, b, STEP, c, c, STEP, start, count, outputs, halves)
    unpack_across(own, count, high, dx, row * inputs + first, inputs)


@inner
def input_across(crew, dy, W, dx, sizes, packed):
    """dx = dy Wᵀ by dyᵀ's panels; sizes: rows, outputs, inputs."""
    rows, outputs, inputs = sizes
    across = (rows + PANEL - 1) // PANEL
    job = laid_out(transpose_piece, (dy, rows, outputs, packed))
    share_out(crew, job, across, TURNED * rows * outputs)
    job = laid_out(across_piece, (W, packed, dx, sizes))
    count = across * ((inputs + HIGH - 1) // HIGH)
    share_out(crew, job, count, rows * inputs * outputs // PER_UNIT)


@inner
def weights_piece(k, member, x, dy, packed, dW, db, sizes):
    """One piece of dW += xᵀ dy, from row `start` on; dy in panels, or, of few rows, as it comes.
    sizes: start, rows, inputs, outputs, rows of a piece."""
    start, rows, inputs, outputs, block = sizes
    own, across = floats_at(own_floats(), np.int64(OWN)), (outputs + PANEL - 1) // PANEL
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


@inner
def params_whole(args, dims, steps, data):
    """dW = xᵀ dy and db = Σ dy, all row-major; there is room for DEEP rows of dy, or for none."""
    (rows, outputs, inputs), dy, packed = upstream_and_room(args, dims)
    x = floats_at(word_at(args, N1), rows * inputs)
    dW = floats_at(word_at(args, N3), inputs * outputs)
    db = floats_at(word_at(args, N4), outputs)
    params(word_at(data, CREW), dy, x, dW, db, (rows, inputs, outputs), packed)
    call_plain(word_at(data, CLEAR))


@inner
def params(crew, dy, x, dW, db, sizes, packed):
    """dW = xᵀ dy and db = Σ dy, shared out; sizes: rows, inputs, outputs."""
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
        given = (x, dy, packed, dW, db, (start, rows, inputs, outputs, block))
        share_out(crew, laid_out(weights_piece, given), count, rows * inputs * outputs // PER_UNIT)


@inner
def sum_columns(plain, p0, stride, rows, out):
    """out += `rows` rows, one after another."""
    for r in range(rows):
        row = plain[p0 + r * stride : p0 + r * stride + len(out)]
        for c in range(len(out)):
            out[c] = out[c] + row[c]


@inner
def by_dy(rows, outputs, inputs):
    """Whether dyᵀ and dxᵀ are less to transpose than W; rows are computed sixteen at a time."""
    return (rows + 15) // 16 * 16 * (outputs + inputs) < inputs * outputs


_input = Elementwise(
    "dense_backward_input", answering("input_ufunc", input_whole), (3, 1), 1, None,
    "(b,o),(i,o),(p)->(b,i)",
)  # fmt: skip
_params = Elementwise(
    "dense_backward_params", answering("params_ufunc", params_whole), (3, 2), 1, None,
    "(b,o),(b,i),(p)->(i,o),(o)",
)  # fmt: skip


def _checked_input(dy: Any, W: Any) -> np.ndarray:
    dy, W = input_arguments(dy, W)
    rows, (inputs, outputs) = len(dy), W.shape
    if not outputs:
        return np.zeros((rows, inputs), dtype=np.float32)
    crew_for(rows * W.size // PER_UNIT)
    dx: np.ndarray = _input.ufunc(plain(dy), plain(W), packed_room(outputs, inputs))
    return dx


def _checked_params(dy: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    dy, x = params_arguments(dy, x)
    (rows, outputs), inputs = dy.shape, x.shape[1]
    if not (rows and outputs and inputs):
        return np.zeros((inputs, outputs), dtype=np.float32), dy.sum(axis=0, dtype=np.float32)
    crew_for(inputs * outputs * rows // PER_UNIT)
    packed = packed_room(min(rows, DEEP), outputs) if rows >= MANY else NOTHING
    dW, db = _params.ufunc(plain(dy), plain(x), packed)
    return dW, db


@declining
def dense_backward_input(reference):  # type: ignore[no-untyped-def]
    def dense_backward_input(dy: Any, W: Any) -> np.ndarray:
        """dx = dy Wᵀ; dy (B, O), W (I, O) -> dx (B, I)                       (E6)"""
        if (
            type(dy) is type(W) is ndarray and dy.dtype is W.dtype is F32
            and dy.ndim == W.ndim == 2 and dy.shape[1] == W.shape[1] > 0 and pool.is_up
            and dy.flags.c_contiguous and W.flags.c_contiguous
        ):  # fmt: skip
            room = getattr(kept, "packed", NOTHING)
            if len(room) >= panels(len(W)) * PANEL * dy.shape[1]:
                return _input.ufunc(dy, W, room)  # type: ignore[no-any-return]
        return asked(reference, _checked_input, dy, W)  # type: ignore[no-any-return]

    return dense_backward_input


@declining
def dense_backward_params(reference):  # type: ignore[no-untyped-def]
    def dense_backward_params(dy: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """dW = xᵀ dy and db = Σ_n dy; dy (B, O), x (B, I) -> dW (I, O), db (O,)   (E6)"""
        if (
            type(dy) is type(x) is ndarray and dy.dtype is x.dtype is F32
            and dy.ndim == x.ndim == 2 and 0 < len(dy) == len(x) < MANY and dy.size and x.size
            and pool.is_up and dy.flags.c_contiguous and x.flags.c_contiguous
        ):  # fmt: skip
            return _params.ufunc(dy, x, NOTHING)  # type: ignore[no-any-return]
        return asked(reference, _checked_params, dy, x)  # type: ignore[no-any-return]

    return dense_backward_params


OPS = (
    dense_backward_params,
    dense_backward_input,
    gradient_op("dense_relu_backward", relu_gradient_from_output),
    gradient_op("dense_tanh_backward", tanh_gradient_from_output),
)
