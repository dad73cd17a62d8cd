"""Launchers for the random numbers and the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.gpu.launcher import Array, Launcher, ceil_div

WORD = 0xFFFFFFFF


def key_words(seed: int) -> tuple[int, int]:
    """A 64-bit seed as Philox's key."""
    return int(seed) & WORD, (int(seed) >> 32) & WORD


class RandomOps(Launcher):
    """Philox, the numbers made of it, and the batch drawn with it."""

    def philox(self, counter: Array, key: Array) -> Array:
        """Ten rounds of Philox 4x32: counter (…, 4), key (2,) -> (…, 4) uint32   (E34)"""
        xp = self.device.xp
        if not self.device.is_array(counter):
            counter = self.device.to_device(np.asarray(counter))
        counter = xp.ascontiguousarray(counter, dtype=np.uint32)
        self._require(counter.ndim >= 1 and counter.shape[-1] == 4, "philox", counter=counter)
        k0, k1 = (
            int(word) for word in (self.device.to_host(key) if self.device.is_array(key) else key)
        )
        out = self.device.empty(counter.shape, np.uint32)
        n = counter.size // 4
        self.flat("philox_words", n, (counter, out, n, k0, k1), np.float32)
        return out

    def _noise(self, seed: int, stream: int, step: int, samples: Any, n: int, normal: int) -> Array:
        rows = self._indices(samples)
        out = self.device.empty((rows.size, n), np.float32)
        args = (rows, out, rows.size, n, int(step) & WORD, stream, *key_words(seed), normal)
        self.flat("noise", rows.size * ceil_div(n, 4), args, np.float32)
        return out

    def uniforms(self, seed: int, stream: int, step: int, samples: Array, n: int) -> Array:
        """n uniforms in (0, 1) for every sample: (B, n) float32          (E35)"""
        return self._noise(seed, stream, step, samples, n, 0)

    def normals(self, seed: int, stream: int, step: int, samples: Array, n: int) -> Array:
        """n standard normals for every sample: (B, n) float32            (E36)"""
        return self._noise(seed, stream, step, samples, n, 1)

    def _gather(self, op: str, data: Any, rows: Any, scale: float, draw: tuple[int, ...]) -> Array:
        if not self.device.is_array(data):
            raise TypeError(f"{op}: data is not on the device: pass K.to_device(data)")
        if data.dtype not in (np.uint8, np.float32, np.float64) or data.ndim != 2:
            raise TypeError(
                f"{op}: data is {data.dtype} {data.shape}; (N, D) uint8 or float is needed"
            )
        self._check_rows(op, rows, len(data))
        data, rows = self.device.xp.ascontiguousarray(data), self._indices(rows)
        if not self.aligned(data):
            data = data.copy()
        real = np.dtype(np.float32 if data.dtype == np.uint8 else data.dtype)
        D = data.shape[1]
        x = self.device.empty((rows.size, D), real)
        kernel = "gather_u8" if data.dtype == np.uint8 else "gather_real"
        args = (data, rows, x, scale, None, rows.size, D, *draw)
        self.flat(kernel, rows.size * ceil_div(D, 4), args, real)
        return x

    def _check_rows(self, op: str, rows: Any, n: int) -> None:
        if not len(rows):
            return
        rows = rows if self.device.is_array(rows) else np.asarray(rows)
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= n:
            raise IndexError(f"{op}: rows from {low} to {high}; the data have rows 0 to {n - 1}")

    def gather(self, data: Array, rows: Array, scale: float) -> Array:
        """data[rows] · scale; bytes become float32                       (E35)"""
        return self._gather("gather", data, rows, scale, (0, 0, 0, 0, 0))

    def binarise(self, x: Array, u: Array) -> Array:
        """1 where u < x, else 0                                          (E35)"""
        dtype = getattr(x, "dtype", np.float32)
        real, (x, u) = self._same_shape("binarise", x=x, u=u)
        out = self.device.empty(x.shape, real)
        self.flat("binarise", x.size, (x, u, out, x.size), real)
        return out.astype(dtype, copy=False)

    def gather_binarise(
        self, data: Array, rows: Array, scale: float, seed: int, stream: int, step: int
    ) -> Array:
        """Rows of the data as a fresh Bernoulli draw of every pixel      (E35)"""
        draw = (1, int(step) & WORD, stream, *key_words(seed))
        return self._gather("gather_binarise", data, rows, scale, draw)
