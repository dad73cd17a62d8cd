"""The compiled heart of training: whole updates, one after another, in one call.

Every thread of the team runs `train`; barriers part the phases, which count up from 0 in the order
of work.py. What decides anything (the loss, the free bits) is computed by every thread for itself
from the same numbers, so they agree.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import addressed, entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.cpu.gemm.matmul import NOUGHT
from minivae_kernels.cpu.ops.likelihood_kernel import sum_lines
from minivae_kernels.cpu.step.backward import heads_backward, hidden_backward, latent_backward
from minivae_kernels.cpu.step.batch import prepare
from minivae_kernels.cpu.step.forward import (
    data_forward,
    hidden_forward,
    kl_sums,
    latent_forward,
    log_scale_of,
    output_forward,
)
from minivae_kernels.cpu.step.records import (
    DOUBLES,
    FLOATS,
    MEMBERS_OWN,
    SHARED,
    WORD_TABLE,
    WORDS,
    Loss,
    batches_at,
    own_at,
    shared_at,
)
from minivae_kernels.cpu.step.tables import (
    CONSTANT,
    DATA_DIM,
    DATUM0,
    DATUM_LOSS,
    DATUM_NLL,
    DATUM_TERMS,
    DATUM_WORDS,
    DENSE_ROUNDED,
    DEPTH,
    DRAWS,
    FREE_BITS,
    KL,
    KL_J,
    LATENT_BACKWARD,
    LEARN,
    LEARN_SCALE,
    LEARN_SCALES,
    LOG_SCALE0,
    LOSS,
    NLL,
    SAMPLES,
    SCORE_ROWS,
    UPDATES,
    WEIGH,
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
def count_update(sums, batch, draws, kl_j, loss):
    """Add one update to the running sums."""
    sums[UPDATES] += 1
    sums[SAMPLES] += batch
    sums[NLL] += loss.nll / draws
    sums[LOSS] += loss.value * batch
    for j in range(len(kl_j)):
        sums[KL_J + j] += kl_j[j]
        sums[KL] += kl_j[j]


@inner
def forward_pass(crew, pieces, firsts, s, own, batches, i):
    """A batch, its noise, both networks and the loss of update i -> the Loss, the phases done."""
    sync, _, team = crew
    c, layers = s.config, s.layers
    depth, batch, phase = c[DEPTH], batches.rows.shape[1], 0
    prepare(crew, pieces, firsts[phase], s, own, batches, i)
    barrier(sync, team)
    for k in range(depth):
        phase += 1
        if k == 0 and len(s.by_row) > 0 and c[DENSE_ROUNDED] == 0:
            data_forward(crew, pieces, firsts[phase], s, layers[k])
        else:
            hidden_forward(crew, pieces, firsts[phase], s, layers[k])
        barrier(sync, team)
    phase += 1
    latent_forward(crew, pieces, firsts[phase], s, batch)
    barrier(sync, team)
    for k in range(depth + 2, 2 * depth + 2):
        phase += 1
        hidden_forward(crew, pieces, firsts[phase], s, layers[k])
        barrier(sync, team)
    phase += 1
    log_scale = log_scale_of(s)
    output_forward(crew, pieces, firsts[phase], s, own, batch, math.exp(-log_scale))
    barrier(sync, team)
    beta = batches.beta[i]
    if c[SCORE_ROWS] != 0:
        phase += 1
        by_address(c[SCORE_ROWS], crew, pieces, firsts, s, own, batch, phase, beta)
        barrier(sync, team)
    loss = loss_of(s, own, batch, log_scale, beta)
    if c[WEIGH] != 0:
        phase += 1
        by_address(c[WEIGH], crew, pieces, firsts, s, own, batch, phase, beta)
        barrier(sync, team)
        loss = weighted_loss(s, own, batch, math.exp(-log_scale), beta)
    return loss, phase


@inner
def loss_of(s, own, batch, log_scale, beta):
    """The negative ELBO of a batch, from the sums that the forward pass left    (E28, E31)"""
    c, numbers = s.config, s.numbers
    rows = batch * c[DRAWS]
    size = group_size(rows)
    count = (c[DATA_DIM] + PANEL - 1) // PANEL * ((rows + size - 1) // size)
    terms = math.exp(-log_scale) * sum_lines(s.partial, NOUGHT, count, own.scratch, NOUGHT)
    nll = numbers[WEIGHT] * (rows * c[DATA_DIM] * (numbers[CONSTANT] + log_scale) + terms)
    kl_sums(s, own, batch)
    paid = price(own.kl_sums, batch, numbers[FREE_BITS], beta, own.kl_weight)
    return Loss(nll / rows + beta * paid, nll, terms)


@inner
def by_address(function, crew, pieces, firsts, s, own, batch, phase, number):
    """A phase that only some plans have (importance.py, row_scores.py)."""
    sync, member, team = crew
    call(function, (member, team, sync, pieces, firsts, s, own, batch, phase, number, own.scratch))


@inner
def weighted_loss(s, own, batch, precision, beta):
    """-mean_n log mean_l w of a batch, from what was kept of each datum    (E61)"""
    value, nll, terms = datum_sums_of(s, batch)
    for j in range(len(own.kl_weight)):
        own.kl_weight[j] = f32(beta / batch)
    return Loss(value / batch, nll, precision * terms * s.config[DRAWS])


@inner
def datum_sums_of(s, batch):
    """Σ_n of the three numbers that are kept of a datum."""
    value, nll, terms = 0.0, 0.0, 0.0
    for b in range(batch):
        at = s.config[DATUM0] + DATUM_WORDS * b
        value += np.float64(s.space[at + DATUM_LOSS])
        nll += np.float64(s.space[at + DATUM_NLL])
        terms += np.float64(s.space[at + DATUM_TERMS])
    return value, nll, terms


@inner
def backward_pass(crew, pieces, firsts, s, own, batch, phase):
    """The gradients of all activations -> the phases done."""
    sync, _, team = crew
    depth, layers = s.config[DEPTH], s.layers
    for k in range(2 * depth + 2, depth + 2, -1):
        phase += 1
        hidden_backward(crew, pieces, firsts[phase], s, own, layers[k], layers[k - 1])
        barrier(sync, team)
    phase += 1
    if s.config[LATENT_BACKWARD] != 0:
        function = s.config[LATENT_BACKWARD]
        by_address(function, crew, pieces, firsts, s, own, batch, phase, 0.0)
    else:
        latent_backward(crew, pieces, firsts[phase], s, own, batch)
    barrier(sync, team)
    if depth > 0:
        phase += 1
        heads_backward(crew, pieces, firsts[phase], s, own)
        barrier(sync, team)
    for k in range(depth - 1, 0, -1):
        phase += 1
        hidden_backward(crew, pieces, firsts[phase], s, own, layers[k], layers[k - 1])
        barrier(sync, team)
    return phase


@inner
def learn_scale(s, own, batch, terms, constants):
    """One optimiser step on the likelihood's log-scale    (E21)"""
    c, at = s.config, s.config[LOG_SCALE0]
    rows = batch * c[DRAWS]
    own.scratch[0] = f32(s.numbers[WEIGHT] * (c[DATA_DIM] - terms / rows))
    descend(s, at, np.int64(1), own.scratch, constants)


