"""What the bits of a run depend on besides its settings: recorded, held to, or said to differ.

The NumPy reference computes its products by a BLAS whose threads follow the cores, and sums split
among other threads round differently. The kernels of the other backends do not depend on their
number of threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np

Facts = dict[str, str | None]

BLAS_THREADS = "BLAS threads"


def environment(backend: str) -> Facts:
    """What the bits depend on here and now, in words: library versions, BLAS, threads, card."""
    return {"backend": backend, "numpy": np.__version__, **_OF_BACKEND.get(backend, dict)()}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two environments, each as "BLAS threads 2, now 1"."""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [f"{key} {before.get(key)}, now {now.get(key)}" for key in keys]


def blas_threads(facts: Mapping[str, Any]) -> int | None:
    """How many threads of a BLAS an environment had; None where it does not matter."""
    count = facts.get(BLAS_THREADS)
    return int(count) if isinstance(count, str) and count.isdecimal() and int(count) > 0 else None


@contextlib.contextmanager
def held_blas_threads(count: int | None) -> Iterator[None]:
    """Within the block NumPy's BLAS has so many threads, whatever the cores; None leaves it."""
    if count is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(min(count, 1024), "blas"):
        yield


def _of_numpy() -> Facts:
    from threadpoolctl import threadpool_info

    np.dot(np.ones((2, 2)), np.ones((2, 2)))  # a BLAS that is loaded late is loaded now
    pools = [pool for pool in threadpool_info() if pool.get("user_api") == "blas"]
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    facts: Facts = {"SIMD": " ".join(simd.get("found", simd.get("baseline", [])))}
    for pool in pools[:1]:
        words = (pool.get("internal_api"), pool.get("version"), pool.get("architecture"))
        facts |= {
            "BLAS": " ".join(str(word) for word in words if word),
            BLAS_THREADS: str(pool.get("num_threads")),
        }
    return facts


def _of_numba() -> Facts:
    return {name: _version(name) for name in ("numba", "llvmlite")}


def _of_cupy() -> Facts:
    """The card and its libraries; whatever cannot be asked is left out."""
    facts: Facts = {}
    with contextlib.suppress(Exception):
        import cupy

        runtime = cupy.cuda.runtime
        facts["cupy"] = str(cupy.__version__)
        facts["CUDA"] = str(runtime.runtimeGetVersion())
        facts["card"] = runtime.getDeviceProperties(runtime.getDevice())["name"].decode()
    return facts


_OF_BACKEND: dict[str, Callable[[], Facts]] = {
    "numpy": _of_numpy,
    "numba": _of_numba,
    "cupy": _of_cupy,
}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
