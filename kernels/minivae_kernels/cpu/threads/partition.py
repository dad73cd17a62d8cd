"""How work is dealt to the threads: evenly, in pieces, and never into the bits.

Every member of the team owns a stretch of a phase's pieces and takes them in order, so that the
weights it has just written are mostly those that it reads next. When its own are done, it takes
what others have not begun: a member that another program holds up holds up one piece, not the
phase. Which pieces there are depends on the shapes and the team alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.threads.barrier import (
    GENERATION,
    TAKEN,
    WORD,
    atomic_load,
    compare_exchange,
)

# Rows whose activations (256 x 784 floats: 0.8 MB) stay in a second-level cache of 1 MB while all
# panels of weights pass by: 47 GFLOP/s without, 87 with it, at 4096 x 784 x 400 (one Zen 4 core,
# whose peak is 115).
RUN = 256
OWN = np.int64(0)  # whose pieces come first; a plain 0 would be a type of its own to the compiler
Piece = tuple[int, int, int]  # of a product: panel, first row, rows
Deal = tuple[np.ndarray, np.ndarray]  # pieces (n, 3), and for each phase where shares begin


@inner
def group_size(rows):
    """Rows that are always handled together, so that sums over them do not know the threads."""
    return min(64, 4 * ((rows + 15) // 16))


def product_pieces(columns: int, rows: int, team: int) -> list[list[Piece]]:
    """Each member's (panel, first row, rows) of a (rows, columns) result.

    Runs of rows, in each the panels, in each whole groups of rows: the shares are stretches of
    that order, of equal work. A last panel of at most 16 columns counts half.
    """
    size = group_size.py_func(rows)
    panels = -(-columns // PANEL)
    narrow = columns - (panels - 1) * PANEL <= PANEL // 2
    step = max(RUN // size, 1) * size
    groups = [
        (panel, row, min(size, rows - row))
        for first in range(0, rows, step)
        for panel in range(panels)
        for row in range(first, min(first + step, rows), size)
    ]
    ends = np.cumsum([1 if narrow and panel == panels - 1 else 2 for panel, _, _ in groups])
    cuts = [int(np.searchsorted(ends, int(ends[-1]) * k // team)) for k in range(team)]
    shares = zip(cuts, [*cuts[1:], len(groups)], strict=True)
    return [_joined(groups[low:high], step) for low, high in shares]


def _joined(groups: Sequence[Piece], step: int) -> list[Piece]:
    """Neighbouring groups of one panel and one run as one piece."""
    out: list[Piece] = []
    for panel, row, count in groups:
        if out and out[-1][0] == panel and row % step:
            out[-1] = (panel, out[-1][1], out[-1][2] + count)
        else:
            out.append((panel, row, count))
    return out


def row_pieces(kind: int, rows: int, most: int, team: int) -> list[list[Piece]]:
    """Each member's (kind, first row, rows): fours of rows, at most `most` rows in a piece."""
    fours = -(-rows // 4)
    cuts = [min(4 * (fours * k // team), rows) for k in range(team + 1)]
    return [
        [(kind, row, min(most, high - row)) for row in range(low, high, most)]
        for low, high in itertools.pairwise(cuts)
    ]


def deal(phases: Sequence[Sequence[Sequence[Piece]]]) -> Deal:
    """All phases' pieces in one table (n, 3); firsts (phases, team + 1) says whose they are."""
    pieces = [piece for phase in phases for share in phase for piece in share]
    ends = np.cumsum([len(share) for phase in phases for share in phase])
    ends = ends.reshape(len(phases), -1)
    firsts = np.zeros((len(phases), ends.shape[1] + 1), dtype=np.int64)
    firsts[:, 1:] = ends
    firsts[1:, 0] = ends[:-1, -1]
    return np.array(pieces, dtype=np.int64).reshape(-1, 3), firsts


@inner
def take(sync, word, phase, count):
    """How many of `count` were taken in this phase before -> that number, and one more is taken."""
    base = phase << 32  # the phase is part of the word, so nobody need set it back to nothing
    seen = atomic_load(sync, word)
    while True:
        taken = max(seen - base, 0)
        if taken >= count:
            return count
        found = compare_exchange(sync, word, seen, base + taken + 1)
        if found == seen:
            return taken
        seen = found


@inner
def next_piece(crew, firsts, turn):
    """The next piece for a member -> (turn, its number); the number is -1 when all are taken.

    crew: (sync, member, team). `turn` says whose pieces are looked through: OWN when a
    phase begins.
    """
    sync, member, team = crew
    phase = atomic_load(sync, GENERATION)
    while turn < team:
        owner = (member + turn) % team
        first, count = firsts[owner], firsts[owner + 1] - firsts[owner]
        k = take(sync, TAKEN + owner * WORD, phase, count)
        if k < count:
            return turn, first + k
        turn += 1
    return turn, np.int64(-1)
