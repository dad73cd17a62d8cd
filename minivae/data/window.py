"""A window on rows that lie on disk: an array of a fixed size, in which a call's rows are found.

A training step takes an array and the places of its rows in it. Before each call the rows that it
will use are read into the array, over others that are not wanted any more. The array's memory is
taken once and never given back: a system that takes back pages at once, as a virtual machine's
does, has them fetched again at many times the cost of the reading.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from minivae.data.errors import DataError
from minivae.data.stream import FileRows
from minivae.ops.philox import permutation

BLOCK_BYTES = 2 << 20  # neighbouring rows that are read together
POOL_BLOCKS = 32  # blocks whose rows are shuffled among each other
POOL_EPOCHS = 2**31  # the permutations of blocks are numbered from here, those of rows from 0
READERS = 4  # blocks read at the same time: processors copy side by side, disks have queues


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


def pool_blocks(block: int, count: int, most: int) -> int:
    """How many blocks ``most`` rows that follow each other in :func:`local_order` can lie in.

    Only the last of all blocks may be shorter, and only the order's last pool may have fewer.
    """
    shortest = (POOL_BLOCKS - 1) * block + 1  # rows in any pool that lies between two others
    pools = 2 + max(0, most - 2) // shortest
    return min(-(-count // block), pools * POOL_BLOCKS)


class Window:
    """``array`` (n, D), in which the rows last asked for by :meth:`show` lie where it says.

    used: the numbers of all rows that will be asked for, rising; at most ``most`` at once.
    Those that come in the :func:`local_order` of ``used`` are read in whole blocks, of which a
    pool's stay (``local``); rows in any other order one by one.
    """

    def __init__(self, rows: FileRows, used: NDArray[np.int64], *, most: int, local: bool) -> None:
        whole = len(used) == len(rows)
        self._used = None if whole else used
        self.rows = rows if whole else rows.select(used)
        self.local, count, width = local, *self.rows.shape
        most = min(most, count)
        self.block = block_rows(width * rows.dtype.itemsize)
        self._free = list(range(pool_blocks(self.block, count, most) if local else 0))
        self._slot = np.full(-(-count // self.block), -1)  # of a block, where it is held whole
        size = len(self._free) * self.block if local else most
        try:
            self.array = np.zeros((size, width), dtype=rows.dtype)
        except MemoryError:
            raise DataError(
                f"{rows.source.path}: {size * width * rows.dtype.itemsize / 1e9:.1f} GB for the "
                "rows of some batches do not fit in memory; take smaller batches"
            ) from None
        # a step may look at the array it is made for, to see how dense the data are
        self._load(np.arange(min(size, count)))

    def show(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Have the ``wanted`` rows, by number, in the array; what others it held may be gone.

        Returns their places in it, of the shape of ``wanted``. Raises DataError where the file is
        no longer what it was.
        """
        if self._used is not None:
            wanted = np.searchsorted(self._used, wanted)
        return self._load(wanted)

    def _numbers(self, block: int) -> NDArray[np.int64]:
        return np.arange(block * self.block, min((block + 1) * self.block, len(self.rows)))

    def _load(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self.local:
            rows, places = np.unique(wanted, return_inverse=True)
            self.rows.read_into(self.array[: len(rows)], rows)
            return places.reshape(wanted.shape)
        blocks = np.unique(wanted // self.block)
        held = np.flatnonzero(self._slot >= 0)
        gone = np.setdiff1d(held, blocks)
        self._free += self._slot[gone].tolist()
        self._slot[gone] = -1
        new = np.setdiff1d(blocks, held).tolist()
        slots = [self._free.pop() for _ in new]
        with ThreadPoolExecutor(READERS) as readers:  # the training's threads rest meanwhile
            for block, slot in zip(new, readers.map(self._read, new, slots), strict=True):
                self._slot[block] = slot
        return self._slot[wanted // self.block] * self.block + wanted % self.block

    def _read(self, block: int, slot: int) -> int:
        numbers = self._numbers(block)
        start = slot * self.block
        self.rows.read_into(self.array[start : start + len(numbers)], numbers)
        return slot
