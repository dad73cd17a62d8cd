"""The dense layer's forward on row-major matrices, one panel of the result at a time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.address import address, ahead
from minivae_kernels.cpu.gemm.layout import aligned, panels
from minivae_kernels.cpu.gemm.matmul import NOUGHT, ONE, STEP, halves_of
from minivae_kernels.cpu.gemm.pack import unpack_rows
from minivae_kernels.cpu.gemm.plain import (
    MANY,
    multiply_plain,
    pack_columns,
    product_panel,
)
from minivae_kernels.cpu.ops.arguments import flat, fresh
from minivae_kernels.cpu.ops.dense_arguments import forward_ops
from minivae_kernels.cpu.threads.barrier import atomic_load
from minivae_kernels.cpu.threads.count import crew_for, team
from minivae_kernels.cpu.threads.crew import laid_out, share_out
from minivae_kernels.cpu.threads.waking import TEAM

f32 = np.float32
ROWS = 252  # most rows of a piece: so many activations stay in the second-level cache
TILE = np.int64(ROWS * PANEL)  # floats of a member's panel of C
EDGE = np.int64(TILE + PANEL)  # 32 of a bias or zeros before, the last rows of a narrow B from here
OWN = int(EDGE) + PANEL * PANEL  # floats of a member's scratch
SHARES = 16  # pieces for each member, or about as many
PER_UNIT = 16  # multiply-adds in a unit of work (threads/crew.py)


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
def rows_piece(k, member, a, b, packed, bias, c, sizes, activation, scratch):
    """One piece of C = act(A B + bias); B in panels, or as it comes. sizes: rows, depth, columns,
    rows of a piece."""
    rows, depth, columns, block = sizes
    own, across = scratch[member], (columns + PANEL - 1) // PANEL
    panel, first = k % across, k // across * block
    count = min(block, rows - first)
    column, wide = panel_columns(panel, columns)
    pack_columns(bias, column, NOUGHT, ONE, wide, own, TILE)
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
def product(crew, a, b, packed, bias, c, sizes, activation, scratch):
    """C = act(A B + bias), shared out. sizes: rows, depth, columns."""
    rows, depth, columns = sizes
    across = (columns + PANEL - 1) // PANEL
    block = rows_of_piece(rows, across, atomic_load(crew, TEAM))
    given = (a, b, packed, bias, c, (rows, depth, columns, block), activation, scratch)
    count = across * ((rows + block - 1) // block)
    share_out(crew, laid_out(rows_piece, given), count, rows * depth * columns // PER_UNIT)


@entry
def forward_kernel(crew, x, W, bias, y, sizes, activation, scratch, packed):
    """y = act(x W + bias), all row-major; W goes through panels where there is room in `packed`."""
    _, inputs, outputs = sizes
    if len(packed) > 0:
        job = laid_out(pack_piece, (W, inputs, outputs, packed))
        share_out(crew, job, (outputs + PANEL - 1) // PANEL, inputs * outputs)
    product(crew, x, W, packed, bias, y, sizes, activation, scratch)


_local = threading.local()
_KEPT = 1 << 22  # floats that a thread keeps from call to call: fresh memory costs page faults
NOTHING = np.zeros(0, dtype=np.float32)


def _kept(name: str, floats: int) -> np.ndarray:
    """So many floats of this thread's own, with whatever stands in them."""
    held: np.ndarray | None = getattr(_local, name, None)
    if held is None or len(held) < floats:
        held = aligned(floats)
        if floats <= _KEPT:
            setattr(_local, name, held)
    return held


def scratch_rows() -> np.ndarray:
    """A row for each member."""
    members = team()
    return _kept("scratch", members * OWN)[: members * OWN].reshape(members, OWN)


def packed_room(depth: int, columns: int) -> np.ndarray:
    """Room for a matrix in panels."""
    return _kept("packed", panels(columns) * PANEL * depth)


def _product(x: Any, W: Any, b: Any, activation: int) -> np.ndarray:
    rows, (inputs, outputs) = len(x), W.shape
    y = fresh((rows, outputs))
    if y.size:
        crew = crew_for(y.size * inputs // PER_UNIT)
        packed = packed_room(inputs, outputs) if rows >= MANY else NOTHING
        forward_kernel(crew, flat(x), flat(W), flat(b), y.reshape(-1), (rows, inputs, outputs),
                       activation, scratch_rows(), packed)  # fmt: skip
    return y


OPS = forward_ops(_product)
