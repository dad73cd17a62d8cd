"""The forward phases of a training step: what each thread does between two barriers.

Every function takes a member's `crew` and the phase's pieces (threads/partition.py), works on one
after another, and finds everything else in the records `s` and `own` (records.py). Matrices lie in
panels (gemm/matmul.py).
"""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, multiply_rows, outlined, sum_rows
from minivae_kernels.cpu.gemm.address import address, stretch
from minivae_kernels.cpu.gemm.live import forward_live_panel, list_rows
from minivae_kernels.cpu.gemm.matmul import NOUGHT, YES, forward_panel, halves_of
from minivae_kernels.cpu.gemm.pack import copy
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.latent import LOGVAR_BOUND
from minivae_kernels.cpu.step.rounded import keep_rounded
from minivae_kernels.cpu.step.tables import (
    ACTIVATE,
    B0,
    DATA_DIM,
    DENSE_ROUNDED,
    DEPTH,
    DRAWS,
    EPS0,
    INPUTS,
    KEPT0,
    KL0,
    LATENT_DIM,
    LATENT_PANEL,
    LEARN_SCALE,
    LOG_SCALE,
    LOG_SCALE0,
    LOGARITHMS,
    OUTPUTS,
    ROW_TERMS,
    ROW_TERMS0,
    SCORE,
    SIGMA0,
    W0,
    W_PANEL,
    X0,
    X_PANEL,
    Y0,
    Y_PANEL,
    Z_PANEL,
)
from minivae_kernels.cpu.threads.partition import OWN, group_size, next_piece

f32 = np.float32
LATENT, LISTS = range(2)  # kinds of pieces


@inner
def dense_rows(s, layer, panel, first, rows):
    """Rows first … first + rows of one panel of a layer's output -> where they begin."""
    w, p = s.space, s.theta
    y0 = layer[Y0] + panel * layer[Y_PANEL] + first * PANEL
    if s.config[DENSE_ROUNDED] != 0:
        call(s.config[DENSE_ROUNDED], (s, layer, panel, first, rows))
        return y0
    forward_panel(
        address(w, layer[X0] + first * PANEL), layer[X_PANEL],
        address(p, layer[W0] + panel * layer[W_PANEL]), address(p, layer[B0] + panel * PANEL),
        address(w, y0), rows, layer[INPUTS], halves_of(layer[OUTPUTS], panel),
    )  # fmt: skip
    return y0


@inner
def activate(s, layer, y0, n):
    """h = f(a) for the n numbers at y0; a is kept where f's derivative is read off it."""
    w = s.space
    if layer[KEPT0] != layer[Y0]:
        a0 = y0 + layer[KEPT0] - layer[Y0]
        copy(stretch(w, y0, n), stretch(w, a0, n))
    call(s.config[ACTIVATE], (stretch(w, y0, n),))


@inner
def hidden_forward(crew, pieces, firsts, s, layer):
    """h = f(x W + b) of a hidden layer."""
    outlined()
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        y0 = dense_rows(s, layer, panel, first, count)
        activate(s, layer, y0, count * PANEL)
        keep_rounded(s, y0, first, count, YES)
        turn, k = next_piece(crew, firsts, turn)


@inner
def data_forward(crew, pieces, firsts, s, layer):
    """h = f(x W + b) of the layer that reads the data, whose zeros are left out."""
    outlined()
    w, p = s.space, s.theta
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        y0 = layer[Y0] + panel * layer[Y_PANEL] + first * PANEL
        forward_live_panel(
            address(w, layer[X0]), layer[X_PANEL],
            address(p, layer[W0] + panel * layer[W_PANEL]), address(p, layer[B0] + panel * PANEL),
            address(w, y0), first, count, s.by_row, halves_of(layer[OUTPUTS], panel),
        )  # fmt: skip
        activate(s, layer, y0, count * PANEL)
        turn, k = next_piece(crew, firsts, turn)


@inner
def latent_forward(crew, pieces, firsts, s, batch):
    """Both heads, the bounded log-variance, z and the KL; beside them, the data's lists of rows."""
    outlined()
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        if pieces[k, 0] == LISTS:
            pairs = s.config[DENSE_ROUNDED] != 0
            list_rows(s.masks, s.by_feature, batch, pieces[k, 1], pairs)
        else:
            latent_rows(s, pieces[k, 1], pieces[k, 2], batch)
        turn, k = next_piece(crew, firsts, turn)


