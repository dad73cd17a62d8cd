"""The card's kernels and launches, run on the host: g++ behind a shim, NumPy for the products.

A stand-in for the card, for tests: slow, and silent on everything that only a card has.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minivae_kernels.gpu import sources
from minivae_kernels.gpu.host_build import AS_ON_A_CARD, PLAIN, build
from minivae_kernels.gpu.launcher import Arguments, Grid

GUARD = 64  # bytes at least before and after every buffer
_PATTERN = np.full(256, 0xFFFFA5A5, dtype=np.uint32).view(np.uint8)  # NaN in both precisions


def guard(first: int, n: int) -> np.ndarray[Any, Any]:
    """What stands in n bytes beside a buffer, from byte `first` of the memory that holds both.

    A kernel that writes there is caught; what it reads there is NaN as a float32 or a float64, and
    a row number below zero, so that it shows in the result.
    """
    return _PATTERN[first % 4 :][:n]


def refuse_shared(
    kernel: str, parameters: tuple[sources.Parameter, ...], packed: list[Any]
) -> None:
    """Raise RuntimeError where a kernel was promised (__restrict__) what this launch does not keep.

    What one pointer writes, a pointer that is alone must not reach: the compiler relies on it.
    """
    held = [
        (p, a.ctypes.data, a.ctypes.data + a.nbytes)
        for p, a in zip(parameters, packed, strict=True)
        if p.pointer and a is not None and a.size
    ]
    for i, (p, begin, end) in enumerate(held):
        for q, other, stop in held[:i]:
            promised = (p.alone or q.alone) and (p.written or q.written)
            if promised and begin < stop and other < end:
                raise RuntimeError(f"{kernel}: {q.name} and {p.name} share memory")


class HostDevice:
    """The seam that the launchers are written against, played by the host.

    order: in which order the shim runs a block's threads (0 up, 1 down, other: shuffled). A
    kernel without races gives the same bits for every order. rounding: host_build's PLAIN, or
    AS_ON_A_CARD.
    """

    name = "host"
    xp = np

    def __init__(
        self,
        order: int = 0,
        files: tuple[str, ...] = sources.FILES + sources.LADDER,
        folder: Path = sources.FOLDER,
        rounding: tuple[str, ...] = PLAIN,
    ) -> None:
        self.order, self.files, self.folder, self.rounding = order, files, folder, rounding
        self.flushes = rounding == AS_ON_A_CARD
        self.numbers: dict[str, int] = {}
        self.parameters: dict[str, tuple[sources.Parameter, ...]] = {}
        for name in files:
            for kernel, parameters in sources.kernels(name, folder).items():
                self.numbers[kernel] = len(self.numbers)
                self.parameters[kernel] = parameters
        self.recording: list[Callable[[], None]] | None = None
        self.buffers: list[tuple[np.ndarray[Any, Any], int]] = []
        self.launches = 0
        self.memory = 1 << 62
        build("float", files, folder, rounding)

    # Memory

    def empty(self, shape: Any, dtype: Any, *, guarded: bool = True) -> np.ndarray[Any, Any]:
        """An uninitialised array, filled with 0xff (NaN), between two guards."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = np.empty(size + 2 * GUARD + 64, dtype=np.uint8)
        start = GUARD + (-(raw.ctypes.data + GUARD)) % 64
        end = start + size
        raw[:start], raw[end:] = guard(0, start), guard(end, len(raw) - end)
        raw[start:end] = 0xFF
        if guarded:
            self.buffers.append((raw, size))
        return raw[start:end].view(dtype).reshape(shape)

    def zeros(self, shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
        """A new array of zeros between guards, as `empty` makes it."""
        out = self.empty(shape, dtype)
        out[...] = 0
        return out

    def forget(self) -> None:
        """Drop the guards kept so far (arrays live on as long as they are used)."""
        self.buffers.clear()

    def check_guards(self) -> None:
        """Raise RuntimeError if any kernel wrote beside a buffer."""
        for raw, size in self.buffers:
            start = GUARD + (-(raw.ctypes.data + GUARD)) % 64
            before, after = raw[:start], raw[start + size :]
            whole = (before == guard(0, start)).all()
            if not (whole and (after == guard(start + size, len(after))).all()):
                raise RuntimeError(f"a kernel wrote beside a buffer of {size} bytes")

    def to_device(self, array: Any) -> np.ndarray[Any, Any]:
        """A copy in the device's memory."""
        array = np.asarray(array)
        out = self.empty(array.shape, array.dtype)
        out[...] = array
        return out

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        """A copy in the host's memory."""
        return np.array(array)

    def is_array(self, value: Any) -> bool:
        """Whether the value is an array of this device."""
        return isinstance(value, np.ndarray)

    def free_memory(self) -> int:
        """Bytes that may still be had: as many as a test says."""
        return self.memory

    def pointer(self, array: Any) -> int:
        """Where the array begins."""
        return int(array.ctypes.data)

    def working(self) -> Any:
        """On a card: a stream of the step's own. Here nothing."""
        return contextlib.nullcontext()

    def own_pool(self) -> Any:
        """On a card: a pool that keeps what a graph works on. Here memory is kept by its users."""
        return contextlib.nullcontext()

    def upload(self, target: np.ndarray[Any, Any], host: Any) -> None:
        """Copy host numbers into the first elements of an existing flat device array."""
        target[: host.size] = host.reshape(-1)

    # Work

    def launch(
        self, kernel: str, grid: Grid, threads: int, args: Arguments, real: Any = np.float32
    ) -> None:
        """Run a kernel, or note it down while a graph is recorded."""
        packed = sources.pack(kernel, self.parameters[kernel], args, real)
        refuse_shared(kernel, self.parameters[kernel], packed)
        work = self._prepared(kernel, grid, threads, packed, real)
        if self.recording is None:
            work()
        else:
            self.recording.append(work)

    def _prepared(
        self, kernel: str, grid: tuple[int, int], threads: int, packed: list[Any], real: Any
    ) -> Callable[[], None]:
        number_type = "double" if np.dtype(real) == np.float64 else "float"
        lib = build(number_type, self.files, self.folder, self.rounding)
        cells = [
            np.array([0 if p is None else p.ctypes.data], dtype=np.uint64)
            if parameter.pointer
            else np.array([p])
            for parameter, p in zip(self.parameters[kernel], packed, strict=True)
        ]
        pointers = (ctypes.c_void_p * len(cells))(*[cell.ctypes.data for cell in cells])
        size = (ctypes.c_uint * 2)(*grid)
        number, keep = self.numbers[kernel], (packed, cells)

        def work() -> None:
            self.launches += 1
            failure = lib.minivae_launch(
                number, size, threads, pointers, ctypes.c_ulonglong(self.order)
            )
            if failure:
                raise RuntimeError(f"{kernel}: {failure.decode()} ({len(keep[0])} arguments)")

        return work

    def matmul(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """out = a b, or out += a b; a and b may be transposed views."""

        def work() -> None:
            with np.errstate(over="ignore", invalid="ignore"):  # as silent as cuBLAS
                product = np.matmul(a, b)
            out[...] = out + product if accumulate else product

        if self.recording is None:
            work()
        else:
            self.recording.append(work)

    def aside(self) -> Any:
        """On a card: a branch of the recording. Here everything stays in order."""
        return contextlib.nullcontext()

    def wait(self, done: Any) -> None:
        """Nothing runs aside."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` launches, arguments frozen, without running it; -> replay."""
        recorded: list[Callable[[], None]] = []
        self.recording = recorded
        try:
            work()
        finally:
            self.recording = None

        def replay() -> None:
            for one in recorded:
                one()

        return replay

    def synchronise(self) -> None:
        """Nothing to wait for."""
