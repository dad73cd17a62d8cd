"""The card's memory for the stand-in: limited, pooled by stream, guarded and poisoned."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from bounds import byte_bounds
from fake_order import Log, Order, Span
from minivae_kernels.gpu.host_device import GUARD, guard

ALIGNMENT = 512  # CuPy's pool hands out multiples of 512 bytes
POISONED = 4 << 20  # larger buffers (cuBLAS's workspace, row numbers) are left as they come: time


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError."""

    def __init__(self, size: int, total: int) -> None:
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes)."
        )


class Buffer:
    """One allocation, between two guards; filled with 0xff (NaN) before and after its life."""

    def __init__(self, pool: Pool, size: int, stream: Any) -> None:
        self.pool, self.size, self.stream = pool, size, stream
        self.log = Log(size, pool.order.now(stream, "what used this memory before"))
        self.raw = np.empty(size + 2 * GUARD + ALIGNMENT, dtype=np.uint8)
        self.start = GUARD + (-(self.raw.ctypes.data + GUARD)) % ALIGNMENT
        end = self.start + size
        self.raw[: self.start] = guard(0, self.start)
        self.raw[end:] = guard(end, len(self.raw) - end)
        self.bytes = self.raw[self.start : self.start + size]
        self.poison()
        self.address = int(self.raw.ctypes.data + self.start) if size else 0

    def __str__(self) -> str:
        return f"a buffer of {self.size} bytes"

    def span(self, memory: np.ndarray) -> Span:
        """The bytes that a view of it covers, gaps included."""
        if not memory.size:
            return Span(self, 0, 0)
        first, last = byte_bounds(memory)
        return Span(self, first - self.address, last - self.address)

    def intact(self) -> bool:
        """Whether nobody wrote beside it."""
        end = self.start + self.size
        before, after = self.raw[: self.start], self.raw[end:]
        whole = (before == guard(0, self.start)).all()
        return bool(whole and (after == guard(end, len(after))).all())

    def poison(self) -> None:
        """Fill with 0xff: NaN, and -1."""
        if self.size <= POISONED:
            self.bytes[:] = 0xFF

    def __del__(self) -> None:
        self.pool.take_back(self)


class MemoryPool:
    """As cupy.cuda.MemoryPool: what is allocated from it stays its own as long as it lives."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []

    def malloc(self, size: int) -> None:
        """Only to be handed to using_allocator."""
        raise TypeError("the stand-in allocates arrays only")


class MemoryPointer:
    """As cupy.cuda.MemoryPointer: where an array begins."""

    def __init__(self, cupy: Any, buffer: Buffer, start: int) -> None:
        self.cupy, self.buffer, self.start = cupy, buffer, start
        self.ptr = buffer.address + start if buffer.size else 0

    def copy_from_device_async(self, src: MemoryPointer, size: int, stream: Any = None) -> None:
        """Bytes from another place on the card."""
        assert stream is None
        spans = [Span(p.buffer, p.start, p.start + size) for p in (src, self)]
        assert all(span.stop <= span.buffer.size for span in spans), "beyond the array"
        there, here = (span.buffer.bytes[span.start : span.stop] for span in spans)
        self.cupy.queue("copy", spans[:1], spans[1:], lambda: np.copyto(here, there))


class Pool:
    """CuPy's memory pool over a card of so many bytes."""

    def __init__(self, order: Order, total: int) -> None:
        self.order, self.total = order, total
        self.used = self.idle = 0
        self.live: weakref.WeakSet[Buffer] = weakref.WeakSet()

    def free(self) -> int:
        """What the driver says is free: idle memory in the pool does not count."""
        return self.total - self.used - self.idle

    def allocate(self, size: int, stream: Any) -> Buffer:
        """A new buffer. OutOfMemoryError as CuPy raises it."""
        rounded = -(-size // ALIGNMENT) * ALIGNMENT
        if rounded > self.free() + self.idle:
            raise OutOfMemoryError(rounded, self.used + self.idle)
        self.idle = max(0, self.idle - rounded)
        self.used += rounded
        buffer = Buffer(self, size, stream)
        self.live.add(buffer)
        return buffer

    def take_back(self, buffer: Buffer) -> None:
        """Nobody holds the buffer any more."""
        rounded = -(-buffer.size // ALIGNMENT) * ALIGNMENT
        self.used, self.idle = self.used - rounded, self.idle + rounded
        if not buffer.intact():
            self.order.faults.append(f"a kernel wrote beside {buffer}")
        self.order.released(buffer)
        buffer.poison()

    def find(self, address: int | None) -> Buffer | None:
        """The buffer that an address lies in."""
        for buffer in self.live:
            if address and buffer.address <= address < buffer.address + buffer.size:
                return buffer
        return None

    def check(self) -> None:
        """Raise RuntimeError if a guard was written over, or memory was given back too early."""
        for buffer in self.live:
            if not buffer.intact():
                raise RuntimeError(f"a kernel wrote beside {buffer}")
        if self.order.faults:
            raise RuntimeError(self.order.faults[0])
