"""A batch and its noise: gather, cast and binarise in one pass; ε in the panels of z."""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, copy_panel_row, outlined
from minivae_kernels.cpu.gemm.address import stretch
from minivae_kernels.cpu.gemm.live import list_features, nonzero_bits
from minivae_kernels.cpu.gemm.matmul import NOUGHT
from minivae_kernels.cpu.ops.philox import block, box_muller
from minivae_kernels.cpu.ops.random import scale_bytes
from minivae_kernels.cpu.step.rounded import keep_rounded
from minivae_kernels.cpu.step.tables import (
    BYTES,
    DATA_DIM,
    DATA_SCALE,
    DENSE_ROUNDED,
    DRAWS,
    DYNAMIC,
    EPS0,
    KEY0,
    KEY1,
    LATENT_DIM,
    LATENT_PANEL,
    Z_PANEL,
)
from minivae_kernels.cpu.threads.partition import OWN, next_piece

f32, u32 = np.float32, np.uint32
EPS = 2  # the stream of the contract
SAMPLES = 64  # samples whose noise is made side by side
GATHER, NOISE = range(2)  # kinds of pieces


@inner
def prepare(crew, pieces, firsts, s, own, batches, update):
    """A batch and its noise."""
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        low, high = pieces[k, 1], pieces[k, 1] + pieces[k, 2]
        if pieces[k, 0] == GATHER:
            gather(s, own, batches, update, low, high)
        else:
            noise(s, own, batches, update, low, high)
        turn, k = next_piece(crew, firsts, turn)


@inner
def gather(s, own, batches, update, low, high):
    """x of rows low … high, into panels; binarised where the configuration says so.

    Where the lists of what is not zero (gemm/live.py) have room, those of these rows are made.
    """
    outlined()
    c, rows, t = s.config, batches.rows[update], batches.first[0] + update
    D, scale = c[DATA_DIM], f32(s.numbers[DATA_SCALE])
    panels = (D + PANEL - 1) // PANEL
    line = stretch(own.scratch, NOUGHT, panels * PANEL)
    noise = stretch(own.scratch, panels * PANEL, panels * PANEL)
    for i in range(D, panels * PANEL):
        line[i] = f32(0)
    for b in range(low, high):
        row, place = rows[b], batches.places[update, b]
        if c[BYTES] != 0:
            scale_bytes(batches.stored_bytes[place], scale, stretch(line, NOUGHT, D))
        else:
            scale_bytes(batches.stored_floats[place], scale, stretch(line, NOUGHT, D))
        if c[DYNAMIC] != 0:
            call(c[DYNAMIC], (stretch(line, NOUGHT, D), noise, row, t, c[KEY0], c[KEY1]))
        for panel in range(panels):
            target = panel * c[LATENT_PANEL] + b * PANEL
            copy_panel_row(line, panel * PANEL, s.space, target)
            if len(s.masks) > 0:
                s.masks[b, panel] = nonzero_bits(line, panel * PANEL)
    if len(s.masks) > 0:
        list_features(s.masks, s.by_row, low, high, c[DENSE_ROUNDED] != 0)
    for panel in range(panels):
        at = panel * c[LATENT_PANEL] + low * PANEL
        keep_rounded(s, at, low, high - low, high == len(rows))


@inner
def noise(s, own, batches, update, low, high):
    """ε of rows low … high: position l J + j of sample b goes to row l B + b, column j."""
    outlined()
    c, w, four = s.config, s.space, own.scratch
    rows, t = batches.rows[update], batches.first[0] + update
    batch, J = len(rows), c[LATENT_DIM]
    k0, k1 = u32(c[KEY0]), u32(c[KEY1])
    n0, n1 = stretch(four, NOUGHT, 64), stretch(four, 64, 64)
    n2, n3 = stretch(four, 128, 64), stretch(four, 192, 64)
    total = J * c[DRAWS]
    for first in range(low, high, SAMPLES):
        count = min(SAMPLES, high - first)
        some = rows[first : first + count]
        for q in range((total + 3) // 4):
            for b in range(count):
                a0, a1, a2, a3 = block(u32(q), u32(some[b]), u32(t), u32(EPS), k0, k1)
                n0[b], n1[b] = box_muller(a0, a1)
                n2[b], n3[b] = box_muller(a2, a3)
            for i in range(min(4, total - 4 * q)):
                draw = (4 * q + i) // J
                j = 4 * q + i - draw * J
                at = c[EPS0] + j // PANEL * c[Z_PANEL] + (draw * batch + first) * PANEL + j % PANEL
                for b in range(count):
                    w[at + b * PANEL] = four[64 * i + b]
