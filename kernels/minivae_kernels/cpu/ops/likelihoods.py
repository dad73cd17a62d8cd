"""The likelihoods: each is a loop over outputs and data, its ops, and one row of LIKELIHOODS.

A loop turns a decoder's outputs, in place, into their gradients, and leaves what the negative
log-likelihood is summed from. The ops call it a row at a time, the training step a panel's rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.likelihood_kernel import Likelihood, loop, nll, nll_gradients

f32 = np.float32
LOG_2PI = math.log(2 * math.pi)


LIKELIHOODS: dict[str, Likelihood] = {}
OPS: list[Callable[..., Any]] = []


def add(name: str, likelihood: Likelihood, *ops: Callable[..., Any]) -> None:
    """Serve a likelihood's ops, and its loop to the training step, under its name."""
    LIKELIHOODS[name] = likelihood
    OPS.extend(ops)


def _bernoulli(a, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    for i in range(len(a)):
        e = m.exp_negative(-m.magnitude(a[i]))
        u = f32(1) + e
        positive = m.kept_where_positive(a[i], a[i])
        terms[i] = positive - x[i] * a[i]
        factors[i] = u
        a[i] = scale * ((f32(1) if a[i] > f32(0) else e) / u - x[i])


BERNOULLI = Likelihood(loop("bernoulli_loop", _bernoulli), logarithms=True)


def bernoulli_nll_forward(logits: Any, x: Any) -> np.ndarray:
    """Σ_d softplus(logit) - x logit, in nats: (L, B, D) -> (L, B)        (E23)"""
    return nll("bernoulli_nll_forward", BERNOULLI, logits, x)


def bernoulli_nll_grad(dnll: Any, logits: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """nll (L, B) and dlogits (L, B, D) in one pass over the logits       (E23, E24)"""
    return nll_gradients("bernoulli_nll_grad", BERNOULLI, dnll, logits, x)[:2]


def bernoulli_nll_backward(dnll: Any, logits: Any, x: Any) -> np.ndarray:
    """dlogits = dnll (s(logit) - x)                                      (E24)"""
    return nll_gradients("bernoulli_nll_backward", BERNOULLI, dnll, logits, x)[1]


add("bernoulli", BERNOULLI, bernoulli_nll_forward, bernoulli_nll_backward, bernoulli_nll_grad)


def _gaussian(y, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    for i in range(len(y)):
        r = y[i] - x[i]
        terms[i] = r * r
        y[i] = scale * r


GAUSSIAN = Likelihood(loop("gaussian_loop", _gaussian), weight=0.5, constant=LOG_2PI)


def gaussian_nll_forward(mean: Any, x: Any, logc: Any) -> np.ndarray:
    """½ [D (log 2π + log c) + ‖x - mean‖² / c], in nats                  (E20)"""
    return nll("gaussian_nll_forward", GAUSSIAN, mean, x, logc)


def gaussian_nll_grad(
    dnll: Any, mean: Any, x: Any, logc: Any
) -> tuple[np.ndarray, np.ndarray, Any]:
    """nll (L, B), dmean (L, B, D) and dlogc () in one pass               (E20, E21)"""
    return nll_gradients("gaussian_nll_grad", GAUSSIAN, dnll, mean, x, logc)


def gaussian_nll_backward(dnll: Any, mean: Any, x: Any, logc: Any) -> tuple[np.ndarray, Any]:
    """dmean (L, B, D) and dlogc ()                                       (E21)"""
    return nll_gradients("gaussian_nll_backward", GAUSSIAN, dnll, mean, x, logc)[1:]


add("gaussian", GAUSSIAN, gaussian_nll_forward, gaussian_nll_backward, gaussian_nll_grad)


def _laplace(y, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    for i in range(len(y)):
        r = y[i] - x[i]
        terms[i] = m.magnitude(r)
        side = f32(1) if r > f32(0) else r * f32(0)  # a NaN stays one
        y[i] = scale * (f32(-1) if r < f32(0) else side)


LAPLACE = Likelihood(loop("laplace_loop", _laplace), constant=math.log(2))


def laplace_nll_forward(mean: Any, x: Any, logb: Any) -> np.ndarray:
    """D (log 2 + log b) + Σ_d |x_d - mean_d| / b, in nats                (E53)"""
    return nll("laplace_nll_forward", LAPLACE, mean, x, logb)


def laplace_nll_backward(dnll: Any, mean: Any, x: Any, logb: Any) -> tuple[np.ndarray, Any]:
    """dmean = dnll sign(mean - x) / b, and dlogb ()                      (E53)"""
    return nll_gradients("laplace_nll_backward", LAPLACE, dnll, mean, x, logb)[1:]


add("laplace", LAPLACE, laplace_nll_forward, laplace_nll_backward)
