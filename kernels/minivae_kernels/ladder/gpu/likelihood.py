"""The Bernoulli likelihood with its gradient, from a dozen array calls to one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.gpu.launcher import THREADS, WARPS, Array, Launcher, ceil_div
from minivae_kernels.gpu.ops_likelihood import LikelihoodOps
from minivae_kernels.ladder.base import Args, Ladder


def _inputs(rng: np.random.Generator, rows: int) -> Args:
    logits = (4 * rng.standard_normal((1, rows, 784))).astype(np.float32)
    x = (rng.random((rows, 784)) < 0.4).astype(np.float32)
    return rng.random((1, rows), dtype=np.float32), logits, x


def ladder(device: Any) -> Ladder:
    """The rungs on one device; arguments are that device's arrays."""
    found = Ladder("bernoulli_nll_grad", "logit", 8192, _inputs, lambda args: args[1].size)
    launcher, xp = Launcher(device), device.xp

    def sizes(logits: Array) -> tuple[int, int, int]:
        L, B, D = logits.shape
        return L * B, B, D

    def pixels(kernel: str, batch: int, columns: int, args: tuple[Any, ...]) -> None:
        """Launch with one thread a pixel, a row of x a block or several."""
        device.launch(kernel, (batch, ceil_div(columns, THREADS)), THREADS, args)

    @found.version()
    def likelihood_v0(dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
        """whole arrays: every operation is a launch that reads and writes all of memory"""
        t = xp.exp(-xp.abs(logits))
        nll = (xp.maximum(logits, 0) + xp.log1p(t) - x * logits).sum(axis=-1)
        s = xp.where(logits > 0, np.float32(1), t) / (1 + t)
        return nll, dnll[..., None] * (s - x)

    @found.version(rough=100)  # one float32 sum over a row
    def likelihood_v1(dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
        """three kernels of one thread a pixel, or one a row: intermediate results stay inside"""
        rows, B, D = sizes(logits)
        term, da = device.empty(logits.shape, np.float32), device.empty(logits.shape, np.float32)
        nll = device.empty(dnll.shape, np.float32)
        shape = rows // B, B, D
        pixels("nll_terms_rung", B, D, (logits, x, term, *shape))
        launcher.flat("row_sums_rung", rows, (term, nll, rows, D), np.float32)
        pixels("nll_slope_rung", B, D, (dnll, logits, x, da, *shape))
        return nll, da

    @found.version(rough=100)
    def likelihood_v2(dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
        """loss and gradient in one kernel: one exponential and one reading serve both"""
        rows, B, D = sizes(logits)
        term, da = device.empty(logits.shape, np.float32), device.empty(logits.shape, np.float32)
        nll = device.empty(dnll.shape, np.float32)
        pixels("nll_both_rung", B, D, (dnll, logits, x, term, da, rows // B, B, D))
        launcher.flat("row_sums_rung", rows, (term, nll, rows, D), np.float32)
        return nll, da

    @found.version()
    def likelihood_v3(dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
        """a warp for each row: the terms never reach memory, the lanes add them up"""
        rows, B, D = sizes(logits)
        da = device.empty(logits.shape, np.float32)
        nll = device.empty(dnll.shape, np.float32)
        args = (dnll, logits, x, nll, da, rows, B, D)
        device.launch("nll_warp_rung", (ceil_div(rows, WARPS), 1), THREADS, args)
        return nll, da

    chosen = LikelihoodOps(device).bernoulli_nll_grad

    @found.version()
    def likelihood_v4(dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
        """the product's own: four numbers an access; in the step also bias and bias gradient"""
        return chosen(dnll, logits, x)

    return found
