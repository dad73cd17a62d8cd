"""Arrays on an NVIDIA card, and the two streams between which their use is ordered: CuPy's part.

What has run on a card: README.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minivae_kernels.gpu import faults


class CardMemory:
    """What `CupyDevice` knows of memory and order."""

    def __init__(self, cupy: Any) -> None:
        self.xp = cupy
        self.card = int(cupy.cuda.runtime.getDevice())
        self.stream: Any = None  # the step's own
        self.event: Any = None
        self.kept: list[Any] | None = None  # what is allocated while a graph is recorded
        self.sent: list[tuple[Any, Any]] = []  # events, and numbers on their way until then

    def empty(self, shape: Any, dtype: Any) -> Any:
        """An uninitialised array on the card. Raises OutOfDeviceMemory."""
        return self._allocate(self.xp.empty, shape, dtype)

    def zeros(self, shape: Any, dtype: Any) -> Any:
        """An array of zeros on the card. Raises OutOfDeviceMemory."""
        return self._allocate(self.xp.zeros, shape, dtype)

    def _require_own_card(self) -> None:
        """RuntimeError where another card is current than the one that this was made for."""
        current = int(self.xp.cuda.runtime.getDevice())
        if current != self.card:
            raise RuntimeError(
                f"this backend was loaded for card {self.card}, and card {current} is current: "
                f"load it again, or work under cupy.cuda.Device({self.card})"
            )

    def _allocate(self, make: Callable[..., Any], shape: Any, dtype: Any) -> Any:
        self._require_own_card()
        try:
            array = make(shape, dtype=dtype)
        except self.xp.cuda.memory.OutOfMemoryError as full:
            size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            what = f"an array of {faults.megabytes(size)} does not fit on the card"
            raise faults.full(what, self.free_memory()) from full
        if self.kept is not None:
            self.kept.append(array)
        return array

    @contextlib.contextmanager
    def own_pool(self) -> Iterator[Any]:
        """What is allocated within, by array calls too, comes from a pool of its own; -> that pool.

        As long as it lives nobody else is given its memory: what a graph of array calls needs,
        whose results in between are given back while it is recorded.
        """
        pool = self.xp.cuda.MemoryPool()
        with self.xp.cuda.using_allocator(pool.malloc):
            yield pool

    def free_memory(self) -> int:
        """Bytes that can still be had: free on the card, and idle in CuPy's pool."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return int(free) + int(self.xp.get_default_memory_pool().free_bytes())

    def to_device(self, array: Any) -> Any:
        """A copy on the card (an array that is there already is returned as it is)."""
        if self.is_array(array):
            return array
        array = np.asarray(array)
        target = self.empty(array.shape, array.dtype)
        target.set(np.ascontiguousarray(array).reshape(array.shape))
        self.synchronise()  # `set` does not wait, and the caller may change the array at once
        return target

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        """A copy in the host's memory, once the card is done with it."""
        if not self.is_array(array):
            return np.asarray(array)
        with self.working():
            return array.get()

    def is_array(self, value: Any) -> bool:
        """Whether the value is an array on the card."""
        return isinstance(value, self.xp.ndarray)

    def pointer(self, array: Any) -> int:
        """Where the array begins in the card's memory."""
        return int(array.data.ptr)

    def upload(self, target: Any, host: Any) -> None:
        """Copy host numbers into the first elements of a flat array, in the stream's order.

        Nothing waits: a copy of the numbers is kept until the card has taken it.
        """
        numbers = np.array(host.reshape(-1), dtype=target.dtype)
        target[: host.size].set(numbers)
        taken = self.xp.cuda.get_current_stream().record()
        self.sent = [sent for sent in self.sent if not sent[0].done] + [(taken, numbers)]

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """A context in which everything goes to a stream of the step's own.

        The default stream cannot be captured, so the step needs another, and CUDA orders nothing
        between the two: the caller's ops could multiply in cuBLAS's workspace while the step is
        still at it. So each waits for the other at the border, by an event: on the card, without
        stopping the host. A blocking stream would be ordered with the legacy default stream by
        itself, but neither with CuPy's per-thread default stream nor with a caller's own.
        """
        self._require_own_card()
        cuda = self.xp.cuda
        outer = cuda.get_current_stream()
        if self.stream is None:
            self.stream = cuda.Stream(non_blocking=True)
            self.event = cuda.Event(disable_timing=True)
        if outer == self.stream:
            yield
            return
        self.stream.wait_event(outer.record(self.event))
        try:
            with self.stream:
                yield
        except BaseException:
            with contextlib.suppress(Exception):  # what went wrong first matters more
                outer.wait_event(self.stream.record(self.event))
            raise
        outer.wait_event(self.stream.record(self.event))
