"""The checker for passes written otherwise: classes, PyTorch, JAX, kernels, second derivatives.

Each adapter turns what it is handed into a forward and a backward for `minivae.verify.check`, takes
check's options, and returns its report. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minivae.adapters.kernels import check_hvp, check_kernel
from minivae.adapters.layers import check_layer
from minivae.verify import Report, check

__all__ = [
    "assert_gradients",
    "check_hvp",
    "check_jax",
    "check_kernel",
    "check_layer",
    "check_torch",
]


def assert_gradients(
    forward: Callable[..., Any], backward: Callable[..., Any], inputs: Any, **options: Any
) -> Report:
    """`check`, for a test: raises GradientError (an AssertionError) with the report's lines."""
    report = check(forward, backward, inputs, **options)
    report.raise_if_failed()
    return report


def check_torch(target: Any, *tensors: Any, second_order: bool = False, **options: Any) -> Report:
    """A torch.autograd.Function, a module or a function of tensors: see `adapters.torch_pass`.

    Raises ImportError, naming the extra, where PyTorch is not installed.
    """
    from minivae.adapters import torch_pass

    return torch_pass.check_torch(target, *tensors, second_order=second_order, **options)


def check_jax(function: Any, *args: Any, second_order: bool = False, **options: Any) -> Report:
    """A jax.custom_vjp or custom_jvp: its rule against its function; see `adapters.jax_pass`.

    Raises ImportError, naming the extra, where JAX is not installed.
    """
    from minivae.adapters import jax_pass

    return jax_pass.check_jax(function, *args, second_order=second_order, **options)
