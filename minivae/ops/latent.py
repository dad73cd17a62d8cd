"""The stochastic layer: a bounded log-variance, the reparameterised draw, its price in nats."""

from __future__ import annotations

import numpy as np

from minivae.types import Array

# exp(±40) and its square are finite in float32, and no useful posterior has a standard
# deviation below 2e-9 or above 4e8: the bound is a guard rail, not part of the model.
LOGVAR_BOUND = 40.0
TERMS = 20  # of the series of exp: 0.1^20 / 20! is beyond fifty digits' needs


def bound_logvar_forward(logvar: Array) -> Array:
    """min(max(logvar, -40), 40), any shape                              (E25)"""
    above, below = logvar.real > LOGVAR_BOUND, logvar.real < -LOGVAR_BOUND
    return np.where(above, LOGVAR_BOUND, np.where(below, -LOGVAR_BOUND, logvar))


def bound_logvar_backward(dbounded: Array, logvar: Array) -> Array:
    """The gradient inside the bound, 0 outside it                       (E25)"""
    outside = (logvar.real > LOGVAR_BOUND) | (logvar.real < -LOGVAR_BOUND)
    return np.where(outside, 0, dbounded)


def reparameterise_forward(mu: Array, logvar: Array, eps: Array) -> Array:
    """z = μ + σ ε with σ = exp(logvar / 2)                              (E26)

    mu, logvar (B, J), eps (L, B, J) drawn from N(0, I) -> z (L, B, J).
    Kingma & Welling 2014, section 2.4. exp(logvar) is the variance; used here in its
    place, every gradient check would still pass, and the model would be another one.
    """
    return mu + np.exp(0.5 * logvar) * eps


def reparameterise_backward(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """dμ = Σ_l dz and dlogvar = Σ_l dz ε σ / 2                          (E27)

    dz (L, B, J), logvar (B, J), eps (L, B, J) -> dmu (B, J), dlogvar (B, J).
    """
    dmu = dz.sum(axis=0)
    dlogvar = (dz * eps).sum(axis=0) * (0.5 * np.exp(0.5 * logvar))
    return dmu, dlogvar


def kl_forward(mu: Array, logvar: Array) -> Array:
    """KL(N(μ, σ²) ‖ N(0, 1)) = (μ² + σ² - 1 - log σ²) / 2, in nats       (E15)

    mu, logvar (B, J) -> kl (B, J), one figure per datum and dimension. Near logvar = 0, where
    unused dimensions live, a series keeps the digits. Kingma & Welling 2014, appendix B.
    """
    return 0.5 * (mu * mu + _exp_remainder(logvar))


def _exp_remainder(x: Array) -> Array:
    """exp(x) - 1 - x, by its series x²/2 + x³/6 + … where |x| < 0.1; any shape"""
    near = (x.real < 0.1) & (x.real > -0.1)
    small = np.where(near, x, 0 * x)
    series = 1 + small / TERMS
    for n in range(TERMS - 1, 2, -1):
        series = 1 + series * small / n
    return np.where(near, series * (small * small) / 2, np.expm1(x) - x)


def kl_backward(dkl: Array, mu: Array, logvar: Array) -> tuple[Array, Array]:
    """dμ = dkl μ and dlogvar = dkl (σ² - 1) / 2                         (E16)

    dkl, mu, logvar (B, J) -> dmu (B, J), dlogvar (B, J).
    """
    return dkl * mu, dkl * (0.5 * np.expm1(logvar))


def free_bits_forward(kl_mean: Array, floor: float) -> Array:
    """max(floor, mean KL of a dimension): below the floor, KL is free    (E31)

    kl_mean (J,) and floor in nats -> (J,). Kingma et al. 2016, appendix C.8.
    """
    return np.where(kl_mean.real < floor, floor, kl_mean)


def free_bits_backward(dout: Array, kl_mean: Array, floor: float) -> Array:
    """The gradient where the KL is above its floor, 0 below             (E31)"""
    return np.where(kl_mean.real < floor, 0, dout)
