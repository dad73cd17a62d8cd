"""Compiled code in float32 only, and second derivatives written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.types import Array, transform
from minivae.verify import Report, check


def on_host(value: Any) -> Any:
    """Arrays of a device (CuPy's) as NumPy's; nested containers of them too."""
    return transform(value, lambda v: v.get() if hasattr(v, "__cuda_array_interface__") else v)


def is_float(value: Any) -> bool:
    """Whether a value is a NumPy array of floats."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def check_kernel(
    kernel: Any,
    *inputs: Any,
    reference: Callable[..., Any],
    device: Callable[[Array], Any] | None = None,
    **options: Any,
) -> Report:
    """A gradient kernel in float32 (ctypes, Numba, CuPy) against a float64 forward.

    `kernel(dy, *inputs)` returns one gradient per float input; or `kernel` is a pair (forward,
    backward) as `check` takes it. `reference(*inputs) -> y` is the maths in float64. `inputs` are
    NumPy arrays; `device` moves one to where the kernel wants it (cupy.asarray), and what comes
    back is fetched.
    """
    move = device or (lambda a: a)

    def moved(values: Any) -> list[Any]:
        return [move(v) if isinstance(v, np.ndarray) else v for v in values]

    if isinstance(kernel, tuple):
        own_forward, own_backward = kernel

        def forward(*x: Any) -> Any:
            y, cache = own_forward(*moved(x))
            return on_host(y), cache

        def backward(dy: Any, cache: Any) -> Any:
            return on_host(own_backward(move(np.asarray(dy)), cache))

        return check(forward, backward, list(inputs), reference=reference, **options)
    kind = next((v.dtype for v in inputs if is_float(v)), np.float32)

    def rounded(*x: Any) -> Any:
        wide = [v.astype(np.float64) if is_float(v) else v for v in x]
        return np.asarray(reference(*wide)).astype(kind), x

    def gradients(dy: Any, x: Any) -> Any:
        return on_host(kernel(move(np.asarray(dy)), *moved(x)))

    options.setdefault("name", getattr(kernel, "__name__", "kernel"))
    return check(rounded, gradients, list(inputs), reference=reference, **options)


def check_hvp(
    gradient: Callable[[Any], Any], product: Callable[[Any, Any], Any], x: Any, **options: Any
) -> Report:
    """A Hessian-vector product written by hand: product(x, v) = H(x) v, where gradient(x) is the
    gradient of a scalar. H is symmetric, so the product is the gradient's own backward."""

    def forward(x: Any) -> Any:
        return gradient(x), x

    def backward(v: Any, x: Any) -> Any:
        return product(x, v)

    options.setdefault("name", getattr(product, "__name__", "product"))
    return check(forward, backward, [x], **options)
