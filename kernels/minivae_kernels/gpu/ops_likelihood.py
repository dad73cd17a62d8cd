"""The likelihoods: what the card has for each, and the launchers of their ops.

A new one is a type and a line in `cuda/likelihood.cu`, a row here and its two ops. A name that is
not in `LIKELIHOODS` has no fused step: never a default branch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minivae_kernels.gpu.launcher import (
    LANES,
    THREADS,
    Array,
    Launcher,
    ceil_div,
    column_tiles,
    rows_per_block,
)

# Where a likelihood's log scale s is accounted for: nowhere, there is none; in closed form,
# nll = weight (D (constant + s) + exp(-s) Σ loss), once the losses are summed; in each loss.
NONE, CLOSED, WITHIN = "none", "closed", "within"


class LikelihoodPass(NamedTuple):
    """A kernel of `cuda/likelihood.cu`.

    each: there is an s for every column, not one for all. grouped: it is over groups of columns,
    and a row is one tile to it.
    """

    kernel: str
    scale: str = NONE
    weight: float = 1.0
    constant: float = 0.0
    each: bool = False
    grouped: bool = False

    def tiles_of_a_row(self, columns: int) -> int:
        """In how many pieces the loss of a row is left."""
        return 1 if self.grouped else column_tiles(columns)


LIKELIHOODS = {
    "bernoulli": LikelihoodPass("bernoulli_pass"),
    "gaussian": LikelihoodPass("gaussian_pass", CLOSED, 0.5, math.log(2 * math.pi)),
    "laplace": LikelihoodPass("laplace_pass", CLOSED, 1.0, math.log(2)),
    "student-t": LikelihoodPass("student_t_pass", WITHIN),
    "continuous-bernoulli": LikelihoodPass("continuous_bernoulli_pass"),
    "poisson": LikelihoodPass("poisson_pass"),
    "negative-binomial": LikelihoodPass("negative_binomial_pass", WITHIN),
    "gaussian-diagonal": LikelihoodPass("gaussian_diagonal_pass", WITHIN, each=True),
    "categorical": LikelihoodPass("categorical_pass", grouped=True),
}


def ends_of(groups: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Where each group of columns ends, from the groups' sizes."""
    return np.cumsum(groups, dtype=np.int32)


