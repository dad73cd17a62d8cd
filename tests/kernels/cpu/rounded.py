"""The backend in bfloat16, for the tests."""

from __future__ import annotations

import pytest

from minivae.backend import Backend, BackendUnavailable, load_backend


def load_bf16(threads: int = 2) -> Backend:
    """The backend; a test skips, saying so, on a processor that has no AVX512-BF16."""
    try:
        return load_backend("numba", threads, bf16=True)
    except BackendUnavailable as reason:
        pytest.skip(str(reason))
