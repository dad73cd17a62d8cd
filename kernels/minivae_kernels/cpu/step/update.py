"""The last phase of a step: every layer's weight gradient, applied while it is in the cache.

The gradient exists only as a few 32 x 32 blocks at a time; weights and moments lie in the same
order, so the optimiser streams through them. It waits for all gradients of activations: until
then the old weights are needed.
"""

from __future__ import annotations

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, outlined
from minivae_kernels.cpu.gemm.address import address, stretch
from minivae_kernels.cpu.gemm.live import weight_live_blocks
from minivae_kernels.cpu.gemm.matmul import (
    BLOCK,
    NOUGHT,
    ONE,
    STEP,
    TWO,
    halves_of,
    multiply,
    weight_blocks,
)
from minivae_kernels.cpu.gemm.pack import clear
from minivae_kernels.cpu.step.tables import (
    B0,
    DECODES,
    DESCEND,
    DRAWS,
    DY0,
    DY_PANEL,
    INPUTS,
    OUTPUTS,
    ROUND_WEIGHTS,
    W0,
    W_PANEL,
    WEIGHTS_ROUNDED,
    X0,
    X_PANEL,
)
from minivae_kernels.cpu.threads.partition import OWN, next_piece


@inner
def descend(s, a, n, grad, constants):
    """One optimiser step on the n parameters from a on; their gradient is grad[:n]."""
    given = stretch(s.theta, a, n), stretch(grad, NOUGHT, n), stretch(s.m, a, n), stretch(s.v, a, n)
    call(s.config[DESCEND], (*given, constants))


@inner
def update(crew, pieces, firsts, s, own, batch, constants):
    """Blocks of every layer: weight gradient, optimiser; biases with a panel's first block."""
    outlined()
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        update_blocks(s, own, pieces[k, 0], pieces[k, 1], pieces[k, 2], batch, constants)
        turn, k = next_piece(crew, firsts, turn)


@inner
def update_blocks(s, own, number, at, count, batch, constants):
    """`count` blocks, from number `at` on, of one panel of a layer's outputs."""
    w, scratch, layer = s.space, own.scratch, s.layers[number]
    in_panels = (layer[INPUTS] + PANEL - 1) // PANEL
    panel, i = at // in_panels, at % in_panels
    rows = batch * s.config[DRAWS] if layer[DECODES] != 0 else batch
    dy = address(w, layer[DY0] + panel * layer[DY_PANEL])
    halves = halves_of(layer[OUTPUTS], panel)
    if halves == 1:
        clear(stretch(scratch, NOUGHT, count * BLOCK))
    inputs = layer[INPUTS] - i * PANEL
    x = address(w, layer[X0] + i * layer[X_PANEL])
    grad, zeros = address(scratch, NOUGHT), address(s.zeros, NOUGHT)
    if s.config[WEIGHTS_ROUNDED] != 0:
        call(s.config[WEIGHTS_ROUNDED], (s, layer, panel, i, count, rows, scratch))
    elif len(s.by_feature) > 0 and layer[X0] == s.layers[0, X0]:  # it reads the data
        weight_live_blocks(
            x, layer[X_PANEL], i, dy, inputs, count, halves, grad, zeros, s.by_feature
        )
    else:
        weight_blocks(x, layer[X_PANEL], dy, rows, inputs, count, halves, grad, zeros)
    weights0 = layer[W0] + panel * layer[W_PANEL] + i * BLOCK
    descend(s, weights0, min(count * PANEL, inputs) * PANEL, scratch, constants)
    if s.config[ROUND_WEIGHTS] != 0:
        call(s.config[ROUND_WEIGHTS], (s, layer, panel, i, count, scratch))
    if i == 0:
        bias_gradient(dy, rows, grad, address(s.ones, NOUGHT), zeros)
        descend(s, layer[B0] + panel * PANEL, STEP, scratch, constants)


@inner
def bias_gradient(dy, rows, out, ones, zeros):
    """db = Σ_n dy of one panel: a product with a row of ones."""
    multiply(ones, NOUGHT, dy, BLOCK, out, zeros, NOUGHT, ONE, rows, TWO)
