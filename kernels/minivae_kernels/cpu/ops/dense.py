"""The dense layer's forward on row-major matrices, one panel of the result at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.compile.ufunc import call_plain, floats_at, stack_floats, word_at
from minivae_kernels.cpu.gemm.address import address, ahead
from minivae_kernels.cpu.gemm.layout import aligned, panels
from minivae_kernels.cpu.gemm.matmul import NOUGHT, ONE, STEP, halves_of
from minivae_kernels.cpu.gemm.pack import unpack_rows
from minivae_kernels.cpu.gemm.plain import MANY, multiply_plain, pack_columns, product_panel
from minivae_kernels.cpu.ops.activations import ACTIVATIONS
from minivae_kernels.cpu.ops.arguments import F32, asked, declining, plain
from minivae_kernels.cpu.ops.dense_arguments import forward_arguments
from minivae_kernels.cpu.ops.elementwise import (
    CLEAR,
    CREW,
    LOOP,
    N0,
    N1,
    N2,
    N3,
    N4,
    Elementwise,
    answering,
)
from minivae_kernels.cpu.ops.loops import Loop
from minivae_kernels.cpu.threads import pool
from minivae_kernels.cpu.threads.barrier import atomic_load
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import laid_out, share_out
from minivae_kernels.cpu.threads.waking import TEAM

f32 = np.float32
ROWS = 252  # most rows of a piece: so many activations stay in the second-level cache
TILE = np.int64(ROWS * PANEL)  # floats of a member's panel of C
EDGE = np.int64(TILE + PANEL)  # 32 of a bias or zeros before, the last rows of a narrow B from here
OWN = int(EDGE) + PANEL * PANEL  # floats that a piece works in, on the stack of whoever does it
SHARES = 16  # pieces for each member, or about as many
PER_UNIT = 16  # multiply-adds in a unit of work (threads/crew.py)
own_floats = stack_floats(OWN)


@inner
def rows_of_piece(rows, across, team):
    """How many rows a piece has: enough pieces for the team, and whole tiles of twelve rows."""
    cuts = max((rows + ROWS - 1) // ROWS, (SHARES * team + across - 1) // across)
    return min(max((rows + cuts - 1) // cuts + 11, 24) // 12 * 12, ROWS)


@inner
def panel_columns(panel, columns):
    """A panel's first column, and how many there are."""
    return panel * PANEL, min(PANEL, columns - panel * PANEL)


