"""A dense layer: an affine map of every row of x, and its gradients."""

from __future__ import annotations

from minivae.types import Array


def dense_forward(x: Array, W: Array, b: Array) -> Array:
    """y = x W + b                                                       (E5)

    x (B, I), W (I, O), b (O,) -> y (B, O).
    """
    return x @ W + b


def dense_backward_params(dy: Array, x: Array) -> tuple[Array, Array]:
    """dW = xᵀ dy and db = Σ_n dy                                        (E6)

    dy (B, O), x (B, I) -> dW (I, O), db (O,).
    """
    return x.T @ dy, dy.sum(axis=0)


def dense_backward_input(dy: Array, W: Array) -> Array:
    """dx = dy Wᵀ                                                        (E6)

    dy (B, O), W (I, O) -> dx (B, I). It stands apart from the parameters' gradients because
    the first layer of a network never needs it: nobody asks for the gradient of the data.
    """
    return dy @ W.T