@addressed
def learn(member, team, sync, pieces, firsts, s, own, batch, phase, terms, constants):
    """The second half of an update: gradients of activations, of weights, and the optimiser.

    It is compiled apart from the first half, so that two processes can share the compiling.
    """
    crew = (sync, member, team)
    phase = backward_pass(crew, pieces, firsts, s, own, batch, phase)
    if member == 0 and s.config[LEARN_SCALE] != 0:
        learn_scale(s, own, batch, terms, constants)
    if s.config[LEARN_SCALES] != 0:
        function = s.config[LEARN_SCALES]
        call(function, (member, team, sync, pieces, firsts, s, own, batch, phase, terms, constants))
    update(crew, pieces, firsts[phase + 1], s, own, batch, constants)
    barrier(sync, team)


@entry
def train(member, team, words, batches, pieces, firsts, shared, owns, sums, bad):
    """One update for each of batches.rows; bad[0] becomes the first one without a finite loss.

    words: what the team synchronises on. batches, shared and each of owns, one a member: addresses
    of records. pieces (·, 3), firsts (phases, team + 1): what is to do in each phase (work.py).
    """
    sync = address(words, NOUGHT)
    if not barrier(sync, team):
        return  # called off before it began
    given, s, own = batches_at(batches), shared_at(shared), own_at(owns[member])
    crew, c = (sync, member, team), s.config
    n, batch = given.rows.shape
    for i in range(n):
        if bad[0] >= 0:
            return
        loss, phase = forward_pass(crew, pieces, firsts, s, own, given, i)
        if not abs(f32(loss.value)) < np.inf:
            barrier(sync, team)  # nobody may see bad[0] before all have looked
            if member == 0:
                bad[0] = given.first[0] + i
            return
        if member == 0:
            count_update(sums, batch, c[DRAWS], own.kl_sums, loss)
        passed = (
            member, team, sync, pieces, firsts, s, own, batch, phase, loss.terms,
            given.constants[i],
        )  # fmt: skip
        call(c[LEARN], passed)


# What these two take; a helper compiles one of them (ahead.py).
_WORD, _SYNC = types.int64, types.CPointer(types.int64)
TRAIN_KINDS = (
    _WORD, _WORD, WORDS, _WORD, WORD_TABLE, WORD_TABLE, _WORD, WORDS, DOUBLES, WORDS,
)  # fmt: skip
LEARN_KINDS = (
    _WORD, _WORD, _SYNC, WORD_TABLE, WORD_TABLE, SHARED, MEMBERS_OWN, _WORD, _WORD, types.float64,
    FLOATS,
)  # fmt: skip
