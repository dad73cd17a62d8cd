"""The dense layer's ops on row-major matrices: pack into panels, multiply, write back."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import entry
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.layout import Arena, aligned, panels, row_stride
from minivae_kernels.cpu.gemm.matmul import (
    BLOCK,
    DEPTH,
    NOUGHT,
    TWO,
    backward_panel,
    forward_panel,
    halves_of,
    multiply,
    weight_blocks,
)
from minivae_kernels.cpu.gemm.pack import copy, pack_rows, unpack_rows
from minivae_kernels.cpu.ops.activations import (
    ACTIVATIONS,
    relu_gradient_from_output,
    tanh_gradient_from_output,
)
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.ops.elementwise import gradient_op
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.partition import OWN, next_piece, product_deal
from minivae_kernels.cpu.threads.pool import run

SCRATCH = DEPTH * PANEL + BLOCK  # floats for each thread


@entry
def forward_kernel(
    member,
    team,
    sync,
    x,
    W,
    bias,
    y,
    rows,
    inputs,
    outputs,
    activation,
    space,
    place,
    pieces,
    firsts,
):
    """y = act(x W + b); place: where x, W, b and y lie in `space`, and their panels' strides."""
    if not barrier(sync, team):
        return
    x0, x_panel, w0, w_panel, b0, y0, y_panel = place
    low, high = share(rows, member, team)
    pack_rows(x, inputs, low, high, space, x0, x_panel)
    low, high = share(inputs, member, team)
    pack_rows(W, outputs, low, high, space, w0, w_panel)
    if member == 0:
        copy(bias, space[b0 : b0 + outputs])
    barrier(sync, team)
    crew = (sync, member, team)
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        a, c = x0 + first * PANEL, y0 + panel * y_panel + first * PANEL
        forward_panel(
            space, a, x_panel, space, w0 + panel * w_panel, space, b0 + panel * PANEL,
            space, c, count, inputs, halves_of(outputs, panel),
        )  # fmt: skip
        if activation != 0:
            call(activation, (space[c : c + count * PANEL],))
        unpack_rows(space, c, count, panel, y, outputs, first)
        turn, k = next_piece(crew, firsts[0], turn)


@entry
def input_kernel(
    member,
    team,
    sync,
    dy,
    W,
    dx,
    rows,
    inputs,
    outputs,
    space,
    place,
    scratch,
    pieces,
    firsts,
):
    """dx = dy Wᵀ; place: dy, W and dx."""
    if not barrier(sync, team):
        return
    dy0, dy_panel, w0, w_panel, zeros, dx0, dx_panel = place
    low, high = share(rows, member, team)
    pack_rows(dy, outputs, low, high, space, dy0, dy_panel)
    low, high = share(inputs, member, team)
    pack_rows(W, outputs, low, high, space, w0, w_panel)
    barrier(sync, team)
    crew = (sync, member, team)
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        c = dx0 + panel * dx_panel + first * PANEL
        backward_panel(
            space, dy0 + first * PANEL, dy_panel, space, w0, w_panel, panel, space, c, count,
            outputs, halves_of(inputs, panel), scratch, member * SCRATCH,
            space[zeros : zeros + PANEL],
        )  # fmt: skip
        unpack_rows(space, c, count, panel, dx, inputs, first)
        turn, k = next_piece(crew, firsts[0], turn)


