"""The last phase of a step: every layer's weight gradient, applied while it is in the cache.

The gradient exists only as a few 32 x 32 blocks at a time; weights and moments lie in the same
order, so the optimiser streams through them. It waits for all gradients of activations: until
then the old weights are needed.
"""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, outlined
from minivae_kernels.cpu.gemm.live import weight_live_blocks
from minivae_kernels.cpu.gemm.matmul import BLOCK, NOUGHT, TWO, halves_of, multiply, weight_blocks
from minivae_kernels.cpu.step.tables import (
    B0,
    DECODES,
    DESCEND,
    DRAWS,
    DY0,
    DY_PANEL,
    INPUTS,
    OUTPUTS,
    W0,
    W_PANEL,
    X0,
    X_PANEL,
)
from minivae_kernels.cpu.threads.partition import next_piece

f32 = np.float32


@inner
def descend(c, p, grad, m, v, constants):
    """One optimiser step on a stretch of parameters."""
    call(c[DESCEND], (p, grad, m, v, constants))


@inner
def update(
    crew, pieces, firsts, c, layers, batch, w, p, m, v, scratch, s0, constants, ones, zeros,
    by_feature,
):  # fmt: skip
    """Blocks of every layer: weight gradient, optimiser; biases with a panel's first block."""
    outlined()
    turn, k = next_piece(crew, firsts, 0)
    while k >= 0:
        layer, at, count = layers[pieces[k, 0]], pieces[k, 1], pieces[k, 2]
        in_panels = (layer[INPUTS] + PANEL - 1) // PANEL
        panel, i = at // in_panels, at % in_panels
        lists = by_feature if layer[X0] == layers[0, X0] else by_feature[:0]
        update_blocks(
            c, layer, panel, i, count, batch, w, p, m, v, scratch, s0, constants, ones, zeros, lists
        )
        turn, k = next_piece(crew, firsts, turn)


@inner
def update_blocks(
    c, layer, panel, i, count, batch, w, p, m, v, scratch, s0, constants, ones, zeros, by_feature
):
    """`count` blocks of one panel of outputs, from panel i of inputs on.

    by_feature: where the inputs are something else than zero, if that is listed.
    """
    rows = batch * c[DRAWS] if layer[DECODES] != 0 else batch
    dy0 = layer[DY0] + panel * layer[DY_PANEL]
    halves = halves_of(layer[OUTPUTS], panel)
    if halves == 1:
        scratch[s0 : s0 + count * BLOCK] = f32(0)
    inputs = layer[INPUTS] - i * PANEL
    x0 = layer[X0] + i * layer[X_PANEL]
    if len(by_feature) > 0:
        weight_live_blocks(
            w, x0, layer[X_PANEL], i, w, dy0, inputs, count, halves, scratch, s0, zeros, by_feature
        )
    else:
        weight_blocks(
            w, x0, layer[X_PANEL], w, dy0, rows, inputs, count, halves, scratch, s0, zeros
        )
    n = min(count * PANEL, inputs) * PANEL
    a = layer[W0] + panel * layer[W_PANEL] + i * BLOCK
    descend(c, p[a : a + n], scratch[s0 : s0 + n], m[a : a + n], v[a : a + n], constants)
    if i == 0:
        bias_gradient(w, dy0, rows, scratch, s0, ones, zeros)
        b = layer[B0] + panel * PANEL
        descend(
            c, p[b : b + PANEL], scratch[s0 : s0 + PANEL], m[b : b + PANEL], v[b : b + PANEL],
            constants,
        )  # fmt: skip


@inner
def bias_gradient(dy, dy0, rows, out, o0, ones, zeros):
    """db = Σ_b dy of one panel: a product with a row of ones."""
    multiply(ones, NOUGHT, NOUGHT, dy, dy0, out, o0, zeros, NOUGHT, NOUGHT, np.int64(1), rows, TWO)
