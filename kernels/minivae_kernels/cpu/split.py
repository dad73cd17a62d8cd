"""How the panels and rows of a matrix are dealt to the threads: evenly, and never into the bits."""

from __future__ import annotations

from .compiler import inner
from .simd import PANEL


@inner
def group_size(rows):
    """Rows that are always handled together, so that sums over them do not know the threads."""
    return min(64, 4 * ((rows + 15) // 16))


@inner
def slots(columns, groups, member, team):
    """This member's share of the (panel, group of rows) slots, in order of panels.

    A last panel of at most 16 columns counts half.
    """
    count = (columns + PANEL - 1) // PANEL
    last = 1 if columns - (count - 1) * PANEL <= PANEL // 2 else 2
    full = 2 * (count - 1) * groups
    total = full + last * groups
    low, high = total * member // team, total * (member + 1) // team
    return _slot(low, full, last), _slot(high, full, last)


@inner
def _slot(weight, full, last):
    if weight <= full:
        return weight // 2
    return full // 2 + (weight - full) // last
