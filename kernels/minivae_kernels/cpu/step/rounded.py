"""The step's products in bfloat16 (gemm/bfloat16.py), where a plan asks for them.

Everything else of the step is float32 and the same. Whoever has made a matrix that a product will
read calls `keep_rounded`; each function of a product asks first whether it is to be this one. The
entries are compiled by themselves and called by address, so that a float32 step does not pay.

s.rounded holds four shadows, one after the other: of the activations, rows and pairs; of the
weights, pairs of W and of Wᵀ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from minivae_kernels.cpu.compile.by_address import ARRAY, address_of, call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm import bfloat16 as b16
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.cpu.gemm.matmul import BLOCK, NOUGHT, STEP, halves_of
from minivae_kernels.cpu.step.records import SHARED, WORDS, shared_at
from minivae_kernels.cpu.step.tables import (
    ACROSS0,
    B0,
    DENSE_ROUNDED,
    DX0,
    DX_PANEL,
    DY0,
    DY_PANEL,
    INPUT_ROUNDED,
    INPUTS,
    OUTPUTS,
    PAIRS0,
    ROUND_ROWS,
    ROUND_WEIGHTS,
    W0,
    W_PANEL,
    WEIGHTS0,
    WEIGHTS_ROUNDED,
    X0,
    X_PANEL,
    Y0,
    Y_PANEL,
    Plan,
)

HALF = np.int64(PANEL * PANEL // 2)  # words of a block


@inner
def keep_rounded(s, at, first, count, ends):
    """Round rows first … first + count of a panel, which begin at `at`; where nobody asks, nothing.

    ends: whether no row follows the last one.
    """
    if s.config[ROUND_ROWS] != 0:
        call(s.config[ROUND_ROWS], (s, at, first, count, np.int64(ends)))


@entry
def round_rows(s, at, first, count, ends):
    """Both shadows of rows first … first + count. A row without a neighbour is paired with zeros,
    or, where the neighbour is another piece's, leaves that half alone."""
    space, to, pairs0 = s.space, s.rounded, s.config[PAIRS0]
    r = first & 1
    if r == 1:
        pair = address(to, pairs0 + (at - STEP) // 2)
        b16.round_one(address(space, at), address(to, at // 2), pair, np.int64(1))
    while r + 2 <= count or (r < count and ends != 0):
        a = at + r * PANEL
        odd = address(space, a + STEP) if r + 2 <= count else address(s.zeros, NOUGHT)
        b16.round_two(address(space, a), odd, address(to, a // 2), address(to, pairs0 + a // 2))
        r += 2
    if r < count:
        a = at + r * PANEL
        pair = address(to, pairs0 + a // 2)
        b16.round_one(address(space, a), address(to, a // 2), pair, NOUGHT)


@entry
def dense_rounded(s, layer, panel, first, rows):
    """Rows of one panel of x W + b; of the data, only what is not zero."""
    w0 = (layer[W0] + panel * layer[W_PANEL]) // 2
    w, bias = (
        address(s.rounded, s.config[WEIGHTS0] + w0),
        address(s.theta, layer[B0] + panel * PANEL),
    )
    y = address(s.space, layer[Y0] + panel * layer[Y_PANEL] + first * PANEL)
    x0, x_panel = layer[X0] // 2, layer[X_PANEL] // 2
    halves = halves_of(layer[OUTPUTS], panel)
    if len(s.by_row) > 0 and layer[X0] == s.layers[0, X0]:
        x = address(s.rounded, x0)
        b16.forward_live_panel(x, x_panel, w, bias, y, first, rows, s.by_row, halves)
    else:
        x, words = address(s.rounded, x0 + first * b16.ROW), (layer[INPUTS] + 1) // 2
        b16.product_panel(x, x_panel, w, HALF, y, bias, NOUGHT, rows, words, halves)


@entry
def input_rounded(s, layer, panel, first, count, anew):
    """Rows of one panel of dy Wᵀ; not `anew`: they are added to."""
    dx = address(s.space, layer[DX0] + panel * layer[DX_PANEL] + first * PANEL)
    dy = address(s.rounded, layer[DY0] // 2 + first * b16.ROW)
    w = address(s.rounded, s.config[ACROSS0] + layer[W0] // 2 + panel * HALF)
    start, row = (address(s.zeros, NOUGHT), NOUGHT) if anew != 0 else (dx, STEP)
    words, halves = (layer[OUTPUTS] + 1) // 2, halves_of(layer[INPUTS], panel)
    b16.product_panel(
        dy, layer[DY_PANEL] // 2, w, layer[W_PANEL] // 2, dx, start, row, count, words, halves
    )


@entry
def weights_rounded(s, layer, panel, i, count, rows, out):
    """`count` blocks of dW = xᵀ dy, from block i of a panel on."""
    pairs0 = s.config[PAIRS0]
    x_panel, dy_panel = layer[X_PANEL] // 2, layer[DY_PANEL] // 2
    x = address(s.rounded, pairs0 + layer[X0] // 2 + i * x_panel)
    dy = address(s.rounded, pairs0 + layer[DY0] // 2 + panel * dy_panel)
    grad, zeros = address(out, NOUGHT), address(s.zeros, NOUGHT)
    inputs, halves = layer[INPUTS] - i * PANEL, halves_of(layer[OUTPUTS], panel)
    if len(s.by_feature) > 0 and layer[X0] == s.layers[0, X0]:
        b16.weight_live_blocks(x, x_panel, i, dy, inputs, count, halves, grad, zeros, s.by_feature)
    else:
        words = (rows + 1) // 2
        b16.weight_blocks(x, x_panel, dy, words, inputs, count, halves, grad, zeros)


@inner
def round_blocks(s, layer, panel, i, count, scratch):
    """Both shadows of `count` blocks of W, from block i of a panel on."""
    for k in range(i, i + count):
        at = layer[W0] + panel * layer[W_PANEL] + k * BLOCK
        b16.round_block(
            address(s.theta, at), address(s.rounded, s.config[WEIGHTS0] + at // 2),
            address(s.rounded, s.config[ACROSS0] + at // 2), address(scratch, NOUGHT),
        )  # fmt: skip


@entry
def round_weights(s, layer, panel, i, count, scratch):
    """`round_blocks` as an entry, for whoever has just changed those blocks."""
    round_blocks(s, layer, panel, i, count, scratch)


@entry
def round_every_layer(shared_words, scratch):
    """Both shadows of all weights."""
    s = shared_at(shared_words)
    for number in range(len(s.layers)):
        layer = s.layers[number]
        blocks = (layer[INPUTS] + PANEL - 1) // PANEL
        for panel in range((layer[OUTPUTS] + PANEL - 1) // PANEL):
            round_blocks(s, layer, panel, NOUGHT, blocks, scratch)


def words(plan: Plan) -> int:
    """The size of all shadows, and into the configuration where each of them begins."""
    space, weights = plan.workspace, plan.parameters
    plan.config[[PAIRS0, WEIGHTS0, ACROSS0]] = space // 2, space, space + weights // 2
    return space + weights


def begin(shared: Any, scratch: np.ndarray) -> None:
    """Put the entries' addresses into the configuration, and round the first weights."""
    word, s, layer = types.int64, SHARED, WORDS
    kinds = {
        ROUND_ROWS: (round_rows, s, word, word, word, word),
        DENSE_ROUNDED: (dense_rounded, s, layer, word, word, word),
        INPUT_ROUNDED: (input_rounded, s, layer, word, word, word, word),
        WEIGHTS_ROUNDED: (weights_rounded, s, layer, word, word, word, word, ARRAY),
        ROUND_WEIGHTS: (round_weights, s, layer, word, word, word, ARRAY),
    }
    for place, (function, *given) in kinds.items():
        shared.config[place] = address_of(function, *given)
    round_all_weights(shared, scratch)


def round_all_weights(shared: Any, scratch: np.ndarray) -> None:
    """Every layer's, where they were not changed by the step itself."""
    words = SHARED.words(shared)
    round_every_layer(words.ctypes.data, scratch)
