"""The divergence of two full-covariance Gaussians: small matrices, left to LAPACK in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.ops import generic
from minivae_kernels.cpu.ops.arguments import precision


def gaussian_kl_forward(mu0: Any, cov0: Any, mu1: Any, cov1: Any) -> Any:
    """KL(N(μ₀, Σ₀) ‖ N(μ₁, Σ₁)) in nats, a scalar                        (E14)"""
    kind = precision("gaussian_kl_forward", mu0, cov0, mu1, cov1)
    return kind(generic.gaussian_kl(mu0, cov0, mu1, cov1))


def gaussian_kl_backward(
    dkl: Any, mu0: Any, cov0: Any, mu1: Any, cov1: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """dmu0, dcov0, dmu1, dcov1                                           (E14)"""
    kind = precision("gaussian_kl_backward", dkl, mu0, cov0, mu1, cov1)
    a, b, c, d = generic.gaussian_kl_backward(dkl, mu0, cov0, mu1, cov1)
    return a.astype(kind), b.astype(kind), c.astype(kind), d.astype(kind)
