"""What a product's sums are made of: float32 numbers, or pairs of bfloat16.

A *word* is four bytes of a matrix: one float, or two neighbours along k as bfloat16. A term is what
a sum gains from one word of A and one of B: one fused multiply-add, or `vdpbf16ps` of AVX512-BF16:
two products of bfloat16 numbers, added to a float32 sum one after the other. That instruction
rounds each sum to the nearest and takes numbers below 2**-126 for 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from minivae_kernels.cpu.compile.simd import PANEL, VECTOR, fma_function

WORDS = 16  # of a vector: bfloat16 is for AVX-512 alone


class BFloat(ir.types.Type):
    """LLVM's bfloat, for which llvmlite has no name."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


HALVES = ir.VectorType(BFloat(), 2 * WORDS)


class ProductTerms(NamedTuple):
    """A kind of term."""

    row: int  # words in a row of a panel: a panel of activations holds 32 features
    # of a builder -> a function (word of A in every lane, words of B, sums) -> sums
    add: Callable[[Any], Callable[[Any, Any, Any], Any]]


def _multiply_add(builder: Any) -> Callable[[Any, Any, Any], Any]:
    function = fma_function(builder)
    return lambda left, right, sums: builder.call(function, (left, right, sums))


def _dot(builder: Any) -> Callable[[Any, Any, Any], Any]:
    kind = ir.FunctionType(VECTOR, [VECTOR, HALVES, HALVES])
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    function = cgutils.get_or_insert_function(builder.module, kind, name)

    def add(left: Any, right: Any, sums: Any) -> Any:
        given = sums, builder.bitcast(left, HALVES), builder.bitcast(right, HALVES)
        return builder.call(function, given)

    return add


FLOAT32, BFLOAT16 = ProductTerms(PANEL, _multiply_add), ProductTerms(PANEL // 2, _dot)
