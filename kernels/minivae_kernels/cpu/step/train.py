"""The compiled heart of training: whole updates, one after another, in one call.

Every thread of the team runs `train`; barriers part the phases. What decides anything (the loss,
the free bits) is computed by every thread for itself from the same numbers, so they agree.
"""

from __future__ import annotations

import math

import numpy as np

from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.step.backward import heads_backward, hidden_backward, latent_backward
from minivae_kernels.cpu.step.batch import prepare
from minivae_kernels.cpu.step.forward import (
    data_forward,
    hidden_forward,
    kl_sums,
    latent_forward,
    output_forward,
    total_of,
)
from minivae_kernels.cpu.step.tables import (
    CONSTANT,
    DATA_DIM,
    DATA_SCALE,
    DEPTH_,
    DRAWS,
    FREE_BITS,
    KL,
    KL_J,
    LEARN_SCALE,
    LOG_SCALE,
    LOG_SCALE0,
    LOSS,
    NLL,
    SAMPLES,
    SCRATCH,
    UPDATES,
    WEIGHT,
)
from minivae_kernels.cpu.step.update import descend, update
from minivae_kernels.cpu.threads.barrier import barrier
from minivae_kernels.cpu.threads.partition import group_size

f32 = np.float32


@inner
def price(kl_j, batch, floor, beta, weight):
    """Σ_j max(floor, mean KL of j), and the weight β / B of each KL that is above it    (E31)"""
    paid = 0.0
    for j in range(len(kl_j)):
        mean = kl_j[j] / batch
        below = f32(mean) < f32(floor)
        paid += floor if below else mean
        weight[j] = f32(0) if below else f32(beta / batch)
    return paid


@inner
def count_update(sums, batch, nll, kl_j, loss):
    """Add one update to the running sums."""
    sums[UPDATES] += 1
    sums[SAMPLES] += batch
    sums[NLL] += nll
    sums[LOSS] += loss * batch
    for j in range(len(kl_j)):
        sums[KL_J + j] += kl_j[j]
        sums[KL] += kl_j[j]


@entry
def train(
    member, team, sync, rows, t0, beta, constants, bytes_, floats, c, numbers, layers, pieces,
    firsts, p, m, v, w, scratches, partial, kl_weights, kl_sums_, ones, zeros, sums, bad, lists,
):  # fmt: skip
    """Updates t0, t0 + 1, … on rows (n, B); bad[0] becomes the first one without a finite loss.

    pieces (·, 3), firsts (phases, team + 1): what there is to do in each phase (work.py).
    lists: where the data are not zero (gemm/live.py), empty for data where it does not pay.
    """
    if not barrier(sync, team):
        return  # called off before it began
    crew = (sync, member, team)
    batch, depth = rows.shape[1], c[DEPTH_]
    all_rows = batch * c[DRAWS]
    size = group_size(all_rows)
    count = (c[DATA_DIM] + PANEL - 1) // PANEL * ((all_rows + size - 1) // size)
    scratch, s0 = scratches, member * c[SCRATCH]
    kl_weight, kl_j = kl_weights[member], kl_sums_[member]
    _, by_row, by_feature = lists
    mu, logvar, out = layers[depth], layers[depth + 1], layers[2 * depth + 2]
    for i in range(len(rows)):
        if bad[0] >= 0:
            return
        t, phase = t0 + i, 0
        prepare(
            crew, pieces, firsts[phase], c, rows[i], t, f32(numbers[DATA_SCALE]), bytes_, floats, w,
            scratch, s0, lists,
        )  # fmt: skip
        barrier(sync, team)

        for k in range(depth):
            phase += 1
            if k == 0 and len(by_row) > 0:
                data_forward(crew, pieces, firsts[phase], c, layers[k], w, p, by_row)
            else:
                hidden_forward(crew, pieces, firsts[phase], c, layers[k], w, p)
            barrier(sync, team)
        phase += 1
        latent_forward(crew, pieces, firsts[phase], c, mu, logvar, batch, w, p, lists)
        barrier(sync, team)
        for k in range(depth + 2, 2 * depth + 2):
            phase += 1
            hidden_forward(crew, pieces, firsts[phase], c, layers[k], w, p)
            barrier(sync, team)
        learns_scale, at = c[LEARN_SCALE] != 0, c[LOG_SCALE0]
        log_scale = np.float64(p[at]) if learns_scale else numbers[LOG_SCALE]
        precision = math.exp(-log_scale)
        phase += 1
        output_forward(
            crew, pieces, firsts[phase], c, out, batch, precision, w, p, scratch, s0, partial
        )
        barrier(sync, team)

        terms, weight = precision * total_of(partial, count, scratch, s0), numbers[WEIGHT]
        nll = weight * (all_rows * c[DATA_DIM] * (numbers[CONSTANT] + log_scale) + terms)
        kl_sums(c, batch, w, scratch, s0, kl_j)
        paid = price(kl_j, batch, numbers[FREE_BITS], beta[i], kl_weight)
        loss = nll / all_rows + beta[i] * paid
        if not abs(f32(loss)) < np.inf:
            barrier(sync, team)  # nobody may see bad[0] before all have looked
            if member == 0:
                bad[0] = t
            return
        if member == 0:
            count_update(sums, batch, nll / c[DRAWS], kl_j, loss)

        for k in range(2 * depth + 2, depth + 2, -1):
            phase += 1
            hidden_backward(
                crew, pieces, firsts[phase], c, layers[k], layers[k - 1], w, p, scratch, s0,
                zeros,
            )  # fmt: skip
            barrier(sync, team)
        phase += 1
        latent_backward(
            crew, pieces, firsts[phase], c, mu, logvar, layers[depth + 2], batch, w, p, scratch,
            s0, zeros, kl_weight,
        )  # fmt: skip
        barrier(sync, team)
        if depth > 0:
            phase += 1
            heads_backward(
                crew, pieces, firsts[phase], c, mu, logvar, layers[depth - 1], w, p, scratch,
                s0, zeros,
            )  # fmt: skip
            barrier(sync, team)
        for k in range(depth - 1, 0, -1):
            phase += 1
            hidden_backward(
                crew, pieces, firsts[phase], c, layers[k], layers[k - 1], w, p, scratch, s0,
                zeros,
            )  # fmt: skip
            barrier(sync, team)

        if member == 0 and learns_scale:
            scratch[s0] = f32(weight * (c[DATA_DIM] - terms / all_rows))
            one = slice(at, at + 1)
            descend(c, p[one], scratch[s0 : s0 + 1], m[one], v[one], constants[i])
        phase += 1
        update(
            crew, pieces, firsts[phase], c, layers, batch, w, p, m, v, scratch, s0, constants[i],
            ones, zeros, by_feature,
        )  # fmt: skip
        barrier(sync, team)
