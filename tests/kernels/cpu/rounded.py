"""bfloat16 for the tests: rounding written out, a reference that rounds, and the backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minivae import ops
from minivae.backend import Backend, BackendUnavailable, load_backend
from minivae.proof.product_rounding import PRODUCTS


def rounded(a: Any, bits: int = 7) -> np.ndarray:
    """float32 that keeps so many bits of mantissa, to the nearest and ties to even."""
    drop = 23 - bits
    words = np.ascontiguousarray(a, np.float32).view(np.uint32).astype(np.uint64)
    words += (1 << (drop - 1)) - 1 + (words >> drop & 1)
    return (words >> drop << drop).astype(np.uint32).view(np.float32)


def rounding_reference(bits: int = 7) -> Backend:
    """The reference with its products' inputs rounded."""

    def product(name: str) -> Any:
        reference = getattr(ops, name)

        def backward(dy: Any, x: Any) -> Any:
            dW, _ = reference(rounded(dy, bits), rounded(x, bits))
            return dW, reference(dy, x)[1]  # db is a plain sum

        def forward(x: Any, W: Any, b: Any) -> Any:
            return reference(rounded(x, bits), rounded(W, bits), b)

        def backward_input(dy: Any, W: Any) -> Any:
            return reference(rounded(dy, bits), rounded(W, bits))

        return {"dense_backward_params": backward, "dense_backward_input": backward_input}.get(
            name, forward
        )

    return Backend("numba", {name: product(name) for name in PRODUCTS}, bf16=True)


def load_bf16(threads: int = 2) -> Backend:
    """The backend; a test skips, saying so, on a processor that has no AVX512-BF16."""
    try:
        return load_backend("numba", threads, bf16=True)
    except BackendUnavailable as reason:
        pytest.skip(str(reason))
