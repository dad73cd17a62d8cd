"""Launchers for the likelihoods, the random numbers and the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.gpu.launcher import (
    THREADS,
    Array,
    Launcher,
    ceil_div,
    column_tiles,
    rows_per_block,
)

WORD = 0xFFFFFFFF


def key_words(seed: int) -> tuple[int, int]:
    """A 64-bit seed as Philox's key."""
    return int(seed) & WORD, (int(seed) >> 32) & WORD


class LikelihoodOps(Launcher):
    """Negative log-likelihoods (L, B) in nats, and their gradients."""

    def _pass(
        self, op: str, out: Any, x: Any, dnll: Any, logc: Any, want_nll: bool
    ) -> tuple[Array | None, Array | None, Array | None]:
        """One pass over `out`: (nll or None, gradient or None, dlogc or None)."""
        name = "logits" if logc is None else "mean"
        given = {name: out, "x": x, "dnll": dnll, "logc": logc}
        real, arrays = self._floats(op, **{k: v for k, v in given.items() if v is not None})
        out, x, *rest = arrays
        dnll = rest.pop(0) if dnll is not None else None
        logc = rest[0] if rest else None
        good = out.ndim == 3 and x.shape == out.shape[1:]
        good = good and (dnll is None or dnll.shape == out.shape[:2])
        self._require(
            good, op, **{name: out, "x": x, "dnll": np.empty(()) if dnll is None else dnll}
        )
        L, B, D = out.shape
        rows, tiles, per = L * B, column_tiles(D), rows_per_block(L * B)
        empty = self.device.empty
        gradient = None if dnll is None else empty(out.shape, real)
        part = empty((rows, tiles), real) if want_nll or logc is not None else None
        vec = self.by_fours(D, out, x, *([] if gradient is None else [gradient]))
        upstream = (out, None, x, dnll, 0.0)
        shape = (0, 0, rows, B, D, per, vec)
        if logc is None:
            args: tuple[Any, ...] = (*upstream, gradient, part, None, None, *shape)
            self.tiles("bernoulli_pass", rows, D, per, args, real)
        else:
            args = (*upstream, logc, gradient, part, None, None, *shape)
            self.tiles("gaussian_pass", rows, D, per, args, real)
        nll = empty((L, B), real) if want_nll else None
        if logc is None:
            if nll is not None:
                self.flat("bernoulli_rows", rows, (part, nll, rows, tiles), real)
            return nll, gradient, None
        share = None if dnll is None else empty((rows,), np.float64)
        self.flat("gaussian_rows", rows, (part, dnll, logc, nll, share, rows, tiles, D), real)
        if share is None:
            return nll, None, None
        dlogc = self.device.zeros((), real)
        self.device.launch("sum_all", (1, 1), THREADS, (share, dlogc, rows), real)
        return nll, gradient, dlogc

    def bernoulli_nll_forward(self, logits: Array, x: Array) -> Array:
        """Σ_d softplus(logit) - x logit                                  (E23)"""
        return self._pass("bernoulli_nll_forward", logits, x, None, None, True)[0]

    def bernoulli_nll_backward(self, dnll: Array, logits: Array, x: Array) -> Array:
        """dlogits = dnll (s(logit) - x)                                  (E24)"""
        return self._pass("bernoulli_nll_backward", logits, x, dnll, None, False)[1]

    def bernoulli_nll_grad(self, dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
        """nll and dlogits in one pass                                    (E23, E24)"""
        nll, dlogits, _ = self._pass("bernoulli_nll_grad", logits, x, dnll, None, True)
        return nll, dlogits

    def gaussian_nll_forward(self, mean: Array, x: Array, logc: Array) -> Array:
        """½ [D (log 2π + log c) + ‖x - mean‖² / c]                       (E20)"""
        return self._pass("gaussian_nll_forward", mean, x, None, logc, True)[0]

    def gaussian_nll_backward(
        self, dnll: Array, mean: Array, x: Array, logc: Array
    ) -> tuple[Array, Array]:
        """dmean and dlogc                                                (E21)"""
        _, dmean, dlogc = self._pass("gaussian_nll_backward", mean, x, dnll, logc, False)
        return dmean, dlogc

    def gaussian_nll_grad(
        self, dnll: Array, mean: Array, x: Array, logc: Array
    ) -> tuple[Array, Array, Array]:
        """nll, dmean and dlogc in one pass                               (E20, E21)"""
        nll, dmean, dlogc = self._pass("gaussian_nll_grad", mean, x, dnll, logc, True)
        return nll, dmean, dlogc


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