@inner
def plain_panel(a, a_row, a_k, plain, column, sizes, wide, own, c, c_row, rows):
    """A panel of C = S + A B, with B read where it lies, even where a panel is narrower than 32.

    What stands beyond such a panel belongs to B's next row, and only spoils columns that nobody
    asks for; the last rows, beyond which B ends, are copied. S lies at TILE. sizes: B's rows and
    columns.
    """
    depth, columns = sizes
    halves = halves_of(wide, NOUGHT)
    whole = min(max((len(plain) - column - 16 * halves) // columns + 1, 0), depth)
    sums, start, b = address(own, NOUGHT), address(own, TILE), address(plain, column)
    product_panel(
        a, a_row, a_k, b, np.int64(columns), sums, c, c_row, start, rows, whole, halves
    )  # fmt: skip
    if whole < depth:
        pack_columns(plain, column + whole * columns, columns, depth - whole, wide, own, EDGE)
        rest, edge, left = ahead(a, whole * a_k), address(own, EDGE), depth - whole
        multiply_plain(rest, a_row, a_k, edge, STEP, c, c_row, c, c_row, rows, left, halves)


@inner
def goes_home(wide, activation):
    """Whether the tiles leave a panel of the result where it belongs: a whole one, or half."""
    return activation == 0 and (wide == PANEL or wide == PANEL // 2)


@inner
def pack_piece(k, member, plain, rows, columns, out):
    """Panel k of a matrix (rows, columns)."""
    column, wide = panel_columns(k, columns)
    pack_columns(plain, column, columns, rows, wide, out, column * rows)


@inner
def rows_piece(k, member, a, b, packed, bias, c, sizes, activation):
    """One piece of C = act(A B + bias), if there is one; B in panels, or as it comes. sizes: rows,
    depth, columns, rows of a piece."""
    rows, depth, columns, block = sizes
    own, across = floats_at(own_floats(), np.int64(OWN)), (columns + PANEL - 1) // PANEL
    panel, first = k % across, k // across * block
    count = min(block, rows - first)
    column, wide = panel_columns(panel, columns)
    if len(bias) > 0:
        pack_columns(bias, column, NOUGHT, ONE, wide, own, TILE)
    else:
        own[TILE:EDGE] = f32(0)
    at, sums, start = address(a, first * depth), address(own, NOUGHT), address(own, TILE)
    to, to_row = sums, STEP
    if goes_home(wide, activation):
        to, to_row = address(c, first * columns + column), np.int64(columns)
    if len(packed) > 0:
        panel0, halves = address(packed, column * depth), halves_of(columns, panel)
        product_panel(at, depth, ONE, panel0, STEP, sums, to, to_row, start, count, depth, halves)
    else:
        plain_panel(at, depth, ONE, b, column, (depth, columns), wide, own, to, to_row, count)
    if not goes_home(wide, activation):
        finish_panel(own, count, activation, panel, c, columns, first)


@inner
def finish_panel(own, count, activation, panel, c, columns, first):
    """The activation, if there is one, of `count` rows of a panel; then they go to their place."""
    if activation != 0:
        call(activation, (own[: count * PANEL],))
    unpack_rows(own, NOUGHT, count, panel, c, columns, first)


@inner
def product(crew, a, b, packed, bias, c, sizes, activation):
    """C = act(A B + bias), shared out. sizes: rows, depth, columns."""
    rows, depth, columns = sizes
    across = (columns + PANEL - 1) // PANEL
    block = rows_of_piece(rows, across, atomic_load(crew, TEAM))
    given = (a, b, packed, bias, c, (rows, depth, columns, block), activation)
    count = across * ((rows + block - 1) // block)
    share_out(crew, laid_out(rows_piece, given), count, rows * depth * columns // PER_UNIT)


@inner
def forward_whole(args, dims, steps, data):
    """y = act(x W + bias), all row-major; W goes through panels where there is room for them."""
    rows, inputs, outputs = word_at(dims, N1), word_at(dims, N2), word_at(dims, N3)
    x = floats_at(word_at(args, N0), rows * inputs)
    W = floats_at(word_at(args, N1), inputs * outputs)
    bias = floats_at(word_at(args, N2), outputs)
    packed = floats_at(word_at(args, N3), word_at(dims, N4))
    y, crew = floats_at(word_at(args, N4), rows * outputs), word_at(data, CREW)
    if len(y) == 0:
        return
    if len(packed) > 0:
        job = laid_out(pack_piece, (W, inputs, outputs, packed))
        share_out(crew, job, (outputs + PANEL - 1) // PANEL, inputs * outputs)
    product(crew, x, W, packed, bias, y, (rows, inputs, outputs), word_at(data, LOOP))
    call_plain(word_at(data, CLEAR))


kept = threading.local()
MOST_KEPT = 1 << 22  # floats that a thread keeps from call to call: fresh memory costs page faults
NOTHING = np.zeros(0, dtype=np.float32)


def packed_room(depth: int, columns: int) -> np.ndarray:
    """Room of this thread's own for a matrix in panels, with whatever stands in it."""
    floats = panels(columns) * PANEL * depth
    held: np.ndarray | None = getattr(kept, "packed", None)
    if held is None or len(held) < floats:
        held = aligned(floats)
        if floats <= MOST_KEPT:
            kept.packed = held
    return held


forward_loop = answering("forward_ufunc", forward_whole)


def forward_op(name: str, words: str, activation: Loop | None = None) -> Callable[..., Any]:
    """The op act(x W + b)."""
    signature = "(b,i),(i,o),(o),(p)->(b,o)"
    made = Elementwise(name, forward_loop, (4, 1), 1, activation, signature)

    def checked(x: Any, W: Any, b: Any) -> np.ndarray:
        x, W, b = forward_arguments(name, x, W, b)
        crew_for(len(x) * W.size // PER_UNIT)
        packed = packed_room(*W.shape) if len(x) >= MANY else NOTHING
        y: np.ndarray = made.ufunc(plain(x), plain(W), plain(b), packed)
        return y

    def make(reference: Any) -> Callable[..., Any]:
        def op(x: Any, W: Any, b: Any) -> Any:
            if (
                type(x) is type(W) is type(b) is ndarray and x.dtype is W.dtype is b.dtype is F32
                and x.ndim == W.ndim == 2 and len(x) < MANY and x.shape[1] == len(W)
                and b.shape == W.shape[1:] and pool.is_up and x.flags.c_contiguous
                and W.flags.c_contiguous and b.flags.c_contiguous
            ):  # fmt: skip
                return made.ufunc(x, W, b, NOTHING)
            return asked(reference, checked, x, W, b)

        op.__name__ = op.__qualname__ = name
        op.__doc__ = words
        return op

    return declining(make)


dense_forward = forward_op(
    "dense_forward", "y = x W + b; x (B, I), W (I, O), b (O,) -> y (B, O)   (E5)"
)
dense_relu_forward = forward_op(
    "dense_relu_forward", "y = relu(x W + b)   (E5, E7)", ACTIVATIONS["relu"].op_forward
)
dense_tanh_forward = forward_op(
    "dense_tanh_forward", "y = tanh(x W + b)   (E5, E8)", ACTIVATIONS["tanh"].op_forward
)

OPS = (dense_forward, dense_relu_forward, dense_tanh_forward)
