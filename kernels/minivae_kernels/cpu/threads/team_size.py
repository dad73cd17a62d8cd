"""How many threads the next block of updates uses: all, or one while other programs are busy.

Members wait for each other at every barrier. Where others want the cores, a phase of 20 µs can
take a scheduler's turn of several milliseconds: a small model's update took 4.9 ms on two threads
and 0.7 on one, on two cores with eight busy processes. The bits do not depend on the number, so it
may change at any time; when a block ran undisturbed, nothing is tried.
"""

from __future__ import annotations

DISTURBED = 0.75  # a block in which the caller had less of the processor than this share of it
FIRST, LAST = 8, 64  # blocks until the other number is tried again, doubling each time it loses


class TeamSize:
    """`now` is the number of threads for the next block; `report` says how each block went."""

    def __init__(self, most: int) -> None:
        self.most = self.now = self.best = most
        self.seconds = 0.0  # of an update with the best number, lately
        self.patience, self.left = FIRST, 1

    def report(self, updates: int, wall: float, busy: float) -> None:
        """A block of `updates` took `wall` seconds, `busy` of them on the caller's core."""
        each = wall / updates
        if self.now != self.best:  # a trial: it wins, or is not made again for a while
            won = each < self.seconds
            self.patience = FIRST if won else min(2 * self.patience, LAST)
            self.best, self.seconds = (self.now, each) if won else (self.best, self.seconds)
            self.now, self.left = self.best, self.patience
            return
        self.seconds = 0.5 * (self.seconds or each) + 0.5 * each
        if self.most > 1 and (self.now < self.most or busy < DISTURBED * wall):
            self.left -= 1
            if self.left <= 0:
                self.now = self.most + 1 - self.best  # one instead of all, or all instead of one
