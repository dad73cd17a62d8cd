"""A window on rows that lie on disk: the step sees one array, of which a little is in memory.

A training step takes an array (N, D) and the numbers of the rows it is to use. Here that array is
N · D values of address space without memory behind it. Before each call the rows that it will use
are read to their own places, and what the call before left there is given back to the system.
"""

from __future__ import annotations

import contextlib
import mmap
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
PAGE_BYTES = 2 << 20  # a huge page of x86 and ARM: memory is taken and given back in these


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
    """``array`` (N, D), in which the rows last asked for by :meth:`show` hold their values.

    Rows that come in :func:`local_order` are read in whole blocks, of which those of a pool stay
    (``local``); rows in any other order one by one.
    """

    def __init__(self, rows: FileRows, *, local: bool) -> None:
        self.rows, self.local = rows, local
        count, width = rows.shape
        self.row_bytes = width * rows.dtype.itemsize
        self.block = block_rows(self.row_bytes)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        try:
            self._memory = mmap.mmap(-1, count * self.row_bytes + PAGE_BYTES, flags=flags)
        except (OSError, ValueError, OverflowError) as error:
            raise DataError(
                f"{rows.source.path}: no address space for {count * self.row_bytes / 1e9:.1f} GB "
                f"({error}); lift the limit (ulimit -v), or train on fewer rows"
            ) from None
        # the first use of a huge page costs a tenth of that of small ones; but one for every row
        # that is read alone would soon be all memory
        advice = getattr(mmap, "MADV_HUGEPAGE" if local else "MADV_NOHUGEPAGE", None)
        if advice is not None:
            with contextlib.suppress(OSError):  # a kernel without them
                self._memory.madvise(advice)
        # the array begins where a huge page does
        self._start = -np.frombuffer(self._memory, np.uint8).ctypes.data % PAGE_BYTES
        flat = np.frombuffer(self._memory, rows.dtype, count * width, self._start)
        self.array = flat.reshape(count, width)
        self._held: set[int] = set()  # blocks that are there whole

    def show(self, wanted: NDArray[np.int64]) -> None:
        """Make ``array[wanted]`` hold the rows' values; what is not wanted may be gone.

        Raises DataError where the file is no longer what it was.
        """
        rows = np.unique(wanted)
        if not self.local:
            self._memory.madvise(mmap.MADV_DONTNEED)
            self.array[rows] = self.rows[rows]
            return
        blocks = set(np.unique(rows // self.block).tolist())
        self._give_back(self._held - blocks, blocks)
        with ThreadPoolExecutor(READERS) as readers:  # the training's threads rest meanwhile
            for block in readers.map(self._load, sorted(blocks - self._held)):
                self._held.add(block)

    def _load(self, block: int) -> int:
        part = self._part(block)
        self.rows.read_into(self.array[part], np.arange(part.start, part.stop))
        return block

    def _part(self, block: int) -> slice:
        return slice(block * self.block, min((block + 1) * self.block, len(self.rows)))

    def _give_back(self, blocks: set[int], kept: set[int]) -> None:
        """Free the pages on which these blocks lie and none of those that are kept."""
        pages = self._pages(blocks) - self._pages(kept & self._held)
        for page in pages:
            start = self._start + page * PAGE_BYTES
            self._memory.madvise(
                mmap.MADV_DONTNEED, start, min(PAGE_BYTES, len(self._memory) - start)
            )
        self._held -= blocks

    def _pages(self, blocks: set[int]) -> set[int]:
        found: set[int] = set()
        for block in blocks:
            part = self._part(block)
            first = part.start * self.row_bytes // PAGE_BYTES
            last = (part.stop * self.row_bytes - 1) // PAGE_BYTES
            found.update(range(first, last + 1))
        return found
