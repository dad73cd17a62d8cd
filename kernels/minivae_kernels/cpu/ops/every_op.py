"""All ops that this folder serves, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from minivae_kernels.cpu.threads.count import set_threads

# Each holds OPS: the ops it serves.
MODULES = (
    "activations", "dense", "dense_backward", "latent", "likelihoods", "row_likelihoods",
    "optimisers", "random",
)  # fmt: skip


def every_op(threads: int | None) -> dict[str, Callable[..., Any]]:
    """Every op by its name, for as many threads; None takes one for every core allowed."""
    set_threads(threads)
    found: dict[str, Callable[..., Any]] = {}
    for module in MODULES:
        served = importlib.import_module(f"{__package__}.{module}").OPS
        found.update((op.__name__, op) for op in served)
    return found
