"""Two kernels to keep on disk, and whether a call was served from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minivae_kernels.cpu.compile import decorators


def plus(x):  # type: ignore[no-untyped-def]
    return x + 2


def minus(x):  # type: ignore[no-untyped-def]
    return x - 2


def served(function: Callable[..., Any] = plus, answer: Any = 5) -> bool:
    """Whether a new dispatcher's first call came from the disk; it must be right either way."""
    kernel = decorators.entry(function)
    assert kernel(3) == answer
    assert kernel._cache.hits + kernel._cache.misses == 1
    return kernel._cache.hits == 1


def kept(folder: Path) -> list[Path]:
    """The files of a cache."""
    return sorted(folder.iterdir())
