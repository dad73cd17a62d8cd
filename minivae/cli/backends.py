"""Which backend computes, and what is said about it."""

from __future__ import annotations

import contextlib
import inspect
import itertools
from typing import Any, NamedTuple

from minivae.cli.console import Console
from minivae.cli.options import UsageError, check_least, choose
from minivae.data.dataset import Dataset
from minivae.models.config import ModelConfig
from minivae.processes import processes
from minivae.runs.config import TrainConfig

SMALL_PRODUCT = 20_000_000  # operations; below, one BLAS thread is at least as fast as two


class Rounding(NamedTuple):
    """An option that has the products' inputs rounded, and the backend that does it."""

    backend: str
    why: str
    said: str


ROUNDINGS = {
    "tf32": Rounding(
        "cupy",
        "only a card rounds to TF32",
        "cupy, TF32: the products' inputs keep 10 bits of mantissa, not 23",
    ),
    "bf16": Rounding(
        "numba",
        "only its products take bfloat16",
        "numba, bfloat16: the products' inputs keep 7 bits of mantissa, not 23",
    ),
}


def choose_backend(
    name: str, threads: int | None, console: Console, *, tf32: bool = False, bf16: bool = False
) -> Any:
    """The backend K; "auto" takes numba where it loads, else numpy, and says which and why.

    Raises UsageError for an unknown name and for TF32 or bfloat16 where there is none,
    BackendUnavailable where the one asked for cannot run.
    """
    from minivae.backend import BACKENDS, BackendUnavailable, load_backend

    choose("--backend", name, ("auto", *BACKENDS))
    check_least("--threads", threads)
    asked = [option for option, on in (("tf32", tf32), ("bf16", bf16)) if on]
    if asked:
        return choose_rounded(name, threads, console, asked)
    if name != "auto":
        return load_backend(name, threads)
    try:
        K = load_backend("numba", threads)
    except BackendUnavailable as reason:
        K = load_backend("numpy", threads)
        console.say(f"backend  numpy (auto; {reason})")
    else:
        console.say("backend  numba (auto; --backend numpy is the reference)")
    return K


def expect_training(name: str, model: ModelConfig, config: TrainConfig, dataset: Dataset) -> None:
    """Begin to compile for a run by this backend, while the backend is loaded and data are read.

    Only where the run is sure to want it: one process, rows that count alike, float32 products.
    """
    from minivae.backend import expect_training

    alone = processes() == 1 and dataset.weight is None
    if name in ("auto", "numba") and alone and not config.bf16:
        binarise = "dynamic" if config.binarise == "dynamic" else "none"
        expect_training(model.activation, model.likelihood, str(dataset.train.dtype), binarise)


def choose_rounded(name: str, threads: int | None, console: Console, asked: list[str]) -> Any:
    """The backend that rounds as asked, said aloud; a UsageError for any other backend."""
    from minivae.backend import load_backend

    for option in asked:
        rounding = ROUNDINGS[option]
        # "auto" never means a card, and the numba backend is what it takes where that loads
        if name != rounding.backend and (name, rounding.backend) != ("auto", "numba"):
            raise UsageError(
                f"--{option} belongs to --backend {rounding.backend}, and the backend is {name}: "
                f"{rounding.why}; leave it out (--no-{option} for a run that was started with it)"
            )
    K = load_backend(rounding.backend, threads, **dict.fromkeys(asked, True))
    console.say(f"backend  {rounding.said}")
    return K


def compiles_first(K: Any) -> str | None:
    """What to say where the backend's training step has to be compiled before it can start."""
    module: Any = inspect.getmodule(K.fused_step)
    if not hasattr(module, "is_cached") or module.is_cached():
        return None
    why = module.why_not_kept()
    when = "once; later runs start at once" if why is None else f"they cannot be kept: {why}"
    return f"compiling the kernels for this processor ({when})"


def blas_threads(
    K: Any, model: ModelConfig, config: TrainConfig
) -> contextlib.AbstractContextManager[Any]:
    """Hold NumPy's BLAS to the threads asked for, or to one where its products are small.

    Threads that wait for each other at every small product cost more than they bring: on a busy
    two-core machine the default run on digits was 20 times slower with two.
    """
    if K.name != "numpy":
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    threads = config.threads
    if threads is None and largest_product(model, config.batch_size) < SMALL_PRODUCT:
        threads = 1
    return threadpool_limits(threads, "blas")


def largest_product(model: ModelConfig, batch: int) -> int:
    """Operations of the largest matrix product of one update."""
    sizes = (model.data_dim, *model.hidden, model.latent_dim)
    widest = max(a * b for a, b in itertools.pairwise(sizes))
    return 2 * batch * model.draws * widest
