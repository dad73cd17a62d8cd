"""What a first training run needs besides the step's first half, compiled by a helper process.

    python -m minivae_kernels.cpu.step.ahead ACTIVATION LIKELIHOOD DTYPE BINARISE

Every function is compiled by being called as the run will call it, with one number of everything.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile import folders, helper
from minivae_kernels.support import Unsupported

# The entries of the helper: the second half of an update with the product that both halves share,
# then most of what measuring after an epoch calls. Nobody else compiles them while it runs. What is
# left takes the run as long as this takes the helper.
NAMES = (
    "multiply", "learn", "share_out", "multiply_plain", "pack_columns", "gather_kernel",
    "uniforms_kernel", "binarise_kernel", "forward_ufunc", "map_ufunc", "normals_kernel",
    "draw_ufunc", "price_ufunc",
)  # fmt: skip


def expect(*words: str) -> None:
    """Start the helper for a run that is sure to compile, before Numba is imported here.

    words: the command line above.
    """
    if not folders.may_hold("train"):
        _start(*words)


def compile_beside(plan: Any, data: np.ndarray) -> None:
    """Start the helper where a run will have to compile, unless it is at work."""
    from minivae_kernels.cpu.compile.decorators import any_cached

    if not any_cached("train"):
        _start(plan.activation, plan.likelihood, str(data.dtype), plan.binarise)


def _start(*words: str) -> None:
    """Where nothing can be kept on disk, a helper could hand nothing over."""
    if folders.cache_dir() is not None:
        helper.start(__name__, words, NAMES)


def compile_meanwhile(likelihood: str) -> None:
    """The rest of what measuring calls, in the run's own process, while the helper is at work."""
    if helper.at_work():
        scoring(likelihood)


def scoring(likelihood: str) -> None:
    """The call that measuring makes last; Unsupported for a likelihood that has no kernel."""
    from minivae_kernels.cpu.ops.output_nll import output_nll
    from minivae_kernels.cpu.ops.row_likelihood_kernel import grouped, scaled
    from minivae_kernels.cpu.ops.row_likelihoods import ROW_LIKELIHOODS

    one, number = np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    by_rows = ROW_LIKELIHOODS.get(likelihood)
    if by_rows is None:
        output_nll(likelihood, one, one, number, one)
    elif by_rows.grouped:
        grouped("scoring", by_rows.loop, one[None], one, (1,))
    else:
        scaled("scoring", by_rows.loop, None, one[None], one, number)


def measurement(activation: str, likelihood: str, dtype: str, binarise: str) -> Iterator[Any]:
    """The calls of ops that measuring a model makes."""
    from minivae_kernels.cpu.ops.every_op import every_op

    K, one, number = every_op(1), np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    yield lambda: K["gather"](np.zeros((1, 1), dtype), [0], 1.0)
    if binarise != "none":
        yield lambda: K["uniforms"](0, 0, 0, [0], 1)
        yield lambda: K["binarise"](one, one)
    fused = f"dense_{activation}_forward"
    yield lambda: K[fused if fused in K else "dense_forward"](one, one, number)
    yield lambda: K["bound_logvar_forward"](one)
    if fused not in K and f"{activation}_forward" in K:
        yield lambda: K[f"{activation}_forward"](one)
    yield lambda: K["normals"](0, 0, 0, [0], 1)
    yield lambda: K["reparameterise_forward"](one, one, one[None])
    yield lambda: K["kl_forward"](one, one)
    yield lambda: scoring(likelihood)


def main() -> None:
    """Compile all of it; data of a type that has no kernel are for the run to speak of."""
    gc.disable()  # a tenth of the time, and this process is short-lived
    from minivae_kernels.cpu.compile.by_address import address_of
    from minivae_kernels.cpu.step.train import LEARN_KINDS, learn

    address_of(learn, *LEARN_KINDS)
    *calls, _ = measurement(*sys.argv[1:])  # the run itself makes the last one
    for call in calls:
        with contextlib.suppress(Unsupported, TypeError):
            call()
    gc.freeze()  # nor is any looked for as it ends, when the run needs the core


if __name__ == "__main__":
    main()
