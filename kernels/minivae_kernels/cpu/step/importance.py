"""What objectives over weighed draws add to a step (E61, E62): rows, weights, the latent layer.

They are compiled by themselves and called by address, so that a step without them does not pay. How
much a draw counts is the objective's own: one function for each, in SHARES.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from minivae_kernels.cpu.compile.by_address import ARRAY, address_of, call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.address import stretch
from minivae_kernels.cpu.gemm.matmul import YES
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.latent import LOGVAR_BOUND
from minivae_kernels.cpu.step.backward import input_gradient
from minivae_kernels.cpu.step.forward import log_scale_of, z_distance
from minivae_kernels.cpu.step.rounded import keep_rounded
from minivae_kernels.cpu.step.tables import (
    CONSTANT,
    DATA_DIM,
    DATUM0,
    DATUM_LOSS,
    DATUM_NLL,
    DATUM_TERMS,
    DATUM_WORDS,
    DEPTH,
    DRAWS,
    DY0,
    DY_PANEL,
    EPS0,
    LATENT_BACKWARD,
    LATENT_DIM,
    LATENT_PANEL,
    ROW_TERMS,
    ROW_TERMS0,
    ROW_WEIGHT0,
    SHARE,
    SIGMA0,
    WEIGH,
    WEIGHT,
    Y0,
    Z_PANEL,
)
from minivae_kernels.cpu.threads.partition import OWN, next_piece

f32 = np.float32


def addresses(objective: str) -> dict[int, int]:
    """The functions' addresses by word of the configuration."""
    from minivae_kernels.cpu.step.train import LEARN_KINDS

    return {
        SHARE: address_of(SHARES[objective], ARRAY, *[types.int64] * 4, types.float64, ARRAY),
        ROW_TERMS: address_of(row_terms, ARRAY, ARRAY, types.int64, ARRAY),
        WEIGH: address_of(weigh, *LEARN_KINDS),
        LATENT_BACKWARD: address_of(latent_layer_backward, *LEARN_KINDS),
    }


@entry
def row_terms(terms, factors, logarithms, out):
    """out[r] = Σ (terms + log factors) over the 32 columns of row r."""
    for r in range(len(out)):
        t, f = terms[r * PANEL : (r + 1) * PANEL], factors[r * PANEL : (r + 1) * PANEL]
        total, product = f32(0), f32(1)
        for i in range(PANEL):
            total += t[i]
        if logarithms != 0:
            for i in range(PANEL):
                product *= f[i]
            total += m.log(product)
        out[r] = total


@entry
def weigh(member, team, sync, pieces, firsts, s, own, batch, phase, beta, constants):
    """Every draw's weight, every datum's loss, and the output's gradients times the weights."""
    crew = (sync, member, team)
    turn, k = next_piece(crew, firsts[phase], OWN)
    while k >= 0:
        for b in range(pieces[k, 1], pieces[k, 1] + pieces[k, 2]):
            weigh_datum(s, b, batch, beta)
            for draw in range(s.config[DRAWS]):
                scale_gradient(s, draw * batch + b)
        round_gradient(s, pieces[k, 1], pieces[k, 2], batch)
        turn, k = next_piece(crew, firsts[phase], turn)


@inner
def weigh_datum(s, b, batch, beta):
    """The loss of datum b, and each draw's share of its gradient, in the place of its log w"""
    c, w, draws, weight0 = s.config, s.space, s.config[DRAWS], s.config[ROW_WEIGHT0]
    log_scale = log_scale_of(s)
    first, nll_sum = 0.0, 0.0
    for draw in range(draws):
        row = draw * batch + b
        nll = row_nll(s, row, log_scale)
        nll_sum += nll
        log_w = beta * log_ratio(s, b, row) - nll
        first = log_w if draw == 0 else first
        w[weight0 + row] = f32(log_w - first)  # a difference keeps its digits in float32
    datum = stretch(w, c[DATUM0] + b * DATUM_WORDS, DATUM_WORDS)
    datum[DATUM_NLL] = f32(nll_sum)
    call(c[SHARE], (w, weight0 + b, c[ROW_TERMS0] + b, batch, draws, first, datum))


@entry
def shares_of_the_mean(w, row, term, batch, draws, first, datum):
    """-log mean w of a datum, and each draw's share of Σ w for its log w - first    (E61, E62)"""
    top = f32(0)
    for at in range(row, row + draws * batch, batch):
        top = w[at] if w[at] > top else top
    total, terms = 0.0, 0.0
    for at in range(row, row + draws * batch, batch):
        total += math.exp(np.float64(w[at] - top))
    for at in range(row, row + draws * batch, batch):
        share = math.exp(np.float64(w[at] - top)) / total
        w[at] = f32(share)
        terms += share * np.float64(w[term + at - row])
    datum[DATUM_LOSS] = f32(-(first + np.float64(top) + math.log(total / draws)))
    datum[DATUM_TERMS] = f32(terms)


@entry
def equal_shares(w, row, term, batch, draws, first, datum):
    """-mean log w of a datum, and 1 / L for each draw's log w - first    (E65)"""
    total, terms = 0.0, 0.0
    for at in range(row, row + draws * batch, batch):
        total += np.float64(w[at])
        terms += np.float64(w[term + at - row])
        w[at] = f32(1.0 / draws)
    datum[DATUM_LOSS], datum[DATUM_TERMS] = f32(-(first + total / draws)), f32(terms / draws)


SHARES = {"iwae": shares_of_the_mean, "sampled-elbo": equal_shares}


