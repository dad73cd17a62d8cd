"""Launchers for the activations, and the codes by which the fused step knows them."""

from __future__ import annotations

from collections.abc import Callable
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
    """An op `<name>_forward(x)` and `<name>_backward(dy, x)` for every activation in the table."""

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


def _forward(kernel: str) -> Callable[[ActivationOps, Array], Array]:
    def op(self: ActivationOps, x: Array) -> Array:
        return self._map(kernel, x)

    return op


def _backward(kernel: str) -> Callable[[ActivationOps, Array, Array], Array]:
    def op(self: ActivationOps, dy: Array, x: Array) -> Array:
        return self._map_two(kernel, dy, x)

    return op


for _name in ACTIVATION_CODES:
    for _kernel, _op in ((f"{_name}_forward", _forward), (f"{_name}_backward", _backward)):
        _method = _op(_kernel)
        _method.__name__, _method.__qualname__ = _kernel, f"ActivationOps.{_kernel}"
        _method.__doc__ = "The kernel of this name; its formula stands in cuda/activation.cuh."
        setattr(ActivationOps, _kernel, _method)
