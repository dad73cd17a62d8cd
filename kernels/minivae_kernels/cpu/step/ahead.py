"""What a first training run needs besides the step's first half, compiled by a helper process.

    python -m minivae_kernels.cpu.step.ahead ACTIVATION LIKELIHOOD DTYPE BINARISE

Every function is compiled by being called as the run will call it, with one number of everything.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import typeof

from minivae_kernels.cpu.compile import helper
from minivae_kernels.cpu.compile.by_address import address_of
from minivae_kernels.cpu.compile.decorators import any_cached
from minivae_kernels.cpu.step.records import Own, Shared

# The entries of the helper: the second half of an update, then what measuring after an epoch
# calls. Nobody else compiles them while it runs.
NAMES = (
    "learn", "gather_kernel", "uniforms_kernel", "binarise_kernel", "forward_kernel", "map_ufunc",
    "normals_kernel", "draw_ufunc", "price_ufunc", "output_nll_kernel",
)  # fmt: skip


def compile_beside(plan: Any, data: np.ndarray) -> None:
    """Start the helper where a run will have to compile."""
    if not any_cached("train"):
        words = [plan.activation, plan.likelihood, str(data.dtype), plan.binarise]
        helper.start(__name__, words, NAMES)


def kinds_of_learn(pieces: Any, firsts: Any, shared: Any, owns: Any, constants: Any) -> list[Any]:
    """The Numba types of `learn`'s arguments, from such as `train` is called with."""
    own = Own(*(a[0] for a in owns))
    sync = np.zeros(1, dtype=np.int64)
    values = (0, 0, sync, pieces, firsts, shared, own, 0, 0, 0.0, constants[0])
    return [typeof(value) for value in values]


def example() -> tuple[Any, ...]:
    """Arguments of those types, with one number of everything."""

    def of(kind: type, dimensions: int) -> np.ndarray:
        return np.zeros((1,) * dimensions, dtype=kind)

    i, d, f, lists = of(np.int64, 1), of(np.float64, 1), of(np.float32, 1), of(np.int32, 2)
    table = of(np.int64, 2)
    shared = Shared(i, d, table, f, f, f, f, f, f, f, lists, lists, lists, f)
    owns = Own(of(np.float32, 2), of(np.float32, 2), of(np.float64, 2))
    return table, table, shared, owns, of(np.float32, 2)


def measurement(activation: str, likelihood: str, dtype: str, binarise: str) -> Iterator[Any]:
    """The calls of ops that measuring a model makes."""
    from minivae_kernels.cpu import load

    K, one, number = load(1), np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    yield lambda: K["gather"](np.zeros((1, 1), dtype), [0], 1.0)
    if binarise != "none":
        yield lambda: K["uniforms"](0, 0, 0, [0], 1)
        yield lambda: K["binarise"](one, one)
    fused = f"dense_{activation}_forward"
    yield lambda: K[fused if fused in K else "dense_forward"](one, one, number)
    yield lambda: K["bound_logvar_forward"](one)
    yield lambda: K[f"{activation}_forward"](one)
    yield lambda: K["normals"](0, 0, 0, [0], 1)
    yield lambda: K["reparameterise_forward"](one, one, one[None])
    yield lambda: K["kl_forward"](one, one)
    nll = K[f"{likelihood}_nll_forward"]
    scale = (number[0],) * (len(inspect.signature(nll).parameters) - 2)
    yield lambda: K["output_nll"](likelihood, one, one, number, one, *scale)


def main() -> None:
    """Compile all of it; what cannot be compiled is left to the run."""
    gc.disable()  # a tenth of the time, and this process is short-lived
    from minivae_kernels.cpu.step.train import learn

    address_of(learn, *kinds_of_learn(*example()))
    for call in measurement(*sys.argv[1:]):
        with contextlib.suppress(Exception):
            call()


if __name__ == "__main__":
    main()
