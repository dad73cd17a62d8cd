"""How the panels and rows of a matrix are dealt to the threads: evenly, and never into the bits."""

from __future__ import annotations

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, outlined

# Rows whose activations (256 x 784 floats: 0.8 MB) stay in a second-level cache of 1 MB while all
# panels of weights pass by: 47 GFLOP/s without, 87 with it, at 4096 x 784 x 400 (one Zen 4 core,
# whose peak is 115).
RUN = 256
WORDS = 3  # of a piece: panel, first row, rows


@inner
def group_size(rows):
    """Rows that are always handled together, so that sums over them do not know the threads."""
    return min(64, 4 * ((rows + 15) // 16))


@inner
def pieces(columns, rows, member, team, out):
    """This member's share of a (rows, columns) result -> how many (panel, row, count) in `out`.

    Runs of rows, in each the panels, in each whole groups of rows: the shares are stretches of
    that order, of equal work. A last panel of at most 16 columns counts half.
    """
    outlined()
    size = group_size(rows)
    panels = (columns + PANEL - 1) // PANEL
    last = 1 if columns - (panels - 1) * PANEL <= PANEL // 2 else 2
    total = ((rows + size - 1) // size) * (2 * (panels - 1) + last)
    low, high = total * member // team, total * (member + 1) // team
    found, before = 0, 0
    step = max(RUN // size, 1) * size
    for first in range(0, rows, step):
        here = min(step, rows - first)
        groups = (here + size - 1) // size
        full = 2 * (panels - 1) * groups
        whole = full + last * groups
        at = _slot(min(max(low - before, 0), whole), full, last)
        end = _slot(min(max(high - before, 0), whole), full, last)
        while at < end:
            panel = at // groups
            group = at - panel * groups
            until = min(groups, group + end - at)
            out[found, 0] = panel
            out[found, 1] = first + group * size
            out[found, 2] = min(here, until * size) - group * size
            found += 1
            at += until - group
        before += whole
    return found


def most_pieces(columns, rows):
    """Room that `pieces` may need."""
    return ((columns + PANEL - 1) // PANEL + 2) * (rows // 128 + 2)


@inner
def _slot(weight, full, last):
    if weight <= full:
        return weight // 2
    return full // 2 + (weight - full) // last
