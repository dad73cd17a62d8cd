"""JAX: the rule of a custom_vjp or custom_jvp, held to the function it belongs to."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from minivae.types import kind_of, leaves, transform
from minivae.verify import Report, check


def check_jax(function: Any, *args: Any, second_order: bool = False, **options: Any) -> Report:
    """jax.vjp(function) against differences and complex steps of function itself, in float64.

    `args` are arrays or nested containers of them. With `second_order`, the same for the gradient
    of a sum of the outputs.
    """
    try:
        jax = importlib.import_module("jax")
    except ImportError as error:
        raise ImportError("check_jax needs JAX: pip install 'minivae[adapters]'") from error
    home = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    wide = home.enable_x64
    call = function
    if second_order:
        places = tuple(i for i, v in enumerate(args) if is_float(v))

        def call(*values: Any) -> Any:
            weighted = lambda *v: total(jax, function(*v))  # noqa: E731
            return jax.grad(weighted, argnums=places)(*values)

    def forward(*values: Any) -> Any:
        with wide(True):
            y = call(*plain(values))
            return transform(y, np.asarray), values

    def backward(dy: Any, values: Any) -> Any:
        with wide(True):
            _, pull = jax.vjp(call, *plain(values))
            found = transform(pull(dy), np.array)
        return tuple(g if is_float(v) else None for g, v in zip(found, values, strict=True))

    options.setdefault("name", getattr(function, "__name__", "function"))
    names = options.pop("names", None) or [f"arg{i}" for i in range(len(args))]
    point = [transform(a, as_array) for a in args]
    return check(forward, backward, point, names=names, **options)


def as_array(value: Any) -> Any:
    """A device's array as NumPy's; anything else as it is."""
    return np.array(value) if hasattr(value, "shape") else value


def plain(values: Any) -> Any:
    """Nested containers with plain NumPy arrays in place of a device's."""
    return transform(tuple(values), lambda v: np.asarray(v) if hasattr(v, "shape") else v)


def is_float(value: Any) -> bool:
    """Whether an argument holds floats to differentiate by."""
    return any(kind_of(as_array(leaf)) == "float" for _, leaf in leaves(value))


def total(jax: Any, y: Any) -> Any:
    """A sum of all outputs with weights that no mistake cancels in."""
    parts = jax.tree_util.tree_leaves(y)
    weights = [jax.numpy.cos(1.0 * jax.numpy.arange(p.size)).reshape(p.shape) for p in parts]
    return sum((w * p).sum() for w, p in zip(weights, parts, strict=True))