@inner
def latent_rows(s, low, count, batch):
    """The latent layer of `count` rows from `low` on."""
    c, w, n = s.config, s.space, count * PANEL
    mu, logvar = s.layers[c[DEPTH]], s.layers[c[DEPTH] + 1]
    for panel in range((c[LATENT_DIM] + PANEL - 1) // PANEL):
        m0 = dense_rows(s, mu, panel, low, count)
        v0 = dense_rows(s, logvar, panel, low, count)
        offset = panel * c[LATENT_PANEL] + low * PANEL
        s0, k0 = c[SIGMA0] + offset, c[KL0] + offset
        _sigma_kl(stretch(w, m0, n), stretch(w, v0, n), stretch(w, s0, n), stretch(w, k0, n))
        for draw in range(c[DRAWS]):
            offset = panel * c[Z_PANEL] + (draw * batch + low) * PANEL
            e0 = c[EPS0] + offset
            z0 = e0 + z_distance(c)
            _draw(stretch(w, m0, n), stretch(w, s0, n), stretch(w, e0, n), stretch(w, z0, n))
            row = draw * batch + low
            keep_rounded(s, z0, row, count, row + count == batch * c[DRAWS])


@inner
def z_distance(c):
    """From ε to z in the workspace: they lie next to each other."""
    return (c[LATENT_DIM] + PANEL - 1) // PANEL * c[Z_PANEL]


@inner
def _sigma_kl(mu, raw, sigma, kl):
    """σ and the KL, with the digits that `price` of ops/latent.py has    (E15, E25, E26)"""
    for i in range(len(mu)):
        high = LOGVAR_BOUND if raw[i] > LOGVAR_BOUND else raw[i]
        lv = -LOGVAR_BOUND if high < -LOGVAR_BOUND else high
        sigma[i] = m.exp_within(f32(0.5) * lv)
        kl[i] = f32(0.5) * (mu[i] * mu[i] + (m.expm1(lv) - lv))


@inner
def _draw(mu, sigma, eps, z):
    for i in range(len(mu)):
        z[i] = mu[i] + sigma[i] * eps[i]


@inner
def log_scale_of(s):
    """The logarithm of the likelihood's scale, learned or given."""
    if s.config[LEARN_SCALE] != 0:
        return np.float64(s.theta[s.config[LOG_SCALE0]])
    return s.numbers[LOG_SCALE]


@inner
def output_forward(crew, pieces, firsts, s, own, batch, precision):
    """The decoder's output, its negative log-likelihood, and its gradient in the output's place.

    Where SCORE is 0 the output is left to row_scores.py, which does the rest.

    precision: exp(-log scale). s.partial gets 32 sums of the likelihood's terms for every (panel,
    group of rows).
    """
    outlined()
    rows = batch * s.config[DRAWS]
    layer = s.layers[2 * s.config[DEPTH] + 2]
    size = group_size(rows)
    groups = (rows + size - 1) // size
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        panel, first, last = pieces[k, 0], pieces[k, 1], pieces[k, 1] + pieces[k, 2]
        y0 = dense_rows(s, layer, panel, first, last - first)
        for row in range(first, last if s.config[SCORE] != 0 else first, size):
            slot = (panel * groups + row // size) * PANEL
            score(s, own, panel, row, min(size, last - row), batch, precision, slot)
        keep_rounded(s, y0, first, last - first, YES)
        turn, k = next_piece(crew, firsts, turn)


@inner
def score(s, own, panel, row, count, batch, precision, slot):
    """Likelihood and gradient of one panel's group of rows; the panel's 32 sums go to `slot`."""
    c, w, scratch = s.config, s.space, own.scratch
    layer = s.layers[2 * c[DEPTH] + 2]
    y0 = layer[Y0] + panel * layer[Y_PANEL] + row * PANEL
    target = panel * c[LATENT_PANEL]
    scale = f32(1.0 / (batch * c[DRAWS]) * precision)
    factors0, done = 64 * PANEL, 0
    while done < count:  # rows of one draw at a time: each draw has the same targets
        start = (row + done) % batch
        n = min(count - done, batch - start) * PANEL
        a, x0, k = y0 + done * PANEL, target + start * PANEL, done * PANEL
        terms, factors = stretch(scratch, k, n), stretch(scratch, factors0 + k, n)
        call(c[SCORE], (stretch(w, a, n), stretch(w, x0, n), terms, factors, scale))
        done += n // PANEL
    n, valid = count * PANEL, c[DATA_DIM] - panel * PANEL
    if valid < PANEL:
        factors = stretch(scratch, factors0, n)
        _clear_padding(stretch(w, y0, n), stretch(scratch, NOUGHT, n), factors, valid)
    if c[ROW_TERMS] != 0:
        at = c[ROW_TERMS0] + panel * (c[Z_PANEL] // PANEL) + row
        factors = stretch(scratch, factors0, n)
        call(
            c[ROW_TERMS],
            (stretch(scratch, NOUGHT, n), factors, c[LOGARITHMS], stretch(w, at, count)),
        )
    sum_rows(scratch, NOUGHT, count, s.partial, slot)
    if c[LOGARITHMS] != 0:
        multiply_rows(scratch, factors0, count, scratch, factors0)
        _add_log(stretch(s.partial, slot, PANEL), stretch(scratch, factors0, PANEL))


@inner
def _clear_padding(dy, terms, factors, valid):
    for row in range(0, len(dy), PANEL):
        for i in range(row + valid, row + PANEL):
            dy[i] = f32(0)
            terms[i] = f32(0)
            factors[i] = f32(1)


@inner
def _add_log(total, factor):
    for i in range(len(total)):
        total[i] = total[i] + m.log(factor[i])


@inner
def kl_sums(s, own, batch):
    """Σ_n KL of every latent dimension, 64 rows at a time in float32, then in float64."""
    c, sums = s.config, own.kl_sums
    for panel in range((c[LATENT_DIM] + PANEL - 1) // PANEL):
        for first in range(0, batch, 64):
            k0 = c[KL0] + panel * c[LATENT_PANEL] + first * PANEL
            sum_rows(s.space, k0, min(64, batch - first), own.scratch, NOUGHT)
            for i in range(PANEL):
                j = panel * PANEL + i
                if j < c[LATENT_DIM]:
                    sums[j] = (sums[j] if first > 0 else 0.0) + np.float64(own.scratch[i])
