"""The gamma function's logarithm and its rise over a count, for every kind of number."""

from __future__ import annotations

import math

import numpy as np

from minivae.types import Array

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)

# Stirling: log Γ(y) = (y - ½) log y - y + ½ log 2π + S(y), S(y) = Σ_k STIRLING[k] / y^(2k+1).
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
SHIFT = 10  # where seven terms give double precision


def log_gamma(y: Array) -> Array:
    """log Γ(y) for y > 0, any shape, by Stirling's series at y + 10 (Abramowitz & Stegun 6.1.40)

    Γ(y) is Γ(y + 10) over y (y + 1) … (y + 9), a product that float32 has no room for beyond
    y = 7,000: each factor is taken as a share of y + 10, whose power joins the series.
    """
    z = y + SHIFT
    shares = y / z
    for k in range(1, SHIFT):
        shares = shares * ((y + k) / z)
    return (y - 0.5) * np.log(z) - z + HALF_LOG_2PI + _stirling(z) - np.log(shares)


def log_gamma_rise(r: Array, x: Array) -> Array:
    """log Γ(r + x) - log Γ(r), r > 0 and x >= 0, any shapes

    Both by Stirling's series at z = r + 10, their large parts subtracted on paper: no digits are
    lost where r is far above x.
    """
    z = r + SHIFT
    rise = (z - 0.5) * np.log1p(x / z) + x * np.log(z + x) - x + _stirling(z + x) - _stirling(z)
    for k in range(SHIFT):
        rise = rise - np.log1p(x / (r + k))
    return rise


def log_gamma_rise_slope(r: Array, x: Array) -> Array:
    """ψ(r + x) - ψ(r), the derivative of `log_gamma_rise` in r term by term, each above 0"""
    z = r + SHIFT
    slope = np.log1p(x / z) + 0.5 * (x / z / (z + x)) + _stirling_fall(z) - _stirling_fall(z + x)
    for k in range(SHIFT):
        slope = slope + x / (r + k) / (r + k + x)
    return slope


def _stirling(z: Array) -> Array:
    """S(z), what Stirling's formula leaves out, any shape"""
    square, series = 1 / z / z, 0 / z
    for coefficient in STIRLING[::-1]:
        series = series * square + coefficient
    return series / z


def _stirling_fall(z: Array) -> Array:
    """-S'(z) = Σ_k (2k+1) STIRLING[k] / z^(2k+2), any shape"""
    square, series = 1 / z / z, 0 / z
    for k in range(len(STIRLING), 0, -1):
        coefficient = STIRLING[k - 1] + 0 * z  # in the precision of z before it is multiplied
        series = series * square + (2 * k - 1) * coefficient
    return series * square
