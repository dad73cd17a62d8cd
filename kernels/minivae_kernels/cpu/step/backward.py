"""The backward phases of a training step, from the decoder's output to the encoder's first layer.

As in forward.py, each thread takes pieces and a barrier follows. The gradients of weights come
last, all at once (update.py): until then the old weights are needed.
"""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, outlined
from minivae_kernels.cpu.gemm.address import address, stretch
from minivae_kernels.cpu.gemm.matmul import BLOCK, NO, NOUGHT, STEP, YES, backward_panel, halves_of
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.latent import LOGVAR_BOUND
from minivae_kernels.cpu.step.rounded import keep_rounded
from minivae_kernels.cpu.step.tables import (
    DEACTIVATE,
    DEPTH,
    DRAWS,
    DX0,
    DX_PANEL,
    DY0,
    DY_PANEL,
    EPS0,
    INPUT_ROUNDED,
    INPUTS,
    KEPT0,
    LATENT_DIM,
    LATENT_PANEL,
    OUTPUTS,
    SIGMA0,
    W0,
    W_PANEL,
    Y0,
    Y_PANEL,
    Z_PANEL,
)
from minivae_kernels.cpu.threads.partition import OWN, next_piece

f32 = np.float32


@inner
def hidden_backward(crew, pieces, firsts, s, own, layer, before):
    """The gradient before the activation that feeds `layer`: (dy Wᵀ) f'(a)."""
    outlined()
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        dx0 = input_gradient(s, own, layer, panel, first, count, YES)
        deactivate(s, before, panel, first, count, dx0)
        turn, k = next_piece(crew, firsts, turn)


@inner
def heads_backward(crew, pieces, firsts, s, own):
    """The gradient before the trunk's last activation: the two heads' gradients add."""
    outlined()
    depth = s.config[DEPTH]
    mu, logvar, before = s.layers[depth], s.layers[depth + 1], s.layers[depth - 1]
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        input_gradient(s, own, mu, panel, first, count, YES)
        dx0 = input_gradient(s, own, logvar, panel, first, count, NO)
        deactivate(s, before, panel, first, count, dx0)
        turn, k = next_piece(crew, firsts, turn)


@inner
def input_gradient(s, own, layer, panel, first, count, anew):
    """Rows of one panel of dy Wᵀ -> where they begin; not `anew`: they are added to."""
    w = s.space
    dx0 = layer[DX0] + panel * layer[DX_PANEL] + first * PANEL
    if s.config[INPUT_ROUNDED] != 0:
        call(s.config[INPUT_ROUNDED], (s, layer, panel, first, count, np.int64(anew)))
        return dx0
    dx = address(w, dx0)
    backward_panel(
        address(w, layer[DY0] + first * PANEL), layer[DY_PANEL],
        address(s.theta, layer[W0] + panel * BLOCK), layer[W_PANEL], dx,
        address(s.zeros, NOUGHT) if anew else dx, NOUGHT if anew else STEP, count,
        layer[OUTPUTS], halves_of(layer[INPUTS], panel), address(own.scratch, NOUGHT),
    )  # fmt: skip
    return dx0


@inner
def deactivate(s, before, panel, first, count, dx0):
    """The gradient at dx0 through the activation of the layer `before`, in place."""
    w, n = s.space, count * PANEL
    kept = before[KEPT0] + panel * before[Y_PANEL] + first * PANEL
    call(s.config[DEACTIVATE], (stretch(w, dx0, n), stretch(w, kept, n)))
    keep_rounded(s, dx0, first, count, YES)


@inner
def latent_backward(crew, pieces, firsts, s, own, batch):
    """From the decoder's first layer to both heads' gradients."""
    outlined()
    turn, k = next_piece(crew, firsts, OWN)
    while k >= 0:
        latent_rows_backward(s, own, pieces[k, 1], pieces[k, 2], batch)
        turn, k = next_piece(crew, firsts, turn)


@inner
def latent_rows_backward(s, own, low, count, batch):
    """Both heads' gradients for `count` rows from `low` on."""
    c, w, n = s.config, s.space, count * PANEL
    mu, logvar, first = s.layers[c[DEPTH]], s.layers[c[DEPTH] + 1], s.layers[c[DEPTH] + 2]
    for panel in range((c[LATENT_DIM] + PANEL - 1) // PANEL):
        offset = panel * c[LATENT_PANEL] + low * PANEL
        dm0, dv0 = mu[DY0] + offset, logvar[DY0] + offset
        m0, v0, sigma0 = mu[Y0] + offset, logvar[Y0] + offset, c[SIGMA0] + offset
        for draw in range(c[DRAWS]):
            row = draw * batch + low
            dz0 = input_gradient(s, own, first, panel, row, count, YES)
            e0 = c[EPS0] + panel * c[Z_PANEL] + row * PANEL
            _collect(
                stretch(w, dz0, n), stretch(w, e0, n), stretch(w, dm0, n), stretch(w, dv0, n),
                draw == 0,
            )  # fmt: skip
        at = panel * PANEL
        _heads(
            stretch(w, dm0, n), stretch(w, dv0, n), stretch(w, m0, n), stretch(w, v0, n),
            stretch(w, sigma0, n), stretch(own.kl_weight, at, PANEL),
        )  # fmt: skip
        keep_rounded(s, dm0, low, count, YES)
        keep_rounded(s, dv0, low, count, YES)


@inner
def _collect(dz, eps, dmu, dlogvar, fresh):
    """dmu = Σ_l dz and dlogvar = Σ_l dz ε, one draw at a time."""
    if fresh:
        for i in range(len(dz)):
            dmu[i] = dz[i]
            dlogvar[i] = dz[i] * eps[i]
    else:
        for i in range(len(dz)):
            dmu[i] = dmu[i] + dz[i]
            dlogvar[i] = dlogvar[i] + dz[i] * eps[i]


@inner
def _heads(dmu, dlogvar, mu, raw, sigma, weight):
    """dmu += dKL μ; dlogvar = dlogvar σ / 2 + dKL (σ² - 1) / 2, and 0 outside the bound."""
    for a in range(0, len(dmu), PANEL):  # rows of 32: an index into `weight` would not vectorise
        _heads_row(
            stretch(dmu, a, PANEL), stretch(dlogvar, a, PANEL), stretch(mu, a, PANEL),
            stretch(raw, a, PANEL), stretch(sigma, a, PANEL), weight,
        )  # fmt: skip


@inner
def _heads_row(dmu, dlogvar, mu, raw, sigma, weight):
    for i in range(PANEL):
        k, lv = weight[i], raw[i]
        outside = (lv > LOGVAR_BOUND) | (lv < -LOGVAR_BOUND)
        dmu[i] = dmu[i] + k * mu[i]
        own = dlogvar[i] * (f32(0.5) * sigma[i])
        slope = f32(0.5) * m.expm1(f32(0) if outside else lv)
        dlogvar[i] = f32(0) if outside else own + k * slope
