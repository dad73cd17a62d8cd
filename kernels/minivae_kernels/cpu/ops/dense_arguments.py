"""What the dense ops share, whatever multiplies: checked arguments, three forms of the forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae_kernels.cpu.ops.activations import ACTIVATIONS
from minivae_kernels.cpu.ops.arguments import float32_only, matrix


def forward_arguments(op: str, x: Any, W: Any, b: Any) -> tuple[Any, Any, Any]:
    """x (B, I), W (I, O) and b (O,); ValueError where the shapes do not fit together."""
    W = matrix(op, "W", W, (None, None))
    x, b = matrix(op, "x", x, (None, len(W))), matrix(op, "b", b, (W.shape[1],))
    float32_only(op, x, W, b)
    return x, W, b


def input_arguments(dy: Any, W: Any) -> tuple[Any, Any]:
    """dy (B, O) and W (I, O) of dense_backward_input, likewise."""
    op = "dense_backward_input"
    W = matrix(op, "W", W, (None, None))
    dy = matrix(op, "dy", dy, (None, W.shape[1]))
    float32_only(op, dy, W)
    return dy, W


def params_arguments(dy: Any, x: Any) -> tuple[Any, Any]:
    """dy (B, O) and x (B, I) of dense_backward_params, likewise."""
    op = "dense_backward_params"
    dy = matrix(op, "dy", dy, (None, None))
    x = matrix(op, "x", x, (len(dy), None))
    float32_only(op, dy, x)
    return dy, x


def forward_ops(product: Callable[..., np.ndarray]) -> tuple[Any, Any, Any]:
    """dense_forward and its two fused forms by product(x, W, b, an activation's address or 0)."""

    def dense_forward(x: Any, W: Any, b: Any) -> np.ndarray:
        """y = x W + b; x (B, I), W (I, O), b (O,) -> y (B, O)                (E5)"""
        return product(*forward_arguments("dense_forward", x, W, b), 0)

    def dense_relu_forward(x: Any, W: Any, b: Any) -> np.ndarray:
        """y = relu(x W + b)                                                  (E5, E7)"""
        given = forward_arguments("dense_relu_forward", x, W, b)
        return product(*given, ACTIVATIONS["relu"].op_forward.address)

    def dense_tanh_forward(x: Any, W: Any, b: Any) -> np.ndarray:
        """y = tanh(x W + b)                                                  (E5, E8)"""
        given = forward_arguments("dense_tanh_forward", x, W, b)
        return product(*given, ACTIVATIONS["tanh"].op_forward.address)

    return dense_forward, dense_relu_forward, dense_tanh_forward
