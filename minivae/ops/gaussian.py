"""The divergence of two Gaussians with full covariances, in closed form."""

from __future__ import annotations

import numpy as np

from minivae.types import Array


def _inverse_and_logdet(matrix: Array) -> tuple[Array, Array]:
    """The inverse and log-determinant of a positive-definite (n, n) matrix, by Gauss–Jordan.

    Written out because LAPACK knows neither 50-digit numbers nor, in its log-determinant,
    the imaginary part of a complex step. No pivoting: a positive-definite matrix needs none.
    """
    a = 1 * matrix
    inverse = np.zeros_like(a)
    np.fill_diagonal(inverse, 1)
    logdet = 0 * a[0, 0]
    for k in range(len(a)):
        pivot = a[k, k]
        if not pivot.real > 0:
            raise ValueError("covariance is not positive definite")
        logdet = logdet + np.log(pivot)
        a[k], inverse[k] = a[k] / pivot, inverse[k] / pivot
        for i in range(len(a)):
            if i != k:
                factor = a[i, k]
                a[i], inverse[i] = a[i] - factor * a[k], inverse[i] - factor * inverse[k]
    return inverse, logdet


def gaussian_kl_forward(mu0: Array, cov0: Array, mu1: Array, cov1: Array) -> Array:
    """KL(N(μ₀, Σ₀) ‖ N(μ₁, Σ₁)) in nats, a scalar                        (E14)

    ½ [tr(Σ₁⁻¹ Σ₀) + (μ₁ - μ₀)ᵀ Σ₁⁻¹ (μ₁ - μ₀) - n + log |Σ₁| - log |Σ₀|]

    mu0, mu1 (n,), cov0, cov1 (n, n). Raises ValueError if a covariance is not positive definite.
    """
    precision1, logdet1 = _inverse_and_logdet(cov1)
    _, logdet0 = _inverse_and_logdet(cov0)
    d = mu1 - mu0
    trace = (precision1 * cov0.T).sum()
    return 0.5 * (trace + d @ precision1 @ d - len(d) + logdet1 - logdet0)


def gaussian_kl_backward(
    dkl: Array, mu0: Array, cov0: Array, mu1: Array, cov1: Array
) -> tuple[Array, Array, Array, Array]:
    """The gradients of E14; each entry of a covariance counts as a variable of its own   (E14)

    dkl () -> dmu0 (n,), dcov0 (n, n), dmu1 (n,), dcov1 (n, n).
    """
    precision1, _ = _inverse_and_logdet(cov1)
    precision0, _ = _inverse_and_logdet(cov0)
    d = mu1 - mu0
    dmu1 = dkl * 0.5 * ((precision1 + precision1.T) @ d)
    dcov0 = dkl * 0.5 * (precision1 - precision0).T
    spread = cov0 + d[:, None] * d
    dcov1 = dkl * 0.5 * (precision1 - precision1 @ spread @ precision1).T
    return -dmu1, dcov0, dmu1, dcov1