class LikelihoodOps(Launcher):
    """Negative log-likelihoods (L, B) in nats, and their gradients."""

    def __init__(self, device: Any) -> None:
        super().__init__(device)
        self.ends: dict[tuple[int, ...], Array] = {}

    def _forward(self, name: str, op: str, out: Any, x: Any, log_scale: Any = None) -> Array:
        """-log p(x | z) alone."""
        return self._pass(LIKELIHOODS[name], op, None, out, x, log_scale, True)[0]

    def _backward(
        self, name: str, op: str, dnll: Any, out: Any, x: Any, log_scale: Any = None
    ) -> Any:
        """The output's gradient, and the log scale's where there is one."""
        _, *made = self._pass(LIKELIHOODS[name], op, dnll, out, x, log_scale, False)
        return made[0] if log_scale is None else tuple(made)

    def _pass(
        self,
        of: LikelihoodPass,
        op: str,
        dnll: Any,
        out: Any,
        x: Any,
        log_scale: Any,
        want_nll: bool,
    ) -> tuple[Array | None, Array | None, Array | None]:
        """One pass over `out`: what was asked for of nll, its gradient and the log scale's."""
        given = {"the decoder's output": out, "x": x, "dnll": dnll, "log scale": log_scale}
        given = {name: value for name, value in given.items() if value is not None}
        real, arrays = self._floats(op, **given)
        a = dict(zip(given, arrays, strict=True))
        out, x, dnll, log_scale = map(a.get, ("the decoder's output", "x", "dnll", "log scale"))
        good = out.ndim == 3 and x.shape == out.shape[1:]
        good = good and (dnll is None or dnll.shape == out.shape[:2])
        wanted = x.shape[-1:] if of.each else ()
        self._require(good and (log_scale is None or log_scale.shape == wanted), op, **given)
        part, gradient, pulls, sums = self._launch(of, real, dnll, out, x, log_scale, want_nll)
        nll, shares = self._rows(of, real, dnll, log_scale, part, out.shape, want_nll)
        if dnll is None or of.scale == NONE:
            return nll, gradient, None
        if of.each:
            return nll, gradient, self._column_scales(sums, real)
        dscale = self.device.zeros((), real)
        terms = shares if of.scale == CLOSED else pulls
        self.device.launch("sum_all", (1, 1), THREADS, (terms, dscale, terms.size), real)
        return nll, gradient, dscale

    def _launch(
        self,
        of: LikelihoodPass,
        real: Any,
        dnll: Any,
        out: Any,
        x: Any,
        log_scale: Any,
        want_nll: bool,
    ) -> tuple[Array | None, ...]:
        """The pass itself: the rows' sums, the gradient, the blocks' pulls, the columns' sums."""
        L, B, D = out.shape
        rows, per = L * B, rows_per_block(L * B)
        tiles, blocks = column_tiles(D), ceil_div(rows, per) if rows else 0
        empty = self.device.empty
        gradient = None if dnll is None else empty(out.shape, real)
        part = empty((rows, tiles), real) if want_nll or of.scale == CLOSED else None
        pulled = dnll is not None and of.scale == WITHIN
        pulls = empty((blocks * tiles,), np.float64) if pulled and not of.each else None
        sums = empty((blocks, D), real) if pulled and of.each else None
        made = (gradient, part, None, pulls, sums, D, -1, 0 if of.each else -1)
        vec = self.by_fours(D, out, x, *([] if gradient is None else [gradient]))
        args = (out, None, x, dnll, 0.0, log_scale, of.each, *made, rows, B, D, per, vec)
        self.tiles(of.kernel, rows, D, per, args, real)
        return part, gradient, pulls, sums

    def _rows(
        self,
        of: LikelihoodPass,
        real: Any,
        dnll: Any,
        log_scale: Any,
        part: Any,
        shape: Any,
        want_nll: bool,
    ) -> tuple[Array | None, Array | None]:
        """nll (L, B) from the rows' sums, and each row's share of a closed form's gradient."""
        L, B, D = shape
        nll = self.device.empty((L, B), real) if want_nll else None
        closed = of.scale == CLOSED
        shares = self.device.empty((L * B,), np.float64) if closed and dnll is not None else None
        if nll is not None or shares is not None:
            numbers = (log_scale if closed else None, of.weight, of.constant)
            args = (part, dnll, *numbers, nll, shares, L * B, column_tiles(D), D)
            self.flat("nll_rows", L * B, args, real)
        return nll, shares

    def _grouped(self, op: str, dnll: Any, out: Any, x: Any, groups: tuple[int, ...]) -> Array:
        """The gradient for upstream dnll; without one, -log p(x | z)."""
        given = {"the decoder's output": out, "x": x}
        given |= {} if dnll is None else {"dnll": dnll}
        real, (out, x, *upstream) = self._floats(op, **given)
        good = out.ndim == 3 and x.shape == out.shape[1:] and sum(groups) == out.shape[2]
        self._require(good and all(a.shape == out.shape[:2] for a in upstream), op, **given)
        if any(size < 1 for size in groups):
            raise ValueError(f"{op}: groups {groups}: each needs a column or more")
        L, B, D = out.shape
        rows, per = L * B, rows_per_block(L * B)
        allocate = self.device.empty if D else self.device.zeros  # no columns: a loss of nothing
        made = allocate(out.shape if upstream else (L, B), real)
        dout, nll = (made, None) if upstream else (None, made)
        args = (
            out,
            None,
            x,
            *(upstream or [None]),
            0.0,
            self._ends(groups),
            len(groups),
            dout,
            nll,
            None,
        )
        if rows and D:
            grid = (1, ceil_div(rows, per))
            given = (*args, rows, B, D, per)
            self.device.launch("categorical_pass", grid, THREADS, given, real)
        return made

    def _ends(self, groups: tuple[int, ...]) -> Array:
        """Where groups of columns end, sent once: a graph that is being recorded copies nothing."""
        if groups not in self.ends:
            self.ends[groups] = self.device.to_device(ends_of(groups))
        return self.ends[groups]

    def _column_scales(self, sums: Any, real: Any) -> Array:
        """Every column's sum over the row tiles."""
        tiles, columns = sums.shape
        out = self.device.zeros((columns,), real)
        if columns:
            grid = (ceil_div(columns, LANES), 1)
            args = (sums, None, out, tiles, columns)
            self.device.launch("column_finish", grid, THREADS, args, real)
        return out

    def bernoulli_nll_forward(self, logits: Array, x: Array) -> Array:
        """Σ_d softplus(logit) - x logit                                  (E23)"""
        return self._forward("bernoulli", "bernoulli_nll_forward", logits, x)

    def bernoulli_nll_backward(self, dnll: Array, logits: Array, x: Array) -> Array:
        """dlogits = dnll (s(logit) - x)                                  (E24)"""
        return self._backward("bernoulli", "bernoulli_nll_backward", dnll, logits, x)

    def bernoulli_nll_grad(self, dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
        """nll and dlogits in one pass                                    (E23, E24)"""
        of = LIKELIHOODS["bernoulli"]
        nll, dlogits, _ = self._pass(of, "bernoulli_nll_grad", dnll, logits, x, None, True)
        return nll, dlogits

    def gaussian_nll_forward(self, mean: Array, x: Array, logc: Array) -> Array:
        """½ [D (log 2π + log c) + ‖x - mean‖² / c]                       (E20)"""
        return self._forward("gaussian", "gaussian_nll_forward", mean, x, logc)

    def gaussian_nll_backward(self, dnll: Array, mean: Array, x: Array,
                              logc: Array) -> tuple[Array, Array]:  # fmt: skip
        """dmean and dlogc                                                (E21)"""
        return self._backward("gaussian", "gaussian_nll_backward", dnll, mean, x, logc)

    def laplace_nll_forward(self, mean: Array, x: Array, logb: Array) -> Array:
        """D (log 2 + log b) + Σ_d |x_d - mean_d| / b                     (E53)"""
        return self._forward("laplace", "laplace_nll_forward", mean, x, logb)

    def laplace_nll_backward(
        self, dnll: Array, mean: Array, x: Array, logb: Array
    ) -> tuple[Array, Array]:
        """dmean = dnll sign(mean - x) / b, and dlogb                     (E53)"""
        return self._backward("laplace", "laplace_nll_backward", dnll, mean, x, logb)

    def student_t_nll_forward(self, mean: Array, x: Array, logb: Array) -> Array:
        """D (log 8/3 + log b) + 5/2 Σ_d log(1 + (x_d - mean_d)² / 4b²)   (E66)"""
        return self._forward("student-t", "student_t_nll_forward", mean, x, logb)

    def student_t_nll_backward(
        self, dnll: Array, mean: Array, x: Array, logb: Array
    ) -> tuple[Array, Array]:
        """dmean = dnll 5 (mean - x) / (4b² (1 + q)), and dlogb           (E66)"""
        return self._backward("student-t", "student_t_nll_backward", dnll, mean, x, logb)

    def continuous_bernoulli_nll_forward(self, logits: Array, x: Array) -> Array:
        """Σ_d A(logit) - x logit with A(a) = log((exp a - 1) / a)        (E54)"""
        name = "continuous-bernoulli"
        return self._forward(name, "continuous_bernoulli_nll_forward", logits, x)

    def continuous_bernoulli_nll_backward(self, dnll: Array, logits: Array, x: Array) -> Array:
        """dlogits = dnll (A'(logit) - x)                                 (E54)"""
        name = "continuous-bernoulli"
        return self._backward(name, "continuous_bernoulli_nll_backward", dnll, logits, x)

    def poisson_nll_forward(self, lograte: Array, x: Array) -> Array:
        """Σ_d exp(lograte) - x lograte + log x!                          (E55)"""
        return self._forward("poisson", "poisson_nll_forward", lograte, x)

    def poisson_nll_backward(self, dnll: Array, lograte: Array, x: Array) -> Array:
        """dlograte = dnll (exp(lograte) - x)                             (E55)"""
        return self._backward("poisson", "poisson_nll_backward", dnll, lograte, x)

    def negative_binomial_nll_forward(self, logmean: Array, x: Array, logr: Array) -> Array:
        """Σ_d log Γ(r) + log x! - log Γ(x + r) + (x + r) softplus(t) - x t   (E56)"""
        name = "negative-binomial"
        return self._forward(name, "negative_binomial_nll_forward", logmean, x, logr)

    def negative_binomial_nll_backward(
        self, dnll: Array, logmean: Array, x: Array, logr: Array
    ) -> tuple[Array, Array]:
        """dlogmean = dnll ((x + r) s(t) - x), and dlogr                  (E56)"""
        name = "negative-binomial"
        return self._backward(name, "negative_binomial_nll_backward", dnll, logmean, x, logr)

    def gaussian_diagonal_nll_forward(self, mean: Array, x: Array, logc: Array) -> Array:
        """½ Σ_d [log 2π + log c_d + (x_d - mean_d)² / c_d]               (E52)"""
        return self._forward("gaussian-diagonal", "gaussian_diagonal_nll_forward", mean, x, logc)

    def gaussian_diagonal_nll_backward(
        self, dnll: Array, mean: Array, x: Array, logc: Array
    ) -> tuple[Array, Array]:
        """dmean (L, B, D) and dlogc (D,)                                 (E52)"""
        name = "gaussian-diagonal"
        return self._backward(name, "gaussian_diagonal_nll_backward", dnll, mean, x, logc)

    def categorical_nll_forward(self, logits: Array, x: Array, groups: tuple[int, ...]) -> Array:
        """Σ_g [ log Σ_{d in g} exp(logit_d) - Σ_{d in g} x_d logit_d ]    (E57)"""
        return self._grouped("categorical_nll_forward", None, logits, x, groups)

    def categorical_nll_backward(
        self, dnll: Array, logits: Array, x: Array, groups: tuple[int, ...]
    ) -> Array:
        """dlogits = dnll (softmax(logits) - x), group by group           (E57)"""
        return self._grouped("categorical_nll_backward", dnll, logits, x, groups)
