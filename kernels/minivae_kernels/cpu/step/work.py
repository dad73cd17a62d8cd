"""The pieces of every phase of one update, in the order in which train.py runs the phases."""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.layout import panels
from minivae_kernels.cpu.step.batch import GATHER, NOISE, SAMPLES
from minivae_kernels.cpu.step.forward import LATENT, LISTS
from minivae_kernels.cpu.step.row_scores import group_pieces
from minivae_kernels.cpu.step.tables import (
    DATA_DIM,
    DEPTH,
    DRAWS,
    INPUTS,
    OUTPUTS,
    ROW_LOOP,
    ROW_WEIGHT0,
    Plan,
)
from minivae_kernels.cpu.threads.partition import (
    Deal,
    Piece,
    deal,
    product_pieces,
    row_pieces,
)

ROWS = 64  # of a piece of the latent layer, or of the batch
TOGETHER = 8  # blocks under one panel of dy, whose part in the cache they share


def update_work(plan: Plan, batch: int, team: int, lists: bool) -> Deal:
    """What is to be done in an update of `batch` rows, dealt to a team.

    lists: whether the data's zeros are left out (gemm/live.py).
    """
    depth, draws = int(plan.config[DEPTH]), int(plan.config[DRAWS])
    widths = [(int(layer[INPUTS]), int(layer[OUTPUTS])) for layer in plan.layers]
    encoder, decoder = range(depth), range(depth + 2, 2 * depth + 3)
    batch_, noise_ = row_pieces(GATHER, batch, ROWS, team), row_pieces(NOISE, batch, SAMPLES, team)
    latent = row_pieces(LATENT, batch, ROWS, team)
    listed = list_pieces(panels(int(plan.config[DATA_DIM])) if lists else 0, team)
    return deal([
        [a + b for a, b in zip(batch_, noise_, strict=True)],
        *(product_pieces(widths[k][1], batch, team) for k in encoder),
        [a + b for a, b in zip(latent, listed, strict=True)],
        *(product_pieces(widths[k][1], batch * draws, team) for k in decoder),
        *([group_pieces(batch * draws, team)] if plan.config[ROW_LOOP] else []),
        *([latent] if plan.config[ROW_WEIGHT0] else []),
        *(product_pieces(widths[k][0], batch * draws, team) for k in reversed(decoder[1:])),
        latent,
        *(product_pieces(widths[k + 1][0], batch, team) for k in reversed(encoder)),
        block_pieces(widths, team),
    ])  # fmt: skip


def list_pieces(count: int, team: int) -> list[list[Piece]]:
    """Each member's panels of data, whose lists of rows are made beside the latent layer."""
    return [
        [(LISTS, panel, 1) for panel in range(count * k // team, count * (k + 1) // team)]
        for k in range(team)
    ]


def block_pieces(widths: list[tuple[int, int]], team: int) -> list[list[Piece]]:
    """Each member's (layer, first block, blocks) of all weight gradients, 32 x 32 each.

    A share is a stretch of every layer, as in the forward pass; blocks run down the panels.
    """
    shares: list[list[Piece]] = [[] for _ in range(team)]
    for number, (inputs, outputs) in enumerate(widths):
        deep = np.minimum(PANEL, inputs - PANEL * np.arange(panels(inputs)))
        wide = np.full(panels(outputs), PANEL)
        if outputs % PANEL and outputs % PANEL <= PANEL // 2:
            wide[-1] = PANEL // 2
        ends = np.cumsum(np.outer(wide, deep))
        cuts = [int(np.searchsorted(ends, int(ends[-1]) * k // team)) for k in range(team)]
        for share, low, high in zip(shares, cuts, [*cuts[1:], len(ends)], strict=True):
            share += _stretches(number, low, high, len(deep))
    return shares


def _stretches(number: int, low: int, high: int, down: int) -> list[Piece]:
    """At most TOGETHER blocks in a piece, none from one panel into the next."""
    out = []
    while low < high:
        count = min(TOGETHER, high - low, down - low % down)
        out.append((number, low, count))
        low += count
    return out
