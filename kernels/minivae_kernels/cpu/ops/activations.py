"""The activations: each is a scalar function and its gradient, and one row of ACTIVATIONS.

A gradient takes (dy, x) or (dy, y): it is read off the input x where it must be, and off the
output y where that costs only digits of a saturated unit's small gradient, since the training step
then keeps one array a layer, not two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae_kernels.cpu.compile.decorators import inline
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.elementwise import gradient_op, map_op
from minivae_kernels.cpu.ops.loops import Loop, gradient_loop, map_loop

f32 = np.float32


class ActivationLoops(NamedTuple):
    """What is called by address: h = f(a) and da = f'(a) dh, both in place."""

    forward: Loop
    backward: Loop
    reads_input: bool  # whether `backward` takes a; if not, h
    op_forward: Loop  # h = f(a) with the op's bits: what a layer's fused op calls


ACTIVATIONS: dict[str, ActivationLoops] = {}
OPS: list[Callable[..., Any]] = []


def add(
    name: str, forward: Any, backward: Any, from_output: Any = None, op_forward: Any = None,
    work: int = 2,
) -> None:  # fmt: skip
    """Serve f(x) and its gradient g(dy, x) as ops and in the training step, under one name.

    from_output: the gradient as a function of (dy, y), for the step to use instead.
    op_forward: f by a faster formula of other bits, for ops alone. work: of an element of f
    (threads/crew.py).
    """
    f = map_loop(f"{name}_forward", forward)
    g = gradient_loop(f"{name}_backward", backward)
    h = gradient_loop(f"{name}_backward_from_output", from_output) if from_output else g
    o = map_loop(f"{name}_op_forward", op_forward) if op_forward else f
    ACTIVATIONS[name] = ActivationLoops(f, h, from_output is None, o)
    OPS.append(map_op(f"{name}_forward", op_forward or forward, work))
    OPS.append(gradient_op(f"{name}_backward", backward))


@inline
def relu(x):
    """y = max(x, 0)                                                     (E7)"""
    return m.kept_where_positive(x, x)


@inline
def relu_gradient(dy, x):
    """dx = dy where x > 0, else 0                                       (E7)"""
    return m.kept_where_positive(dy, x)


@inline
def relu_gradient_from_output(dy, y):
    """dx = dy where y > 0, which is where x > 0, else 0                   (E7)"""
    return m.kept_where_positive(dy, y)


add("relu", relu, relu_gradient, relu_gradient_from_output, work=1)


@inline
def tanh_gradient(dy, x):
    """dx = dy / cosh² x                                                 (E8)"""
    t = m.exp(f32(-2) * m.magnitude(x))
    u = f32(1) + t
    return dy * (f32(4) * t / (u * u))


@inline
def tanh_gradient_from_output(dy, y):
    """dx = dy (1 - y)(1 + y)                                            (E8)"""
    return dy * ((f32(1) - y) * (f32(1) + y))


add("tanh", m.tanh, tanh_gradient, tanh_gradient_from_output, m.quotient_tanh, work=1)


@inline
def sigmoid_gradient(dy, x):
    """dx = dy s(x) s(-x)                                                (E22)"""
    t = m.exp(-m.magnitude(x))
    u = f32(1) + t
    return dy * (t / (u * u))


@inline
def sigmoid_gradient_from_output(dy, y):
    """dx = dy y (1 - y)                                                 (E22)"""
    return dy * (y * (f32(1) - y))


add("sigmoid", m.sigmoid, sigmoid_gradient, sigmoid_gradient_from_output)


@inline
def softplus_gradient(dy, x):
    """dx = dy s(x)                                                      (E22)"""
    return dy * m.sigmoid(x)


@inline
def softplus_gradient_from_output(dy, y):
    """dx = dy (1 - exp(-y)), which is s(x) with all its digits          (E22)"""
    return dy * -m.expm1(-y)


add("softplus", m.softplus, softplus_gradient, softplus_gradient_from_output)


LEAK = f32(0.01)


@inline
def leaky_relu(x):
    """y = x where x > 0, else x / 100                                   (E47)"""
    return LEAK * x if x <= f32(0) else x


@inline
def leaky_relu_gradient(dy, x):
    """dx = dy where x > 0, else dy / 100                                (E47)"""
    return LEAK * dy if x <= f32(0) else dy


@inline
def leaky_relu_gradient_from_output(dy, y):
    """dx = dy where y > 0, which is where x > 0, else dy / 100            (E47)"""
    return LEAK * dy if y <= f32(0) else dy


add("leaky_relu", leaky_relu, leaky_relu_gradient, leaky_relu_gradient_from_output)


