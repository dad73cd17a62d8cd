"""Elementwise ops and their derivatives: one compiled loop each, shared among the threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.ops import generic
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.activations import LOGVAR_BOUND
from minivae_kernels.cpu.ops.arguments import flat, fresh, precision
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.pool import run

f32 = np.float32
(RELU, TANH, SIGMOID, SOFTPLUS, BOUND, RELU_D, TANH_D, SIGMOID_D, SOFTPLUS_D, BOUND_D,
 TANH_OUT_D) = range(11)  # fmt: skip


@inner
def unary_part(op, x, y):
    """y = op(x) over a stretch."""
    if op == RELU:
        for i in range(len(x)):
            y[i] = m.kept_where_positive(x[i], x[i])
    elif op == TANH:
        for i in range(len(x)):
            y[i] = m.tanh(x[i])
    elif op == SIGMOID:
        for i in range(len(x)):
            y[i] = m.sigmoid(x[i])
    elif op == SOFTPLUS:
        for i in range(len(x)):
            y[i] = m.softplus(x[i])
    elif op == BOUND:
        for i in range(len(x)):
            high = LOGVAR_BOUND if x[i] > LOGVAR_BOUND else x[i]
            y[i] = -LOGVAR_BOUND if high < -LOGVAR_BOUND else high


@inner
def binary_part(op, dy, x, dx):
    """dx = dy times the derivative at x (TANH_OUT_D: read off the output x)."""
    if op == RELU_D:
        for i in range(len(x)):
            dx[i] = m.kept_where_positive(dy[i], x[i])
    elif op == TANH_D:
        for i in range(len(x)):
            t = m.exp(f32(-2) * m.magnitude(x[i]))
            u = f32(1) + t
            dx[i] = dy[i] * (f32(4) * t / (u * u))
    elif op == SIGMOID_D:
        for i in range(len(x)):
            t = m.exp(-m.magnitude(x[i]))
            u = f32(1) + t
            dx[i] = dy[i] * (t / (u * u))
    elif op == SOFTPLUS_D:
        for i in range(len(x)):
            dx[i] = dy[i] * m.sigmoid(x[i])
    elif op == BOUND_D:
        for i in range(len(x)):
            dx[i] = m.kept_inside(dy[i], x[i], LOGVAR_BOUND)
    elif op == TANH_OUT_D:
        for i in range(len(x)):
            dx[i] = dy[i] * ((f32(1) - x[i]) * (f32(1) + x[i]))


@entry
def unary_kernel(member, team, sync, op, x, y):
    """One member's stretch of a function."""
    if barrier(sync, team):
        low, high = share(len(x), member, team)
        unary_part(op, x[low:high], y[low:high])


@entry
def binary_kernel(member, team, sync, op, dy, x, dx):
    """One member's stretch of a derivative."""
    if barrier(sync, team):
        low, high = share(len(x), member, team)
        binary_part(op, dy[low:high], x[low:high], dx[low:high])


def _unary(op: str, code: int, x: Any) -> np.ndarray:
    x = np.asarray(x)
    if precision(op, x) is not np.float32:
        return generic.unary(op, x)
    y = fresh(x.shape)
    run(unary_kernel, team_for(x.size), code, flat(x), y.reshape(-1))
    return y


def _binary(op: str, code: int, dy: Any, x: Any) -> np.ndarray:
    if precision(op, dy, x) is not np.float32:
        return generic.binary(op, dy, x)
    dy, x = np.broadcast_arrays(dy, x)
    dx = fresh(x.shape)
    run(binary_kernel, team_for(x.size), code, flat(dy), flat(x), dx.reshape(-1))
    return dx


def relu_forward(x: Any) -> np.ndarray:
    """y = max(x, 0)                                                     (E7)"""
    return _unary("relu_forward", RELU, x)


def relu_backward(dy: Any, x: Any) -> np.ndarray:
    """dx = dy where x > 0, else 0                                       (E7)"""
    return _binary("relu_backward", RELU_D, dy, x)


def tanh_forward(x: Any) -> np.ndarray:
    """y = tanh x                                                        (E8)"""
    return _unary("tanh_forward", TANH, x)


def tanh_backward(dy: Any, x: Any) -> np.ndarray:
    """dx = dy / cosh² x                                                 (E8)"""
    return _binary("tanh_backward", TANH_D, dy, x)


def sigmoid_forward(x: Any) -> np.ndarray:
    """s(x) = 1 / (1 + exp(-x))                                          (E22)"""
    return _unary("sigmoid_forward", SIGMOID, x)


def sigmoid_backward(dy: Any, x: Any) -> np.ndarray:
    """dx = dy s(x) s(-x)                                                (E22)"""
    return _binary("sigmoid_backward", SIGMOID_D, dy, x)


def softplus_forward(x: Any) -> np.ndarray:
    """log(1 + exp x)                                                    (E22)"""
    return _unary("softplus_forward", SOFTPLUS, x)


def softplus_backward(dy: Any, x: Any) -> np.ndarray:
    """dx = dy s(x)                                                      (E22)"""
    return _binary("softplus_backward", SOFTPLUS_D, dy, x)


def bound_logvar_forward(logvar: Any) -> np.ndarray:
    """min(max(logvar, -40), 40)                                         (E25)"""
    return _unary("bound_logvar_forward", BOUND, logvar)


def bound_logvar_backward(dbounded: Any, logvar: Any) -> np.ndarray:
    """The gradient inside the bound, 0 outside it                       (E25)"""
    return _binary("bound_logvar_backward", BOUND_D, dbounded, logvar)


def dense_relu_backward(dy: Any, y: Any) -> np.ndarray:
    """The gradient before the ReLU, read off its output                 (E7)"""
    return _binary("dense_relu_backward", RELU_D, dy, y)


def dense_tanh_backward(dy: Any, y: Any) -> np.ndarray:
    """dy (1 - y)(1 + y)                                                 (E8)"""
    return _binary("dense_tanh_backward", TANH_OUT_D, dy, y)
