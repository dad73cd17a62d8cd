"""Products of bfloat16 numbers with float32 sums: packing, and the products of terms.BFLOAT16.

A bfloat16 is the upper half of a float32: 8 bits of significand. A matrix in panels is rounded, to
the nearest and ties to even, into two shadows of half its size, since `vdpbf16ps` takes two
neighbours along k as one word, and k runs along a row in one product and down a column in another:

    rows   word w of row r of a panel: features 2 w and 2 w + 1; 16 words a row
    pairs  word c of pair r of a panel: feature c of rows 2 r and 2 r + 1; 32 words a pair

Row r of a panel begins at 16 r in the first, pair r at 32 r in the second: what begins at float n
of a matrix begins at word n / 2 of either shadow.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import (
    INT32,
    PANEL,
    VECTOR,
    WIDTH,
    const,
    cpu_name,
    features,
    load_vector,
    loop,
    store_vector,
)
from minivae_kernels.cpu.gemm.address import FLOATS, ahead
from minivae_kernels.cpu.gemm.live import live_products
from minivae_kernels.cpu.gemm.matmul import DEPTH, STEP, blocks_of, multiplier
from minivae_kernels.cpu.gemm.product_terms import BFLOAT16, HALVES, WORDS
from minivae_kernels.cpu.gemm.register_tile import make_transpose

ROW = PANEL // 2  # words of a row in the first shadow
# LLVM's names of processors that have AVX512-BF16.
PROCESSORS = ("cooperlake", "sapphirerapids", "emeraldrapids", "graniterapids", "znver4", "znver5")


def available() -> bool:
    """Whether the processor that Numba compiles for has AVX512-BF16."""
    if WIDTH != WORDS:
        return False
    have = features()
    return "+avx512bf16" in have if have else cpu_name() in PROCESSORS


def _rounder(builder: Any) -> Any:
    """Two vectors of floats -> one of bfloat16, the first one's numbers first."""
    kind = ir.FunctionType(HALVES, [VECTOR, VECTOR])
    name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return lambda first, second: builder.call(function, (second, first))


def _store(builder: Any, halves: Any, target: Any, at: int) -> None:
    store_vector(builder, builder.bitcast(halves, VECTOR), builder.gep(target, [const(at)]))


@intrinsic
def round_two(typingctx: Any, even: Any, odd: Any, rows: Any, pairs: Any) -> Any:
    """Two neighbouring rows of a panel into both shadows."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        upper, lower, rows_, pairs_ = args
        rounded = _rounder(builder)
        (a, b), (c, d) = ([load_vector(builder, builder.gep(row, [const(i)]))
                           for i in (0, WORDS)] for row in (upper, lower))  # fmt: skip
        _store(builder, rounded(a, b), rows_, 0)
        _store(builder, rounded(c, d), rows_, ROW)
        mixed = [n // 2 + WORDS * (n % 2) for n in range(2 * WORDS)]
        order = ir.Constant(ir.VectorType(INT32, 2 * WORDS), mixed)
        for at, both in ((0, rounded(a, c)), (WORDS, rounded(b, d))):
            _store(builder, builder.shuffle_vector(both, both, order), pairs_, at)
        return context.get_dummy_value()

    return types.void(FLOATS, FLOATS, FLOATS, FLOATS), emit


@intrinsic
def round_one(typingctx: Any, row: Any, rows: Any, pairs: Any, odd: Any) -> Any:
    """One row into both shadows, beside a partner in the second that another thread may write."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row_, rows_, pairs_, odd_ = args
        a, b = (load_vector(builder, builder.gep(row_, [const(i)])) for i in (0, WORDS))
        _store(builder, _rounder(builder)(a, b), rows_, 0)
        half = ir.IntType(16)
        source, target = (builder.bitcast(p, half.as_pointer()) for p in (rows_, pairs_))

        def one(i: Any, _: list[Any]) -> list[Any]:
            to = builder.add(builder.mul(i, const(2)), odd_)
            value = builder.load(builder.gep(source, [i]))
            builder.store(value, builder.gep(target, [to]))
            return []

        loop(builder, const(PANEL), [], one)
        return context.get_dummy_value()

    return types.void(FLOATS, FLOATS, FLOATS, types.int64), emit


transpose_words = make_transpose(PANEL, ROW)


@inner
def round_block(block, pairs, across, scratch):
    """A 32 x 32 block of W as pairs of rows, and of Wᵀ likewise; scratch holds 32 x 16 words."""
    for r in range(0, PANEL, 2):
        row = ahead(block, r * PANEL)
        round_two(row, ahead(row, PANEL), ahead(scratch, r * ROW), ahead(pairs, r * ROW))
    transpose_words(scratch, ROW, across, STEP)


multiply, multiply_across = multiplier(BFLOAT16)
forward_live_panel, weight_live_blocks = live_products(BFLOAT16)
weight_blocks = blocks_of(multiply_across)


@inner
def product_panel(a, a_panel, b, b_panel, c, s, s_row, rows, words, halves):
    """One panel of C = S + A B, S's rows s_row apart; `words` along k, in A's first shadow."""
    multiply(a, a_panel, b, b_panel, c, s, s_row, rows, min(DEPTH, words), halves)
    for k in range(DEPTH, words, DEPTH):
        ak, bk = ahead(a, k // ROW * a_panel), ahead(b, k // ROW * b_panel)
        multiply(ak, a_panel, bk, b_panel, c, c, STEP, rows, min(DEPTH, words - k), halves)