@inline
def elu(x):
    """y = x where x > 0, else exp(x) - 1                                (E48)"""
    below = m.expm1(f32(0) if x > f32(0) else x)
    return x if x > f32(0) else below


@inline
def elu_gradient(dy, x):
    """dx = dy where x > 0, else dy exp(x)                               (E48)"""
    below = m.exp(f32(0) if x > f32(0) else x)
    return dy if x > f32(0) else dy * below


@inline
def elu_gradient_from_output(dy, y):
    """dx = dy where y > 0, else dy (y + 1)                              (E48)"""
    return dy if y > f32(0) else dy * (y + f32(1))


add("elu", elu, elu_gradient, elu_gradient_from_output)


@inline
def silu(x):
    """y = x s(x)                                                        (E49)"""
    return x * m.sigmoid(x)


@inline
def silu_gradient(dy, x):
    """dx = dy s(x) (1 + x s(-x))                                        (E49)"""
    t = m.exp(-m.magnitude(x))
    u = f32(1) + t
    s, rest = (f32(1) if x > f32(0) else t) / u, (t if x > f32(0) else f32(1)) / u
    return dy * (s * (f32(1) + x * rest))


add("silu", silu, silu_gradient)


# Φ(-a) = exp(-a²/2) t P(t), t = 1 / (1 + 0.35 a), for a >= 0: a minimax fit of relative error 3e-8.
TAIL = tuple(
    f32(c)
    for c in (0.13962126207683023, 0.13986426464155707, 0.11981607443188277, 0.10557226900783442,
              -0.023257184053516084, 0.15938219750447802, -0.25589149569204717,
              0.14405527688628142, -0.029162680693316893)
)  # fmt: skip
FAR = f32(15)  # beyond, the tail is 0 in float32
TAIL_SCALE, ROOT_OF_TWO_PI = f32(0.35), f32(2.5066282746310002)


@inline
def _normal(x):
    """The standard normal's distribution function Φ(x) and exp(-x²/2), both tails to the digit."""
    size = m.magnitude(x)
    a = FAR if size > FAR else size
    square = a * a
    lost = m.fma(a, a, -square)  # what the square's rounding took
    e = m.exp(f32(-0.5) * square)
    e = m.fma(f32(-0.5) * lost, e, e)
    t = f32(1) / m.fma(TAIL_SCALE, a, f32(1))
    p = m.fma(m.fma(m.fma(m.fma(TAIL[8], t, TAIL[7]), t, TAIL[6]), t, TAIL[5]), t, TAIL[4])
    p = m.fma(m.fma(m.fma(m.fma(p, t, TAIL[3]), t, TAIL[2]), t, TAIL[1]), t, TAIL[0])
    tail = e * (p * t)
    return (f32(1) - tail if x > f32(0) else tail), e


@inline
def gelu(x):
    """y = x Φ(x)                                                        (E50)"""
    cdf, _ = _normal(x)
    return x * cdf


@inline
def gelu_gradient(dy, x):
    """dx = dy (Φ(x) + x φ(x))                                           (E50)"""
    cdf, e = _normal(x)
    return dy * m.fma(x, e / ROOT_OF_TWO_PI, cdf)


add("gelu", gelu, gelu_gradient)


TWICE_ROOT_OF_TWO_OVER_PI, GELU_CUBIC = f32(1.5957691216057308), f32(0.044715)


@inline
def _bounded(x):
    """x within ±15, where its cube does not overflow and s(2u) is 0 or 1 already."""
    low = -FAR if x < -FAR else x
    return FAR if low > FAR else low


@inline
def gelu_tanh(x):
    """y = x s(2u), u = √(2/π) (x + 0.044715 x³)                         (E51)"""
    b = _bounded(x)
    return x * m.sigmoid(TWICE_ROOT_OF_TWO_OVER_PI * (b + GELU_CUBIC * (b * b * b)))


@inline
def gelu_tanh_gradient(dy, x):
    """dx = dy (s(2u) + 2 x s(2u) s(-2u) du/dx)                          (E51)"""
    b = _bounded(x)
    u = TWICE_ROOT_OF_TWO_OVER_PI * (b + GELU_CUBIC * (b * b * b))
    slope = TWICE_ROOT_OF_TWO_OVER_PI * (f32(1) + f32(3) * (GELU_CUBIC * (b * b)))
    t = m.exp(-m.magnitude(u))
    v = f32(1) + t
    s = (f32(1) if u > f32(0) else t) / v
    return dy * (s + b * (t / (v * v)) * slope)


add("gelu_tanh", gelu_tanh, gelu_tanh_gradient)
