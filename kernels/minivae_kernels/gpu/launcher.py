"""What all launchers share: arrays checked and made fit for a kernel, grids chosen.

Every launch goes through a device (`cupy_device.CupyDevice`, or `host_device.HostDevice` for
tests without a card), so the code here is the same on both.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

THREADS, WARPS, TILE, LANES, WIDTH = 256, 8, 128, 32, 4  # as in cuda/common.cuh
NARROW = 32  # as in cuda/narrow.cu: the widest latent layer whose products are not cuBLAS's
MOST_BLOCKS = 2048  # enough for any card; a thread then walks on with the grid's stride
MOST_TILES = 256  # row tiles of a one-pass kernel, so that the last sum stays short

Array = Any
Grid = tuple[int, int]  # blocks along x and y
Arguments = tuple[Any, ...]  # of a kernel, in its own order


class Device(Protocol):
    """The seam between the launchers and whatever runs the kernels."""

    name: str
    xp: Any

    def empty(self, shape: Any, dtype: Any) -> Array: ...
    def zeros(self, shape: Any, dtype: Any) -> Array: ...
    def to_device(self, array: Any) -> Array: ...
    def to_host(self, array: Any) -> np.ndarray[Any, Any]: ...
    def is_array(self, value: Any) -> bool: ...
    def pointer(self, array: Array) -> int: ...
    def free_memory(self) -> int: ...
    def own_pool(self) -> Any: ...
    def upload(self, target: Array, host: Any) -> None: ...
    def launch(
        self, kernel: str, grid: Grid, threads: int, args: Arguments, real: Any = ...
    ) -> None: ...
    def matmul(self, a: Array, b: Array, out: Array, *, accumulate: bool = False) -> None: ...
    def working(self) -> Any: ...
    def aside(self) -> Any: ...
    def wait(self, done: Any) -> None: ...
    def capture(self, work: Any) -> Any: ...
    def synchronise(self) -> None: ...


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def rows_per_block(rows: int) -> int:
    """How many rows a block of a one-pass kernel walks down: a function of the rows alone."""
    return WARPS * ceil_div(rows, WARPS * MOST_TILES)


def column_tiles(columns: int) -> int:
    """How many blocks lie side by side over the columns."""
    return ceil_div(columns, TILE)


class Launcher:
    """Checks inputs, allocates outputs, and knows the device."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def _array(self, op: str, name: str, value: Any) -> Array:
        """The value as an array on the device; TypeError for a host array or a wrong type."""
        if not self.device.is_array(value):
            if isinstance(value, np.ndarray) and value.ndim:
                raise TypeError(
                    f"{op}: {name} is an array on the host; the {self.device.name} backend works "
                    f"on its own: pass K.to_device({name})"
                )
            if isinstance(value, (int, float)):
                value = np.float32(value)
            if not isinstance(value, (np.number, np.ndarray)):
                raise TypeError(f"{op}: {name} is a {type(value).__name__}, not an array")
            value = self.device.to_device(np.asarray(value))
        if value.dtype not in (np.float32, np.float64):
            raise TypeError(
                f"{op}: {name} is {value.dtype}; this backend takes float32 and float64"
            )
        return value

    def _floats(self, op: str, **given: Any) -> tuple[Any, list[Array]]:
        """The arrays contiguous and of one type, the widest among them; -> that type, arrays."""
        arrays = {name: self._array(op, name, value) for name, value in given.items()}
        sized = [a.dtype for a in arrays.values() if a.ndim]  # a lone number widens nothing
        real = np.result_type(*(sized or [a.dtype for a in arrays.values()]))
        contiguous = self.device.xp.ascontiguousarray
        return real, [contiguous(a, dtype=real).reshape(a.shape) for a in arrays.values()]

    def _same_shape(self, op: str, **given: Any) -> tuple[Any, list[Array]]:
        """`_floats` of arrays that belong together element by element, broadcast if need be."""
        shapes = [tuple(np.shape(a)) for a in given.values()]
        shape = shapes[0]
        if any(s != shape for s in shapes):
            try:
                shape = np.broadcast_shapes(*shapes)
            except ValueError:
                raise ValueError(self._mismatch(op, given)) from None
            xp = self.device.xp
            given = {k: xp.broadcast_to(self._array(op, k, a), shape) for k, a in given.items()}
        return self._floats(op, **given)

    def _mismatch(self, op: str, given: dict[str, Any]) -> str:
        listed = ", ".join(f"{name} {tuple(np.shape(a))}" for name, a in given.items())
        return f"{op}: these shapes do not go together: {listed}"

    def _require(self, good: bool, op: str, **given: Any) -> None:
        if not good:
            raise ValueError(self._mismatch(op, given))

    def _indices(self, rows: Any) -> Array:
        """Row numbers as int64 on the device; these alone may come from the host."""
        if self.device.is_array(rows):
            return self.device.xp.ascontiguousarray(rows, dtype=np.int64)
        return self.device.to_device(np.ascontiguousarray(rows, dtype=np.int64))

    def aligned(self, *arrays: Array) -> int:
        """1 if every array begins on the 16-byte grid, so that it may be read by fours."""
        return int(all(self.device.pointer(a) % 16 == 0 for a in arrays))

    def by_fours(self, columns: int, *arrays: Array) -> int:
        """1 if every row of these matrices begins on the grid."""
        return int(columns % WIDTH == 0 and self.aligned(*arrays))

    def flat(self, kernel: str, n: int, args: tuple[Any, ...], real: Any) -> None:
        """Launch with one thread an element (not at all for none)."""
        if n:
            self.device.launch(kernel, (ceil_div(n, THREADS), 1), THREADS, args, real)

    def walk(self, kernel: str, n: int, args: tuple[Any, ...], real: Any) -> None:
        """Launch a kernel whose threads walk the array four numbers at a time."""
        if n:
            blocks = min(ceil_div(n, THREADS * WIDTH), MOST_BLOCKS)
            self.device.launch(kernel, (blocks, 1), THREADS, args, real)

    def tiles(
        self, kernel: str, rows: int, columns: int, per_block: int, args: tuple[Any, ...], real: Any
    ) -> None:
        """Launch a one-pass kernel over (rows, columns)."""
        if rows and columns:
            grid = (column_tiles(columns), ceil_div(rows, per_block))
            self.device.launch(kernel, grid, THREADS, args, real)
