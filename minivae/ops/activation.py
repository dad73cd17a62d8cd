"""Elementwise functions and their derivatives, stable in both tails and safe for complex numbers.

Each one branches on the sign of the *real* part. `abs`, `sign` and `maximum` would drop the
imaginary part without a word, and with it the derivative that a complex step carries there.
"""

from __future__ import annotations

import math

import numpy as np

from minivae.types import Array

ROOT_OF_TWO_OVER_PI, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715
ROOT_OF_TWO_PI = math.sqrt(2 * math.pi)
# Terms of the continued fraction at 3: for double precision, and for 50 digits.
TERMS, TERMS_50 = 60, 250
LEAK = 0.01  # of a negative input, through the leaky ReLU


def _minus_abs(x: Array) -> Array:
    """-|x|, written so that an analytic function stays analytic on either side of zero."""
    return np.where(x.real > 0, -x, x)


def relu_forward(x: Array) -> Array:
    """y = max(x, 0), any shape; a NaN stays a NaN                       (E7)"""
    return np.where(x.real <= 0, 0, x)


def relu_backward(dy: Array, x: Array) -> Array:
    """dx = dy where x > 0, else 0; at the kink itself the derivative is taken as 0   (E7)"""
    return np.where(x.real <= 0, 0, dy)


def tanh_forward(x: Array) -> Array:
    """y = tanh x, any shape                                             (E8)"""
    return np.tanh(x)


def tanh_backward(dy: Array, x: Array) -> Array:
    """dx = dy / cosh² x                                                 (E8)

    Written as 4t / (1 + t)² with t = exp(-2|x|): it neither overflows nor cancels, whereas
    1 - tanh² x has no correct digit left beyond |x| = 19 in float64.
    """
    t = np.exp(2 * _minus_abs(x))
    return dy * (4 * t / ((1 + t) * (1 + t)))


def sigmoid_forward(x: Array) -> Array:
    """s(x) = 1 / (1 + exp(-x)), any shape; small values keep their digits   (E22)"""
    t = np.exp(_minus_abs(x))
    return np.where(x.real > 0, 1, t) / (1 + t)


def sigmoid_backward(dy: Array, x: Array) -> Array:
    """dx = dy s(x) s(-x)                                                (E22)"""
    t = np.exp(_minus_abs(x))
    return dy * (t / ((1 + t) * (1 + t)))


def softplus_forward(x: Array) -> Array:
    """log(1 + exp x) = max(x, 0) + log1p(exp(-|x|)), any shape          (E22)"""
    return np.where(x.real > 0, x, 0) + np.log1p(np.exp(_minus_abs(x)))


def softplus_backward(dy: Array, x: Array) -> Array:
    """dx = dy s(x), with the two-sided sigmoid                          (E22)"""
    return dy * sigmoid_forward(x)


def leaky_relu_forward(x: Array) -> Array:
    """y = x where x > 0, else x / 100, any shape                        (E47)"""
    return np.where(x.real <= 0, LEAK * x, x)


def leaky_relu_backward(dy: Array, x: Array) -> Array:
    """dx = dy where x > 0, else dy / 100; at the kink itself the latter   (E47)"""
    return np.where(x.real <= 0, LEAK * dy, dy)


def elu_forward(x: Array) -> Array:
    """y = x where x > 0, else exp(x) - 1, any shape                     (E48)"""
    return np.where(x.real <= 0, np.expm1(_below_zero(x)), x)


def elu_backward(dy: Array, x: Array) -> Array:
    """dx = dy where x > 0, else dy exp(x)                               (E48)"""
    return np.where(x.real <= 0, dy * np.exp(_below_zero(x)), dy)


def _below_zero(x: Array) -> Array:
    """min(x, 0), so that the branch that is not taken cannot overflow."""
    return np.where(x.real <= 0, x, 0 * x)


def silu_forward(x: Array) -> Array:
    """y = x s(x), any shape; s is the sigmoid                           (E49)"""
    return x * sigmoid_forward(x)


def silu_backward(dy: Array, x: Array) -> Array:
    """dx = dy s(x) (1 + x s(-x))                                        (E49)"""
    return dy * (sigmoid_forward(x) * (1 + x * sigmoid_forward(-x)))


def gelu_forward(x: Array) -> Array:
    """y = x Φ(x), any shape; Φ is the standard normal's distribution function   (E50)

    The exact form, by the error function; `gelu_tanh_forward` is the common approximation.
    """
    return x * _normal_cdf(x)


def gelu_backward(dy: Array, x: Array) -> Array:
    """dx = dy (Φ(x) + x φ(x)), φ the standard normal's density          (E50)"""
    return dy * (_normal_cdf(x) + x * _normal_pdf(x))


def _normal_pdf(x: Array) -> Array:
    return np.exp(-0.5 * (x * x)) / ROOT_OF_TWO_PI


def _normal_cdf(x: Array) -> Array:
    """Φ(x), for every kind of number: a series inside ±3, a continued fraction outside.

    Φ(x) = ½ + φ(x) Σ_n x^(2n+1) / (2n+1)!!, whose terms have one sign, so that the sum does not
    cancel; ½ and the sum do where x < 0, by a factor of 370 at -3, where 12 of 16 digits are left.
    And 1 - Φ(x) = φ(x) / (x + 1 / (x + 2 / (x + 3 / …))), which keeps the digits of a tail
    (Abramowitz & Stegun 1964, 26.2.11 and 26.2.14).
    """
    size = -_minus_abs(x)
    near = size.real < 3
    inner, outer = np.where(near, x, 0 * x), np.where(near, 3 + 0 * x, size)
    term = total = inner
    for n in range(3, 600, 2):
        term = term * (inner * inner) / n
        if not (total + term != total).any():
            break
        total = total + term
    fraction = outer
    for n in range(TERMS_50 if x.dtype == object else TERMS, 0, -1):
        fraction = outer + n / fraction
    tail = _normal_pdf(outer) / fraction
    return np.where(near, 0.5 + _normal_pdf(inner) * total, np.where(x.real > 0, 1 - tail, tail))


def gelu_tanh_forward(x: Array) -> Array:
    """y = x s(2u), u = √(2/π) (x + 0.044715 x³), any shape: ½ (1 + tanh u) is s(2u)   (E51)"""
    return x * sigmoid_forward(2 * _gelu_slope(x))


def gelu_tanh_backward(dy: Array, x: Array) -> Array:
    """dx = dy (s(2u) + 2 x s(2u) s(-2u) du/dx)                          (E51)"""
    u = 2 * _gelu_slope(x)
    du = 2 * ROOT_OF_TWO_OVER_PI * (1 + 3 * (GELU_CUBIC * (x * x)))
    s = sigmoid_forward(u)
    return dy * (s + x * (s * sigmoid_forward(-u)) * du)


def _gelu_slope(x: Array) -> Array:
    return ROOT_OF_TWO_OVER_PI * (x + GELU_CUBIC * (x * x * x))
