"""The Numba backend for these tests, and arrays that show what was never written."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from minivae.backend import load_backend

PERTURB = -6  # of mallopt: what fresh memory is filled with


@pytest.fixture(scope="session")
def K() -> Any:
    """The backend with two threads."""
    return load_backend("numba", threads=2)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What kernels are to fill comes full of NaN, or, from NumPy itself, of 3e38 (GNU's malloc)."""
    from minivae_kernels.cpu.ops import (
        dense,
        dense_bfloat16,
        latent,
        likelihood_kernel,
        output_nll,
        random,
        row_likelihood_kernel,
    )  # fmt: skip

    def full_of_nan(shape: Any) -> np.ndarray:
        return np.full(shape, np.nan, dtype=np.float32)

    filled = dense_bfloat16, latent, likelihood_kernel, output_nll, random, row_likelihood_kernel
    for module in filled:
        monkeypatch.setattr(module, "fresh", full_of_nan)
    held = getattr(dense.kept, "packed", None)
    if held is not None:
        held.fill(np.nan)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)
    mallopt(PERTURB, 0x80)
    yield
    mallopt(PERTURB, 0)


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the kernels' cache will keep its files: empty yet, and there is no other cache."""
    from minivae_kernels.cpu.compile import folders

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    return tmp_path / "numba" / f"kernels-{folders.HASH}"
