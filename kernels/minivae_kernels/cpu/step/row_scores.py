"""A phase of its own for the row likelihoods (ops/row_likelihoods.py), after all outputs are there.

A softmax over a group of columns needs them all, and a group may lie across panels; a log-scale of
a column, or one whose gradient is no function of the loss, leaves a slope for every output. All of
it is compiled by itself and called by address, so that a step without it does not pay.
"""

from __future__ import annotations

import itertools

import numpy as np

from minivae_kernels.cpu.compile.by_address import address_of, call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL, copy_panel_row, sum_rows
from minivae_kernels.cpu.step.rounded import keep_rounded
from minivae_kernels.cpu.step.tables import (
    DATA_DIM,
    DEPTH,
    DRAWS,
    GROUPS,
    LATENT_PANEL,
    LEARN_SCALES,
    LOG_SCALE0,
    ROW_LOOP,
    ROW_SCALE,
    ROW_TERMS0,
    ROW_WEIGHT0,
    SCALE_EACH,
    SCORE_ROWS,
    SLOPES0,
    WORDS,
    Y0,
    Y_PANEL,
    Z_PANEL,
)
from minivae_kernels.cpu.step.update import descend
from minivae_kernels.cpu.threads.partition import OWN, Piece, group_size, next_piece

f32 = np.float32
MOST = 64  # rows of a group