@inner
def row_nll(s, row, log_scale):
    """-log p(x | z) of a row; the sum of its terms stays where its first panel's were."""
    c, w, stride = s.config, s.space, s.config[Z_PANEL] // PANEL
    terms = 0.0
    for panel in range((c[DATA_DIM] + PANEL - 1) // PANEL):
        terms += np.float64(w[c[ROW_TERMS0] + panel * stride + row])
    w[c[ROW_TERMS0] + row] = f32(terms)
    known = c[DATA_DIM] * (s.numbers[CONSTANT] + log_scale)
    return s.numbers[WEIGHT] * (known + math.exp(-log_scale) * terms)


@inner
def log_ratio(s, b, row):
    """log p(z) - log q(z | x) of a row of datum b: ½ Σ_j ε² + log σ² - z²    (E61)"""
    c, w = s.config, s.space
    logvar = s.layers[c[DEPTH] + 1]
    total = 0.0
    for j in range(c[LATENT_DIM]):
        panel, lane = j // PANEL, j % PANEL
        raw = w[logvar[Y0] + panel * c[LATENT_PANEL] + b * PANEL + lane]
        at = c[EPS0] + panel * c[Z_PANEL] + row * PANEL + lane
        e, z = np.float64(w[at]), np.float64(w[at + z_distance(c)])
        total += e * e + np.float64(min(max(raw, -LOGVAR_BOUND), LOGVAR_BOUND)) - z * z
    return 0.5 * total


@inner
def scale_gradient(s, row):
    """The output's gradient of one row, made for a plain mean over draws, times its weight."""
    c, w = s.config, s.space
    out = s.layers[2 * c[DEPTH] + 2]
    times = f32(c[DRAWS]) * w[c[ROW_WEIGHT0] + row]
    for panel in range((c[DATA_DIM] + PANEL - 1) // PANEL):
        at = out[DY0] + panel * out[DY_PANEL] + row * PANEL
        dy = stretch(w, at, PANEL)
        for i in range(PANEL):
            dy[i] = dy[i] * times


@inner
def round_gradient(s, low, count, batch):
    """The bfloat16 shadow of the rows that scale_gradient has changed, if there is one."""
    c, out = s.config, s.layers[2 * s.config[DEPTH] + 2]
    for draw in range(c[DRAWS]):
        row = draw * batch + low
        for panel in range((c[DATA_DIM] + PANEL - 1) // PANEL):
            at = out[DY0] + panel * out[DY_PANEL] + row * PANEL
            keep_rounded(s, at, row, count, row + count == batch * c[DRAWS])


@entry
def latent_layer_backward(member, team, sync, pieces, firsts, s, own, batch, phase, _, constants):
    """From the decoder's first layer to both heads' gradients; own.kl_weight[0] is β / B  (E62)"""
    crew = (sync, member, team)
    turn, k = next_piece(crew, firsts[phase], OWN)
    while k >= 0:
        latent_rows_backward(s, own, pieces[k, 1], pieces[k, 2], batch)
        turn, k = next_piece(crew, firsts[phase], turn)


@inner
def latent_rows_backward(s, own, low, count, batch):
    """Both heads' gradients for `count` rows from `low` on."""
    c, w, n, price = s.config, s.space, count * PANEL, own.kl_weight[0]
    mu, logvar, first = s.layers[c[DEPTH]], s.layers[c[DEPTH] + 1], s.layers[c[DEPTH] + 2]
    for panel in range((c[LATENT_DIM] + PANEL - 1) // PANEL):
        offset = panel * c[LATENT_PANEL] + low * PANEL
        m0, v0 = mu[DY0] + offset, logvar[DY0] + offset
        dmu, dlogvar = stretch(w, m0, n), stretch(w, v0, n)
        for draw in range(c[DRAWS]):
            row = draw * batch + low
            dz0 = input_gradient(s, own, first, panel, row, count, YES)
            e0 = c[EPS0] + panel * c[Z_PANEL] + row * PANEL
            z0, at = e0 + z_distance(c), c[ROW_WEIGHT0] + row
            shares = stretch(w, at, count)
            collect(
                stretch(w, dz0, n), stretch(w, e0, n), stretch(w, z0, n), shares, price, dmu,
                dlogvar, draw == 0,
            )  # fmt: skip
        raw0, sigma0 = logvar[Y0] + offset, c[SIGMA0] + offset
        valid = min(c[LATENT_DIM] - panel * PANEL, PANEL)
        own_gradient(stretch(w, raw0, n), stretch(w, sigma0, n), price, valid, dmu, dlogvar)
        keep_rounded(s, m0, low, count, YES)
        keep_rounded(s, v0, low, count, YES)


@inner
def collect(dz, eps, z, shares, price, dmu, dlogvar, fresh):
    """dmu = Σ_l d and dlogvar = Σ_l d ε with d = dz + β/B w z, one draw at a time."""
    for r in range(len(shares)):
        pull = price * shares[r]
        for i in range(r * PANEL, (r + 1) * PANEL):
            d = dz[i] + pull * z[i]
            dmu[i] = d if fresh else dmu[i] + d
            dlogvar[i] = d * eps[i] if fresh else dlogvar[i] + d * eps[i]


@inner
def own_gradient(raw, sigma, price, valid, dmu, dlogvar):
    """dlogvar σ / 2 - β / 2B, and 0 outside the bound; nothing beyond the last dimension."""
    for i in range(len(raw)):
        outside = (raw[i] > LOGVAR_BOUND) | (raw[i] < -LOGVAR_BOUND)
        inside = dlogvar[i] * (f32(0.5) * sigma[i]) - f32(0.5) * price
        there = (i & (PANEL - 1)) < valid
        dlogvar[i] = inside if there and not outside else f32(0)
        dmu[i] = dmu[i] if there else f32(0)
