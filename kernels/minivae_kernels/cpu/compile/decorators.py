"""How the kernels are compiled: Numba's options, and a disk cache for what Python calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

try:  # both lean on the inside of Numba; without them kernels compile all the same
    from minivae_kernels.cpu.compile.disk_cache import DiskCache, any_cached
except (ImportError, AttributeError):  # another Numba: every process compiles for itself
    DiskCache = None  # type: ignore[assignment, misc]

    def any_cached(name: str) -> bool:
        """False: without the disk cache nothing is kept."""
        return False


__all__ = [
    "OPTIONS",
    "addressed",
    "allocating",
    "any_cached",
    "entry",
    "inline",
    "inner",
    "statistics",
]

# error_model="numpy": no test for zero before each division, which would stop vectorising.
# nogil: the team's threads run side by side. No fast-math: the order of operations is ours.
OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": False}

# An inner function does not count who refers to an array: nobody frees one while a kernel runs.
_BORROWS: dict[str, Any] = {"_nrt": False}
_INNER: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_ENTRY: dict[str, Any] = {"no_cfunc_wrapper": True}
try:
    from minivae_kernels.cpu.compile.lower_only import EntryCompiler, InnerCompiler

    _INNER["pipeline_class"], _ENTRY["pipeline_class"] = InnerCompiler, EntryCompiler
except (ImportError, AttributeError):  # pragma: no cover - only slower
    pass


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only other kernels call; it makes no arrays but views."""
    return njit(**_BORROWS, **_INNER, **OPTIONS)(function)


def allocating(function: Callable[..., Any]) -> Any:
    """Compile a function that only other kernels call, and that makes arrays of its own."""
    return njit(_nrt=True, **_INNER, **OPTIONS)(function)  # False would be handed down to it


def inline(function: Callable[..., Any]) -> Any:
    """Compile a function into every caller: what stands in a loop must vectorise with it."""
    return njit(forceinline=True, **_BORROWS, **_INNER, **OPTIONS)(function)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that only Python calls; its machine code is kept on disk.

    No kernel may call it but by its address (by_address.py) or by its name (compiled_once.py):
    what comes from the disk cannot be linked into another function.
    """
    return _kept(njit(**_ENTRY, **OPTIONS)(function), function)


def addressed(function: Callable[..., Any]) -> Any:
    """Compile, and keep on disk, a function that kernels call by its address, and Python never."""
    return _kept(njit(**_ENTRY, no_cpython_wrapper=True, **OPTIONS)(function), function)


def _kept(dispatcher: Any, function: Callable[..., Any]) -> Any:
    if DiskCache is not None:
        dispatcher._cache = DiskCache(function)
        _CACHES.append(dispatcher._cache)
    return dispatcher


_CACHES: list[Any] = []


def statistics() -> dict[str, int]:
    """How many functions came from the cache and how many were compiled, in this process."""
    return {"hits": sum(c.hits for c in _CACHES), "misses": sum(c.misses for c in _CACHES)}
