"""Launchers for the activations, and the codes by which the fused step knows them."""

from __future__ import annotations

from typing import Any

from minivae_kernels.gpu import sources
from minivae_kernels.gpu.launcher import Array, Launcher

# The plan's name -> the number in cuda/activation.cuh, where each one's functions stand.
CODES = {
    name.lower(): code for name, code in sources.enumeration("Activation", "activation.cuh").items()
}
ACTIVATION_CODES = {name: code for name, code in CODES.items() if name != "linear"}


def keeps_input(activation: str) -> bool:
    """Whether a layer has to keep what went in: the derivative cannot be read off what came out."""
    return CODES.get(activation, 0) >= CODES["silu"]


class ActivationOps(Launcher):
    """Elementwise functions and their derivatives."""

    def _map(self, kernel: str, x: Any) -> Array:
        real, (x,) = self._floats(kernel, x=x)
        out = self.device.empty(x.shape, real)
        self.walk(kernel, x.size, (x, out, x.size, self.aligned(x, out)), real)
        return out

    def _map_two(self, kernel: str, dy: Any, x: Any, op: str = "") -> Array:
        real, (dy, x) = self._same_shape(op or kernel, dy=dy, x=x)
        out = self.device.empty(x.shape, real)
        self.walk(kernel, x.size, (dy, x, out, x.size, self.aligned(dy, x, out)), real)
        return out

    def relu_forward(self, x: Array) -> Array:
        """y = max(x, 0)                                                  (E7)"""
        return self._map("relu_forward", x)

    def relu_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy where x > 0                                            (E7)"""
        return self._map_two("relu_backward", dy, x)

    def tanh_forward(self, x: Array) -> Array:
        """y = tanh x                                                     (E8)"""
        return self._map("tanh_forward", x)

    def tanh_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy / cosh² x                                              (E8)"""
        return self._map_two("tanh_backward", dy, x)

    def sigmoid_forward(self, x: Array) -> Array:
        """1 / (1 + exp(-x))                                              (E22)"""
        return self._map("sigmoid_forward", x)

    def sigmoid_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy s(x) s(-x)                                             (E22)"""
        return self._map_two("sigmoid_backward", dy, x)

    def softplus_forward(self, x: Array) -> Array:
        """log(1 + exp x)                                                 (E22)"""
        return self._map("softplus_forward", x)

    def softplus_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy s(x)                                                   (E22)"""
        return self._map_two("softplus_backward", dy, x)

    def leaky_relu_forward(self, x: Array) -> Array:
        """y = x where x > 0, else x / 100                                   (E47)"""
        return self._map("leaky_relu_forward", x)

    def leaky_relu_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy where x > 0, else dy / 100                                (E47)"""
        return self._map_two("leaky_relu_backward", dy, x)

    def elu_forward(self, x: Array) -> Array:
        """y = x where x > 0, else exp(x) - 1                                (E48)"""
        return self._map("elu_forward", x)

    def elu_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy where x > 0, else dy exp(x)                               (E48)"""
        return self._map_two("elu_backward", dy, x)

    def silu_forward(self, x: Array) -> Array:
        """y = x s(x)                                                        (E49)"""
        return self._map("silu_forward", x)

    def silu_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy s(x) (1 + x s(-x))                                        (E49)"""
        return self._map_two("silu_backward", dy, x)

    def gelu_forward(self, x: Array) -> Array:
        """y = x Φ(x)                                                        (E50)"""
        return self._map("gelu_forward", x)

    def gelu_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy (Φ(x) + x φ(x))                                           (E50)"""
        return self._map_two("gelu_backward", dy, x)

    def gelu_tanh_forward(self, x: Array) -> Array:
        """y = x s(2u), u = √(2/π) (x + 0.044715 x³)                         (E51)"""
        return self._map("gelu_tanh_forward", x)

    def gelu_tanh_backward(self, dy: Array, x: Array) -> Array:
        """dx = dy (s(2u) + 2 x s(2u) s(-2u) du/dx)                          (E51)"""
        return self._map_two("gelu_tanh_backward", dy, x)
