"""How many threads the next block of updates uses: all, or one where many only hold each other up.

Members wait for each other at every barrier. Where others want the cores, a phase of 20 µs can
take a scheduler's turn of several milliseconds: a small model's update took 4.9 ms on two threads
and 0.7 on one, on two cores with eight busy processes. And a virtual machine's cores may lie far
apart for some seconds, so that every barrier takes longer though nobody else runs: an update of
20 rows of 784-200-200-50 took 0.37 ms on two threads of a Zen 4, or 0.80, where one took 0.63. The
bits do not depend on the number, so it may change at any time; when a block ran as fast as ever,
nothing is tried.
"""

from __future__ import annotations

import math

DISTURBED = 0.75  # a block in which the caller had less of the processor than this share of it
SLOWER = 1.3  # a block that took so many times as long as the fastest on all threads
COST = 0.05  # of all the time, at most, trials of a number that is slower may take
SOON, LAST = 2, 64  # blocks until a number that has just lost its place is tried again; at most


class TeamSize:
    """`now` is the number of threads for the next block; `report` says how each block went."""

    def __init__(self, most: int) -> None:
        self.most = self.now = self.best = most
        self.seconds = 0.0  # of a row with the best number, in its last block
        self.fastest = math.inf  # of a row on all threads, ever
        self.left = 1

    def report(self, rows: int, wall: float, busy: float) -> None:
        """A block of `rows` took `wall` seconds, `busy` of them on the caller's core.

        By rows, not updates: an epoch's short last batch is no faster than the others.
        """
        each = wall / rows
        if self.now == self.most:
            self.fastest = min(self.fastest, each)
        if self.now != self.best:  # a trial: it wins, or is not made again for a while
            slower = each / self.seconds - 1
            self.left = min(math.ceil(slower / COST), LAST) if slower > 0 else SOON
            if not slower > 0:
                self.best, self.seconds = self.now, each
            self.now = self.best
            return
        self.seconds = each
        held_up = busy < DISTURBED * wall or each > SLOWER * self.fastest
        if self.most > 1 and (self.now < self.most or held_up):
            self.left -= 1
            if self.left <= 0:
                self.now = self.most + 1 - self.best  # one instead of all, or all instead of one
