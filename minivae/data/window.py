"""A window on rows that lie on disk: the step sees one array, of which a little is in memory.

A training step takes an array (N, D) and the numbers of the rows it is to use. Here that array is
N · D values of address space without memory behind it. Before each call the rows that it will use
are read to their own places, and what the call before left there is given back to the system.
"""

from __future__ import annotations

import mmap

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError
from minivae.data.stream import FileRows
from minivae.ops.philox import permutation

BLOCK_BYTES = 1 << 20  # neighbouring rows that are read together
POOL_BLOCKS = 64  # blocks whose rows are shuffled among each other
POOL_EPOCHS = 2**31  # the permutations of blocks are numbered from here, those of rows from 0
WASTE = 4  # whole blocks are read where that is at most so many times the rows asked for


def block_rows(row_bytes: int) -> int:
    """Rows in a block, from the size of a row in memory alone."""
    return max(1, BLOCK_BYTES // row_bytes)


def local_order(seed: int, epoch: int, count: int, row_bytes: int) -> NDArray[np.int64]:
    """All ``count`` rows in an order whose reads a disk can serve, a function of (seed, epoch).

    Blocks of neighbouring rows are shuffled and taken by POOL_BLOCKS; within such a pool the rows
    stand in an order drawn uniformly. Where all rows fit into one pool it is a uniform order.
    """
    block = np.arange(count) // block_rows(row_bytes)
    blocks = int(block[-1]) + 1
    pool_of_block = np.empty(blocks, dtype=np.int64)
    pool_of_block[permutation(seed, POOL_EPOCHS + epoch, blocks)] = np.arange(blocks) // POOL_BLOCKS
    rows = permutation(seed, epoch, count)
    return np.asarray(rows[np.argsort(pool_of_block[block[rows]], kind="stable")])


class Window:
    """``array`` (N, D), in which the rows last asked for by :meth:`show` hold their values."""

    def __init__(self, rows: FileRows) -> None:
        self.rows = rows
        count, width = rows.shape
        self.row_bytes = width * rows.dtype.itemsize
        self.block = block_rows(self.row_bytes)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        try:
            self._memory = mmap.mmap(-1, max(1, count * self.row_bytes), flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise DataError(
                f"{rows.source.path}: no address space for {count * self.row_bytes / 1e9:.1f} GB "
                f"({error}); lift the limit (ulimit -v), or train on fewer rows"
            ) from None
        if hasattr(mmap, "MADV_NOHUGEPAGE"):  # a huge page for a single row would be all memory
            self._memory.madvise(mmap.MADV_NOHUGEPAGE)
        self.array = np.frombuffer(self._memory, rows.dtype, count * width).reshape(count, width)
        self._held: set[int] = set()  # blocks that are there whole
        self._scattered = False

    def show(self, wanted: NDArray[np.int64]) -> None:
        """Make ``array[wanted]`` hold the rows' values; what is not wanted may be gone.

        Raises DataError where the file is no longer what it was.
        """
        rows = np.unique(wanted)
        blocks = {int(b) for b in np.unique(rows // self.block)}
        if len(blocks) * self.block > WASTE * len(rows):
            self._clear()
            self.array[rows] = self.rows[rows]
            self._scattered = True
            return
        if self._scattered:
            self._clear()
        for block in self._held - blocks:
            self._give_back(block)
        for block in sorted(blocks - self._held):
            part = slice(block * self.block, min((block + 1) * self.block, len(self.rows)))
            self.array[part] = self.rows[np.arange(part.start, part.stop)]
            self._held.add(block)

    def _clear(self) -> None:
        self._memory.madvise(mmap.MADV_DONTNEED)
        self._held.clear()
        self._scattered = False

    def _give_back(self, block: int) -> None:
        """Free the pages that belong to this block alone; the two at its ends may be shared."""
        page = mmap.PAGESIZE
        first = -(-block * self.block * self.row_bytes // page) * page
        last = min((block + 1) * self.block, len(self.rows)) * self.row_bytes // page * page
        if last > first:
            self._memory.madvise(mmap.MADV_DONTNEED, first, last - first)
        self._held.remove(block)
