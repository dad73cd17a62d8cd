"""The dense layer's ops on row-major matrices, one panel of the result at a time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.cpu.gemm.layout import aligned, panels
from minivae_kernels.cpu.gemm.matmul import NOUGHT, ONE, STEP
from minivae_kernels.cpu.gemm.pack import unpack_rows
from minivae_kernels.cpu.gemm.plain import MANY, pack_columns, product_panel, transpose_rows
from minivae_kernels.cpu.ops.activations import (
    ACTIVATIONS,
    relu_gradient_from_output,
    tanh_gradient_from_output,
)
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.ops.elementwise import gradient_op
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.partition import OWN, RUN, next_piece, product_deal
from minivae_kernels.cpu.threads.pool import run

f32 = np.float32
TILE = RUN * PANEL  # floats of a member's panel of C
SPARE = TILE + PANEL  # floats of a member besides a panel of B: C, and 32 of a bias or zeros


@entry
def forward_kernel(member, team, sync, x, W, bias, y, shape, activation, scratch, work):
    """y = act(x W + b), all row-major; a row of `scratch` holds C, 32 of b, and a panel of W."""
    crew, own, (pieces, firsts) = (sync, member, team), scratch[member], work
    _, inputs, outputs = shape
    b, c = address(own, TILE), address(own, NOUGHT)
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        column = panel * PANEL
        wide = min(PANEL, outputs - column)
        pack_columns(bias, column, NOUGHT, ONE, wide, own, TILE)
        a = address(x, first * inputs)
        w, w_k = panel_of(W, column, outputs, inputs, wide, count, own)
        product_panel(a, inputs, ONE, w, w_k, c, b, count, inputs)
        if activation != 0:
            call(activation, (own[: count * PANEL],))
        unpack_rows(own, NOUGHT, count, panel, y, outputs, first)
        turn, k = next_piece(crew, firsts[0], turn)


@inner
def panel_of(plain, column, stride, rows, wide, uses, own):
    """A panel of a row-major matrix and how far apart its rows lie; packed where that pays."""
    if wide == PANEL and uses < MANY:
        return address(plain, column), np.int64(stride)
    pack_columns(plain, column, stride, rows, wide, own, SPARE)
    return address(own, SPARE), STEP


@entry
def input_kernel(member, team, sync, dy, W, dx, shape, scratch, work):
    """dx = dy Wᵀ, all row-major; a row of `scratch` holds C, 32 zeros, and a panel of Wᵀ."""
    crew, own, (pieces, firsts) = (sync, member, team), scratch[member], work
    _, inputs, outputs = shape
    own[TILE:SPARE] = f32(0)
    b, c, zeros = address(own, SPARE), address(own, NOUGHT), address(own, TILE)
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        high = min(PANEL, inputs - panel * PANEL)
        transpose_rows(W, panel * PANEL * outputs, outputs, high, outputs, own, SPARE)
        a = address(dy, first * outputs)
        product_panel(a, outputs, ONE, b, STEP, c, zeros, count, outputs)
        unpack_rows(own, NOUGHT, count, panel, dx, inputs, first)
        turn, k = next_piece(crew, firsts[0], turn)


@entry
def params_kernel(member, team, sync, dy, x, dW, db, shape, scratch, work):
    """dW = xᵀ dy and db = Σ dy, all row-major; a row of `scratch` as in input_kernel."""
    crew, own, (pieces, firsts) = (sync, member, team), scratch[member], work
    rows, inputs, outputs = shape
    own[TILE:SPARE] = f32(0)
    c, zeros = address(own, NOUGHT), address(own, TILE)
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        column = panel * PANEL
        wide = min(PANEL, outputs - column)
        b, b_k = panel_of(dy, column, outputs, rows, wide, count, own)
        product_panel(address(x, first), ONE, inputs, b, b_k, c, zeros, count, rows)
        unpack_rows(own, NOUGHT, count, panel, dW, outputs, first)
        if first == 0:
            sum_columns(dy, column, outputs, rows, db[column : column + wide])
        turn, k = next_piece(crew, firsts[0], turn)


@inner
def sum_columns(plain, p0, stride, rows, out):
    """out = the sum of `rows` rows, one after another."""
    for c in range(len(out)):
        out[c] = f32(0)
    for r in range(rows):
        row = plain[p0 + r * stride : p0 + r * stride + len(out)]
        for c in range(len(out)):
            out[c] = out[c] + row[c]


_local = threading.local()


def _scratch(team: int, depth: int) -> np.ndarray:
    """A row for each member, kept by this thread: fresh memory costs more than the copy into it."""
    floats = SPARE + panels(depth) * PANEL * PANEL
    held = getattr(_local, "scratch", None)
    if held is None or held.shape[0] < team or held.shape[1] < floats:
        held = _local.scratch = aligned(team * floats).reshape(team, floats)
    return held


def _forward(op: str, x: Any, W: Any, b: Any, activation: int) -> np.ndarray:
    W = matrix(op, "W", W, (None, None))
    x, b = matrix(op, "x", x, (None, len(W))), matrix(op, "b", b, (W.shape[1],))
    float32_only(op, x, W, b)
    (rows, inputs), outputs = x.shape, W.shape[1]
    y = fresh((rows, outputs))
    if y.size:
        team = team_for(y.size * inputs / 16)
        args = flat(x), flat(W), flat(b), y.reshape(-1), (rows, inputs, outputs), activation
        run(forward_kernel, team, *args, _scratch(team, inputs), product_deal(outputs, rows, team))
    return y


def dense_forward(x: Any, W: Any, b: Any) -> np.ndarray:
    """y = x W + b; x (B, I), W (I, O), b (O,) -> y (B, O)                (E5)"""
    return _forward("dense_forward", x, W, b, 0)


def dense_relu_forward(x: Any, W: Any, b: Any) -> np.ndarray:
    """y = relu(x W + b)                                                  (E5, E7)"""
    return _forward("dense_relu_forward", x, W, b, ACTIVATIONS["relu"].forward.address)


def dense_tanh_forward(x: Any, W: Any, b: Any) -> np.ndarray:
    """y = tanh(x W + b)                                                  (E5, E8)"""
    return _forward("dense_tanh_forward", x, W, b, ACTIVATIONS["tanh"].forward.address)


def dense_backward_input(dy: Any, W: Any) -> np.ndarray:
    """dx = dy Wᵀ; dy (B, O), W (I, O) -> dx (B, I)                       (E6)"""
    op = "dense_backward_input"
    W = matrix(op, "W", W, (None, None))
    dy = matrix(op, "dy", dy, (None, W.shape[1]))
    float32_only(op, dy, W)
    (rows, outputs), inputs = dy.shape, len(W)
    if not outputs:
        return np.zeros((rows, inputs), dtype=np.float32)
    dx = fresh((rows, inputs))
    if dx.size:
        team = team_for(dx.size * outputs / 16)
        args = flat(dy), flat(W), dx.reshape(-1), (rows, inputs, outputs)
        run(input_kernel, team, *args, _scratch(team, outputs), product_deal(inputs, rows, team))
    return dx


def dense_backward_params(dy: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """dW = xᵀ dy and db = Σ_b dy; dy (B, O), x (B, I) -> dW (I, O), db (O,)   (E6)"""
    op = "dense_backward_params"
    dy = matrix(op, "dy", dy, (None, None))
    x = matrix(op, "x", x, (len(dy), None))
    float32_only(op, dy, x)
    (rows, outputs), inputs = dy.shape, x.shape[1]
    if not (rows and outputs and inputs):
        return np.zeros((inputs, outputs), dtype=np.float32), dy.sum(axis=0, dtype=np.float32)
    dW, db = fresh((inputs, outputs)), fresh(outputs)
    team = team_for(dW.size * rows / 16)
    args = flat(dy), flat(x), dW.reshape(-1), db, (rows, inputs, outputs)
    run(params_kernel, team, *args, _scratch(team, rows), product_deal(outputs, inputs, team))
    return dW, db


OPS = (
    dense_forward,
    dense_backward_params,
    dense_backward_input,
    dense_relu_forward,
    dense_tanh_forward,
    gradient_op("dense_relu_backward", ACTIVATIONS["relu"].backward, relu_gradient_from_output),
    gradient_op("dense_tanh_backward", ACTIVATIONS["tanh"].backward, tanh_gradient_from_output),
)
