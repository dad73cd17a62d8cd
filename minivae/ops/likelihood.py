"""The likelihoods as -log p(x | z), in nats per datum, from the decoder's output."""

from __future__ import annotations

import math

import numpy as np

from minivae.ops.activation import sigmoid_forward, softplus_forward
from minivae.ops.gamma import log_gamma, log_gamma_rise, log_gamma_rise_slope
from minivae.types import Array

LOG_2PI, LOG_2, LOG_8_THIRDS = math.log(2 * math.pi), math.log(2), math.log(8 / 3)


def bernoulli_nll_forward(logits: Array, x: Array) -> Array:
    """-log p(x | z) = Σ_d softplus(logit) - x logit, in nats            (E23)

    logits (L, B, D), x (B, D) in [0, 1] -> nll (L, B). From logits, never from
    probabilities: it is exact at ±1e4, where log(1 - p) has long been infinite.
    For grey x it is a cross-entropy and no longer a likelihood.
    """
    return (softplus_forward(logits) - x * logits).sum(axis=-1)


def bernoulli_nll_backward(dnll: Array, logits: Array, x: Array) -> Array:
    """dlogits = dnll (s(logit) - x)                                     (E24)

    dnll (L, B), logits (L, B, D), x (B, D) -> dlogits (L, B, D).
    """
    return dnll[..., None] * (sigmoid_forward(logits) - x)


def gaussian_nll_forward(mean: Array, x: Array, logc: Array) -> Array:
    """-log N(x; mean, c I) = ½ [D (log 2π + log c) + ‖x - mean‖² / c], in nats   (E20)

    mean (L, B, D), x (B, D), logc () = log c -> nll (L, B).
    """
    r = mean - x
    return 0.5 * (x.shape[-1] * (LOG_2PI + logc) + np.exp(-logc) * (r * r).sum(axis=-1))


def gaussian_nll_backward(dnll: Array, mean: Array, x: Array, logc: Array) -> tuple[Array, Array]:
    """dmean = dnll (mean - x) / c and dlogc = Σ dnll ½ [D - ‖x - mean‖² / c]   (E21)

    dnll (L, B), mean (L, B, D), x (B, D), logc () -> dmean (L, B, D), dlogc ().
    """
    r = mean - x
    precision = np.exp(-logc)
    dmean = dnll[..., None] * (precision * r)
    dlogc = (dnll * (0.5 * (x.shape[-1] - precision * (r * r).sum(axis=-1)))).sum()
    return dmean, dlogc


def gaussian_diagonal_nll_forward(mean: Array, x: Array, logc: Array) -> Array:
    """-log N(x; mean, diag c) = ½ Σ_d [log 2π + log c_d + (x_d - mean_d)² / c_d], in nats   (E52)

    mean (L, B, D), x (B, D), logc (D,) = log c -> nll (L, B).
    """
    r = mean - x
    return 0.5 * (LOG_2PI + logc + np.exp(-logc) * (r * r)).sum(axis=-1)


def gaussian_diagonal_nll_backward(
    dnll: Array, mean: Array, x: Array, logc: Array
) -> tuple[Array, Array]:
    """dmean = dnll (mean - x) / c and dlogc_d = Σ dnll ½ [1 - (x_d - mean_d)² / c_d]   (E52)

    dnll (L, B), mean (L, B, D), x (B, D), logc (D,) -> dmean (L, B, D), dlogc (D,).
    """
    r = mean - x
    precision = np.exp(-logc)
    dmean = dnll[..., None] * (precision * r)
    dlogc = (dnll[..., None] * (0.5 * (1 - precision * (r * r)))).sum(axis=(0, 1))
    return dmean, dlogc


def laplace_nll_forward(mean: Array, x: Array, logb: Array) -> Array:
    """-log p(x | z) = D (log 2 + log b) + Σ_d |x_d - mean_d| / b, in nats   (E53)

    mean (L, B, D) is also the median, x (B, D), logb () = log b -> nll (L, B).
    """
    r = mean - x
    size = np.where(r.real > 0, r, -r)
    return x.shape[-1] * (LOG_2 + logb) + np.exp(-logb) * size.sum(axis=-1)