@entry
def params_kernel(member, team, sync, dy, x, dW, db, rows, inputs, outputs, space, place, scratch):
    """dW = xᵀ dy and db = Σ dy; place: dy, x and 32 ones."""
    if not barrier(sync, team):
        return
    dy0, dy_panel, x0, x_panel, zeros, ones, _ = place
    low, high = share(rows, member, team)
    pack_rows(dy, outputs, low, high, space, dy0, dy_panel)
    pack_rows(x, inputs, low, high, space, x0, x_panel)
    barrier(sync, team)
    across = (inputs + PANEL - 1) // PANEL
    low, high = share(across * ((outputs + PANEL - 1) // PANEL), member, team)
    s0, none = member * SCRATCH, space[zeros : zeros + PANEL]
    for block in range(low, high):
        panel, i = block // across, block % across
        halves = halves_of(outputs, panel)
        d0, a0 = dy0 + panel * dy_panel, x0 + i * x_panel
        left = inputs - i * PANEL
        weight_blocks(space, a0, x_panel, space, d0, rows, left, 1, halves, scratch, s0, none)
        unpack_rows(scratch, s0, min(PANEL, left), panel, dW, outputs, i * PANEL)
        if i == 0:
            multiply(
                space[ones : ones + PANEL], NOUGHT, NOUGHT, space, d0, scratch, s0, none, NOUGHT,
                NOUGHT, np.int64(1), rows, TWO,
            )  # fmt: skip
            n = min(PANEL, outputs - panel * PANEL)
            copy(scratch[s0 : s0 + n], db[panel * PANEL : panel * PANEL + n])


_local = threading.local()


def _buffer(name: str, floats: int) -> np.ndarray:
    """This thread's buffer, grown as needed: fresh memory costs more than the copy into it."""
    held = getattr(_local, name, None)
    if held is None or len(held) < floats:
        held = aligned(floats)
        setattr(_local, name, held)
    return held


def _forward(op: str, x: Any, W: Any, b: Any, activation: int) -> np.ndarray:
    W = matrix(op, "W", W, (None, None))
    x, b = matrix(op, "x", x, (None, len(W))), matrix(op, "b", b, (W.shape[1],))
    float32_only(op, x, W, b)
    (rows, inputs), outputs = x.shape, W.shape[1]
    y = fresh((rows, outputs))
    if y.size:
        space, stride = Arena(), row_stride(rows)
        wide = panels(inputs) * PANEL * PANEL
        place = (*space.matrix(inputs, stride), *space.matrix(outputs, wide),
                 space.take(panels(outputs) * PANEL), *space.matrix(outputs, stride))  # fmt: skip
        args = flat(x), flat(W), flat(b), y.reshape(-1), rows, inputs, outputs, activation
        team = team_for(y.size * inputs / 64)
        run(forward_kernel, team, *args, _buffer("space", space.size), place,
            *product_deal(outputs, rows, team))  # fmt: skip
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
    dx = np.zeros((rows, inputs), dtype=np.float32)
    if dx.size and outputs:
        space, stride = Arena(), row_stride(rows)
        wide = panels(inputs) * PANEL * PANEL
        place = (*space.matrix(outputs, stride), *space.matrix(outputs, wide), space.take(PANEL),
                 *space.matrix(inputs, stride))  # fmt: skip
        team = team_for(dx.size * outputs / 64)
        held = _buffer("space", space.size)
        held[place[4] : place[4] + PANEL] = 0
        args = flat(dy), flat(W), dx.reshape(-1), rows, inputs, outputs
        run(input_kernel, team, *args, held, place, _buffer("scratch", team * SCRATCH),
            *product_deal(inputs, rows, team))  # fmt: skip
    return dx


def dense_backward_params(dy: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """dW = xᵀ dy and db = Σ_b dy; dy (B, O), x (B, I) -> dW (I, O), db (O,)   (E6)"""
    op = "dense_backward_params"
    dy = matrix(op, "dy", dy, (None, None))
    x = matrix(op, "x", x, (len(dy), None))
    float32_only(op, dy, x)
    (rows, outputs), inputs = dy.shape, x.shape[1]
    dW = np.zeros((inputs, outputs), dtype=np.float32)
    db = np.zeros(outputs, dtype=np.float32)
    if rows and outputs:
        space, stride = Arena(), row_stride(rows)
        place = (*space.matrix(outputs, stride), *space.matrix(max(inputs, 1), stride),
                 space.take(PANEL), space.take(PANEL), 0)  # fmt: skip
        held = _buffer("space", space.size)
        held[place[4] : place[4] + PANEL], held[place[5] : place[5] + PANEL] = 0, 1
        team = team_for(dW.size * rows / 64)
        args = flat(dy), flat(x), dW.reshape(-1), db, rows, inputs, outputs
        run(params_kernel, team, *args, held, place, _buffer("scratch", team * SCRATCH))
        if not inputs:
            db[:] = dy.sum(axis=0)
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
