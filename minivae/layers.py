"""Stacks of dense layers, forward and backward, over named parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

from minivae.parts import ACTIVATIONS
from minivae.parts.lookup import kernel
from minivae.types import Array

Parameters = dict[str, Array]


class HiddenCache(NamedTuple):
    """What one hidden layer's backward pass needs: its input x (B, I) and a = x W + b (B, O)."""

    x: Array
    a: Array


def linear_forward(K: Any, p: Parameters, name: str, x: Array) -> Array:
    """x W + b with the parameters called `name`: (B, I) -> (B, O)        (E5)"""
    return K.dense_forward(x, p[f"{name}.W"], p[f"{name}.b"])


def linear_backward(K: Any, g: Parameters, name: str, dy: Array, x: Array) -> None:
    """Write the gradients of the layer called `name` into g              (E6)"""
    g[f"{name}.W"], g[f"{name}.b"] = K.dense_backward_params(dy, x)


def activate(K: Any, kind: str, a: Array) -> Array:
    """The activation of that name, of every number of a                  (E7, E8)"""
    return kernel(K, ACTIVATIONS[kind].forward)(a)


def activate_backward(K: Any, kind: str, dh: Array, a: Array) -> Array:
    """Its backward pass                                                  (E7, E8)"""
    return kernel(K, ACTIVATIONS[kind].backward)(dh, a)


def mlp_forward(
    K: Any, p: Parameters, name: str, x: Array, depth: int, kind: str
) -> tuple[Array, tuple[HiddenCache, ...]]:
    """`depth` hidden layers name.0, name.1, …: (B, I) -> (B, H), caches  (E5, E7, E8)"""
    caches = []
    for i in range(depth):
        a = linear_forward(K, p, f"{name}.{i}", x)
        caches.append(HiddenCache(x, a))
        x = activate(K, kind, a)
    return x, tuple(caches)


def hidden_layers(K: Any, p: Parameters, name: str, x: Array, depth: int, kind: str) -> Array:
    """What `mlp_forward` gives, where no backward pass follows: (B, I) -> (B, H)

    Layer and activation are one op where the table of ops has it: one pass over memory less.
    """
    fused = ACTIVATIONS[kind].dense
    for i in range(depth):
        if fused is None:
            x = activate(K, kind, linear_forward(K, p, f"{name}.{i}", x))
        else:
            x = kernel(K, fused)(x, p[f"{name}.{i}.W"], p[f"{name}.{i}.b"])
    return x


def mlp_backward(
    K: Any,
    p: Parameters,
    g: Parameters,
    name: str,
    dh: Array,
    caches: tuple[HiddenCache, ...],
    kind: str,
    *,
    input_gradient: bool,
) -> Array:
    """The layers of `mlp_forward`, last to first; gradients go into g      (E6, E7, E8)

    Returns the gradient of the stack's input. Without `input_gradient` it stops at the first
    layer's da: the data need no gradient, and that saves one of the largest products.
    """
    for i in reversed(range(len(caches))):
        x, a = caches[i]
        da = activate_backward(K, kind, dh, a)
        linear_backward(K, g, f"{name}.{i}", da, x)
        if i > 0 or input_gradient:
            dh = K.dense_backward_input(da, p[f"{name}.{i}.W"])
    return dh