def laplace_nll_backward(dnll: Array, mean: Array, x: Array, logb: Array) -> tuple[Array, Array]:
    """dmean = dnll sign(mean - x) / b and dlogb = Σ dnll [D - Σ_d |x_d - mean_d| / b]   (E53)

    dnll (L, B), mean (L, B, D), x (B, D), logb () -> dmean (L, B, D), dlogb (). Where a mean
    hits its datum exactly the derivative is taken as 0.
    """
    r = mean - x
    side = np.where(r.real > 0, 1, np.where(r.real < 0, -1, 0 * r))
    rate = np.exp(-logb)
    dmean = dnll[..., None] * (rate * side)
    dlogb = (dnll * (x.shape[-1] - rate * (side * r).sum(axis=-1))).sum()
    return dmean, dlogb


def student_t_nll_forward(mean: Array, x: Array, logb: Array) -> Array:
    """-log p(x | z) of Student's t with 4 degrees of freedom, in nats       (E66)

    D (log 8/3 + log b) + 5/2 Σ_d log(1 + q_d),  q_d = (mean_d - x_d)² / 4b²

    mean (L, B, D) is also the median, x (B, D), logb () = log b -> nll (L, B). The price of an
    outlier grows with its logarithm alone, and its pull falls again. Lange, Little & Taylor 1989.
    """
    q = _student_square(mean - x, logb)
    return x.shape[-1] * (LOG_8_THIRDS + logb) + 2.5 * np.log1p(q).sum(axis=-1)


def student_t_nll_backward(dnll: Array, mean: Array, x: Array, logb: Array) -> tuple[Array, Array]:
    """dmean = dnll 5 (mean - x) / (4b² (1 + q)), dlogb = Σ dnll [D - 5 Σ_d q_d / (1 + q_d)]  (E66)

    dnll (L, B), mean (L, B, D), x (B, D), logb () -> dmean (L, B, D), dlogb ().
    """
    r = mean - x
    q = _student_square(r, logb)
    dmean = dnll[..., None] * (1.25 * np.exp(-2 * logb) * r / (1 + q))
    dlogb = (dnll * (x.shape[-1] - 5 * (q / (1 + q)).sum(axis=-1))).sum()
    return dmean, dlogb


def _student_square(r: Array, logb: Array) -> Array:
    """q = r² / 4b², any shape"""
    return 0.25 * np.exp(-2 * logb) * (r * r)


def continuous_bernoulli_nll_forward(logits: Array, x: Array) -> Array:
    """-log p(x | z) = Σ_d A(logit) - x logit with A(a) = log((exp a - 1) / a), in nats   (E54)

    logits (L, B, D), x (B, D) in [0, 1] -> nll (L, B). The density on [0, 1] that the Bernoulli's
    formula lacks for grey x. Loaiza-Ganem & Cunningham 2019, equation 8.
    """
    return (_log_normaliser(logits) - x * logits).sum(axis=-1)


def continuous_bernoulli_nll_backward(dnll: Array, logits: Array, x: Array) -> Array:
    """dlogits = dnll (A'(logit) - x); A' is the mean of x               (E54)

    dnll (L, B), logits (L, B, D), x (B, D) -> dlogits (L, B, D).
    """
    return dnll[..., None] * (continuous_bernoulli_mean(logits) - x)


# A(a) = a/2 + log(sinh(a/2) / (a/2)) = a/2 + Σ_k EVEN[k] a^(2k+2) near 0, where EVEN[k-1]
# is B_2k / (2k (2k)!).
EVEN = (1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600, -691 / 15692092416000,
        1 / 1046139494400, -3617 / 170729965486080000)  # fmt: skip


def _log_normaliser(a: Array) -> Array:
    """A(a) = log((exp a - 1) / a): a series for |a| < 1/2, else without overflow."""
    size = np.where(a.real > 0, a, -a)
    near = size.real < 0.5
    small, large = np.where(near, a, 0 * a), np.where(near, 1 + 0 * a, size)
    y, series = small * small, 0 * small
    for coefficient in EVEN[::-1]:
        series = (series + coefficient) * y
    far = np.where(a.real > 0, a, 0 * a) + np.log1p(-np.exp(-large)) - np.log(large)
    return np.where(near, 0.5 * small + series, far)


def continuous_bernoulli_mean(a: Array) -> Array:
    """E[x] = A'(a) = 1 / (1 - exp(-a)) - 1 / a, 1/2 at 0; any shape      (E54)"""
    size = np.where(a.real > 0, a, -a)
    near = size.real < 0.5
    small, large = np.where(near, a, 0 * a), np.where(near, 1 + 0 * a, size)
    y, series = small * small, 0 * small
    for k in range(len(EVEN), 0, -1):
        series = series * y + EVEN[k - 1] * (2 * k)
    t, rest = np.exp(-large), -np.expm1(-large)
    far = np.where(a.real > 0, 1 / rest - 1 / large, 1 / large - t / rest)
    return np.where(near, 0.5 + small * series, far)