def group_pieces(rows: int, team: int) -> list[list[Piece]]:
    """Each member's (0, first row, rows) of all draws' rows: whole groups, one a piece."""
    size = group_size.py_func(rows)
    groups = [(0, row, min(size, rows - row)) for row in range(0, rows, size)]
    cuts = [len(groups) * k // team for k in range(team + 1)]
    return [groups[low:high] for low, high in itertools.pairwise(cuts)]


def addresses(config: np.ndarray) -> dict[int, int]:
    """The functions' addresses by word of the configuration."""
    from minivae_kernels.cpu.step.train import LEARN_KINDS

    if config[GROUPS] > 0:
        return {SCORE_ROWS: address_of(score_groups, *LEARN_KINDS)}
    found = {SCORE_ROWS: address_of(score_scaled, *LEARN_KINDS)}
    if config[LEARN_SCALES] != 0:
        found[LEARN_SCALES] = address_of(learn_scales, *LEARN_KINDS)
    return found


@entry
def score_scaled(member, team, sync, pieces, firsts, s, own, batch, phase, _, constants):
    """Loss, gradient and the slopes in the log-scales of every panel of some rows."""
    crew = (sync, member, team)
    rows = batch * s.config[DRAWS]
    size = group_size(rows)
    groups = (rows + size - 1) // size
    turn, k = next_piece(crew, firsts[phase], OWN)
    while k >= 0:
        row, count = pieces[k, 1], pieces[k, 2]
        for panel in range((s.config[DATA_DIM] + PANEL - 1) // PANEL):
            slot = (panel * groups + row // size) * PANEL
            score_panel(s, own, panel, row, count, batch, slot)
        turn, k = next_piece(crew, firsts[phase], turn)


@inner
def score_panel(s, own, panel, row, count, batch, slot):
    """One panel's group of rows; its 32 sums go to `slot`, the slopes to their own matrix."""
    c, w, scratch = s.config, s.space, own.scratch
    layer = s.layers[2 * c[DEPTH] + 2]
    y0 = layer[Y0] + panel * layer[Y_PANEL] + row * PANEL
    slopes0 = c[SLOPES0] + panel * c[Z_PANEL] + row * PANEL
    n, scales0 = count * PANEL, MOST * PANEL
    fill_scales(s, panel, scratch[scales0 : scales0 + n])
    scale, done = f32(1.0 / (batch * c[DRAWS])), 0
    while done < count:  # rows of one draw at a time: each draw has the same targets
        start = (row + done) % batch
        some = min(count - done, batch - start) * PANEL
        at = done * PANEL
        a, d, x0 = y0 + at, slopes0 + at, panel * c[LATENT_PANEL] + start * PANEL
        scales = scratch[scales0 + at : scales0 + at + some]
        given = w[a : a + some], w[x0 : x0 + some], scales, scratch[at : at + some]
        call(c[ROW_LOOP], (*given, w[d : d + some], scale))
        done += some // PANEL
    valid = c[DATA_DIM] - panel * PANEL
    if valid < PANEL:
        clear_padding(w[y0 : y0 + n], scratch[:n], w[slopes0 : slopes0 + n], valid)
    if c[ROW_WEIGHT0] != 0:
        row_sums(scratch[:n], w, c[ROW_TERMS0] + panel * (c[Z_PANEL] // PANEL) + row)
    sum_rows(scratch, np.int64(0), count, s.partial, slot)
    keep_rounded(s, y0, row, count, True)


@inner
def fill_scales(s, panel, out):
    """The log-scales of a panel's columns, row by row."""
    c = s.config
    for first in range(0, len(out), PANEL):
        line = out[first : first + PANEL]
        for i in range(PANEL):
            if c[LEARN_SCALES] == 0:
                line[i] = f32(s.numbers[ROW_SCALE])
            else:
                at = panel * PANEL + i if c[SCALE_EACH] != 0 else 0
                line[i] = s.theta[c[LOG_SCALE0] + at]


@inner
def clear_padding(dy, terms, slopes, valid):
    for row in range(0, len(dy), PANEL):
        for i in range(row + valid, row + PANEL):
            dy[i], terms[i], slopes[i] = f32(0), f32(0), f32(0)


@inner
def row_sums(terms, out, out0):
    """Each row's sum over the panel, for the importance-weighted objective."""
    for r in range(len(terms) // PANEL):
        total = f32(0)
        for i in range(r * PANEL, (r + 1) * PANEL):
            total += terms[i]
        out[out0 + r] = total


@entry
def learn_scales(member, team, sync, pieces, firsts, s, own, batch, phase, _, constants):
    """One optimiser step on the log-scales: a member's panels of them, or the one that there is."""
    c, sums = s.config, np.zeros(PANEL)
    panels = (c[DATA_DIM] + PANEL - 1) // PANEL
    if c[SCALE_EACH] != 0:
        for panel in range(member, panels, team):
            sums[:] = 0.0
            add_slopes(s, panel, batch, sums)
            for i in range(PANEL):
                own.scratch[i] = f32(sums[i])
            descend(s, c[LOG_SCALE0] + panel * PANEL, np.int64(PANEL), own.scratch, constants)
    elif member == 0:
        for panel in range(panels):
            add_slopes(s, panel, batch, sums)
        own.scratch[0] = f32(sums.sum())
        descend(s, c[LOG_SCALE0], np.int64(1), own.scratch, constants)


@inner
def add_slopes(s, panel, batch, sums):
    """Add one panel's slopes over all rows, each row by its share of the loss."""
    c, w = s.config, s.space
    for row in range(batch * c[DRAWS]):
        share = 1.0 / (batch * c[DRAWS])
        if c[ROW_WEIGHT0] != 0:
            share = np.float64(w[c[ROW_WEIGHT0] + row]) / batch
        at = c[SLOPES0] + panel * c[Z_PANEL] + row * PANEL
        slopes = w[at : at + PANEL]
        for i in range(PANEL):
            sums[i] += share * np.float64(slopes[i])


@entry
def score_groups(member, team, sync, pieces, firsts, s, own, batch, phase, _, constants):
    """Loss and gradient of some rows over groups of columns; a row's loss is one number."""
    crew, c = (sync, member, team), s.config
    size = group_size(batch * c[DRAWS])
    groups = (batch * c[DRAWS] + size - 1) // size
    layer = s.layers[2 * c[DEPTH] + 2]
    turn, k = next_piece(crew, firsts[phase], OWN)
    while k >= 0:
        first, count = pieces[k, 1], pieces[k, 2]
        slot = first // size * PANEL  # in the first panel's; nothing is in those of all others
        for panel in range((c[DATA_DIM] + PANEL - 1) // PANEL):
            at = slot + panel * groups * PANEL
            s.partial[at : at + PANEL] = f32(0)
        for row in range(first, first + count):
            nll = score_row(s, own, row, batch)
            s.partial[slot + row % PANEL] += nll
            if c[ROW_WEIGHT0] != 0:
                s.space[c[ROW_TERMS0] + row] = nll
        for panel in range((c[DATA_DIM] + PANEL - 1) // PANEL):
            y0 = layer[Y0] + panel * layer[Y_PANEL] + first * PANEL
            keep_rounded(s, y0, first, count, True)
        turn, k = next_piece(crew, firsts[phase], turn)


@inner
def score_row(s, own, row, batch):
    """-log p(x | z) of one row, gathered from its panels and put back as the gradient."""
    c, w, scratch, D = s.config, s.space, own.scratch, s.config[DATA_DIM]
    layer = s.layers[2 * c[DEPTH] + 2]
    panels = (D + PANEL - 1) // PANEL
    x0, total0 = panels * PANEL, 2 * panels * PANEL
    for panel in range(panels):
        at = layer[Y0] + panel * layer[Y_PANEL] + row * PANEL
        copy_panel_row(w, at, scratch, panel * PANEL)
        target = panel * c[LATENT_PANEL] + row % batch * PANEL
        copy_panel_row(w, target, scratch, x0 + panel * PANEL)
    total, groups = scratch[total0 : total0 + 1], c[WORDS : WORDS + c[GROUPS]]
    scale = f32(1.0 / (batch * c[DRAWS]))
    call(c[ROW_LOOP], (scratch[:D], scratch[x0 : x0 + D], groups, total, scale))
    scratch[D:x0] = f32(0)
    for panel in range(panels):
        at = layer[Y0] + panel * layer[Y_PANEL] + row * PANEL
        copy_panel_row(scratch, panel * PANEL, w, at)
    return total[0]
