"""Loops of several vectors side by side: every element once, with the bits of a plain loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from minivae_kernels.cpu.compile.decorators import OPTIONS, inline
from minivae_kernels.cpu.compile.side_by_side import VECTORS, for_each
from minivae_kernels.cpu.ops import vector_math as m
from numba import njit


@inline
def turn(i, x, y):
    y[i] += m.tanh(x[i])


@njit(**OPTIONS)
def side_by_side(x: Any, y: Any) -> None:
    for_each(turn, len(x), (x, y))


@njit(**OPTIONS)
def one_by_one(x: Any, y: Any) -> None:
    for i in range(len(x)):
        y[i] += m.tanh(x[i])


def test_every_element_once_with_the_same_bits() -> None:
    x = np.random.default_rng(1).normal(size=300).astype(np.float32)
    for n in (*range(40), 63, 64, 65, 127, 128, 300):
        got, want = np.ones(300, np.float32), np.ones(300, np.float32)
        side_by_side(x[:n], got[:n])
        one_by_one(x[:n], want[:n])
        assert got.tobytes() == want.tobytes(), n


def test_llvm_is_told_and_listens() -> None:
    side_by_side(np.ones(3, np.float32), np.ones(3, np.float32))
    (text,) = side_by_side.inspect_llvm().values()
    one_by_one(np.ones(3, np.float32), np.ones(3, np.float32))
    (plain,) = one_by_one.inspect_llvm().values()
    assert VECTORS > 1
    assert "llvm.loop.isvectorized" in text
    assert text.count(" fdiv <") > plain.count(" fdiv <")