def poisson_nll_forward(lograte: Array, x: Array) -> Array:
    """-log p(x | z) = Σ_d exp(lograte) - x lograte + log x!, in nats     (E55)

    lograte (L, B, D), x (B, D) counts -> nll (L, B).
    """
    return (np.exp(lograte) - x * lograte + log_gamma(x + 1)).sum(axis=-1)


def poisson_nll_backward(dnll: Array, lograte: Array, x: Array) -> Array:
    """dlograte = dnll (exp(lograte) - x)                                (E55)

    dnll (L, B), lograte (L, B, D), x (B, D) -> dlograte (L, B, D).
    """
    return dnll[..., None] * (np.exp(lograte) - x)


def negative_binomial_nll_forward(logmean: Array, x: Array, logr: Array) -> Array:
    """-log p(x | z) of counts with mean m and variance m + m² / r, in nats   (E56)

    Σ_d log Γ(r) + log x! - log Γ(x + r) + (x + r) softplus(t) - x t,  t = logmean - logr

    logmean (L, B, D), x (B, D) counts, logr () = log r -> nll (L, B).
    """
    r, t = np.exp(logr), logmean - logr
    counts = log_gamma(x + 1) - log_gamma_rise(r, x)  # (B, D)
    return (counts + (x + r) * softplus_forward(t) - x * t).sum(axis=-1)


def negative_binomial_nll_backward(
    dnll: Array, logmean: Array, x: Array, logr: Array
) -> tuple[Array, Array]:
    """dlogmean = dnll e with e = (x + r) s(t) - x;                      (E56)
    dlogr = Σ dnll (r [softplus(t) - (ψ(x + r) - ψ(r))] - e), ψ the derivative of log Γ

    dnll (L, B), logmean (L, B, D), x (B, D), logr () -> dlogmean (L, B, D), dlogr ().
    """
    r, t = np.exp(logr), logmean - logr
    e = (x + r) * sigmoid_forward(t) - x
    inner = r * (softplus_forward(t) - log_gamma_rise_slope(r, x)) - e
    return dnll[..., None] * e, (dnll * inner.sum(axis=-1)).sum()


def categorical_nll_forward(logits: Array, x: Array, groups: tuple[int, ...]) -> Array:
    """-log p(x | z) = Σ_g [ log Σ_{d in g} exp(logit_d) - Σ_{d in g} x_d logit_d ], in nats   (E57)

    logits (L, B, D), x (B, D) one-hot in each group of columns, groups the groups' sizes -> nll
    (L, B). Where a group's x sums to another number than 1, so do its weights.
    """
    nll = 0 * logits[..., 0]
    for columns in group_slices(groups):
        a, share = logits[..., columns], x[..., columns]
        nll = nll + _log_sum_exp(a) * share.sum(axis=-1) - (share * a).sum(axis=-1)
    return nll


def categorical_nll_backward(
    dnll: Array, logits: Array, x: Array, groups: tuple[int, ...]
) -> Array:
    """dlogits = dnll (softmax(logits) - x), group by group              (E57)

    dnll (L, B), logits (L, B, D), x (B, D), groups -> dlogits (L, B, D).
    """
    weights = 0 * logits
    for columns in group_slices(groups):
        weights[..., columns] = x[..., columns].sum(axis=-1)[..., None]
    return dnll[..., None] * (weights * softmax(logits, groups) - x)


def group_slices(groups: tuple[int, ...]) -> list[slice]:
    """Each group's columns, from the groups' sizes"""
    ends = [sum(groups[: g + 1]) for g in range(len(groups))]
    return [slice(end - size, end) for size, end in zip(groups, ends)]


def softmax(logits: Array, groups: tuple[int, ...]) -> Array:
    """The probabilities exp(a_d) / Σ_{d in g} exp(a_d) of every group of columns: (…, D)   (E57)"""
    p = 0 * logits
    for columns in group_slices(groups):
        e = np.exp(logits[..., columns] - _largest(logits[..., columns]))
        p[..., columns] = e / e.sum(axis=-1)[..., None]
    return p


def _largest(a: Array) -> Array:
    """The largest entry of the last axis as a plain number: (…, 1), with no derivative"""
    return a.real.max(axis=-1)[..., None]


def _log_sum_exp(a: Array) -> Array:
    top = _largest(a)
    return np.log(np.exp(a - top).sum(axis=-1)) + top[..., 0]
