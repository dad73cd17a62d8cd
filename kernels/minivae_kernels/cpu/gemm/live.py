"""Products with data that are mostly zeros: they walk a list of the k at which there is something.

Adding a zero changes no bit of a finite sum, unless that is -0 (or, in bfloat16, below 2⁻¹²⁶): the
results are those of matmul.py. Of MNIST's pixels 81 % are zero; of the k that four samples need
together 61 % are, of the samples that four neighbouring pixels need 72 %. Twelve rows a tile, which
suits the dense products, would have 50 %. On one Zen 4 core, in GFLOP/s of the dense product: 265
against 115 (y = x W) and 360 against 116 (dW = xᵀ dy) at 128 x 784 x 384.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import (
    FLOAT,
    INT32,
    PANEL,
    WIDTH,
    const,
    load_vector,
    outlined,
    pointer,
)
from minivae_kernels.cpu.gemm.address import address, ahead
from minivae_kernels.cpu.gemm.matmul import BLOCK, NOUGHT
from minivae_kernels.cpu.gemm.product_terms import FLOAT32
from minivae_kernels.cpu.gemm.register_tile import make_live_tile

TOGETHER = 4  # rows, or neighbouring features, that share a list
# Share of the k on the lists from which on the dense products are as fast: of single ones, and of
# the pairs that bfloat16 takes. A step on MNIST (0.33; 0.40) is 1.19 and 1.16 times as fast with
# lists, on Fashion-MNIST (0.70; 0.81) 1.05 and 0.98 (batch 512, one Zen 4 core).
WORTH_IT, PAIRS_WORTH_IT = 0.85, 0.78


def density(data: np.ndarray, word: int = 1) -> float:
    """The share of all k that the lists of such data (N, D) would hold, from some of its rows.

    word: how many neighbours along k make one entry of a list.
    """
    some = data[:: max(len(data) // 1024, 1)][:1024] != 0
    both = _share(some, TOGETHER, word) + _share(some, word, TOGETHER)
    return both / 2


def _share(some: np.ndarray, rows: int, features: int) -> float:
    """The share of blocks of so many rows and features in which there is something."""
    r, f = len(some) // rows, some.shape[1] // features
    if not r or not f:
        return 1.0
    blocks = some[: r * rows, : f * features].reshape(r, rows, f, features)
    return float(blocks.any(axis=(1, 3)).mean())


def new_lists(batch: int, panels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Room for the lists of `batch` rows, or none at all; a list begins with its length.

    masks (batch, panels): one bit for each feature that is not zero. by_row: the features of four
    rows; by_feature: the rows of four features.
    """
    groups, panels = -(-batch // TOGETHER), panels if batch else 0
    return (
        np.zeros((batch, panels), dtype=np.int32),
        np.zeros((groups, 1 + panels * PANEL), dtype=np.int32),
        np.zeros((panels * PANEL // TOGETHER, 1 + batch), dtype=np.int32),
    )


@intrinsic
def nonzero_bits(typingctx: Any, array: Any, index: Any) -> Any:
    """Bit i says whether array[index + i] is not zero, for one panel's 32 floats."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = pointer(context, builder, signature.args[0], args[0], args[1])
        zero = ir.Constant(ir.VectorType(FLOAT, WIDTH), [0.0] * WIDTH)
        bits = ir.Constant(INT32, 0)
        for c in range(0, PANEL, WIDTH):
            values = load_vector(builder, builder.gep(at, [const(c)]))
            some = builder.fcmp_unordered("!=", values, zero)
            packed = builder.zext(builder.bitcast(some, ir.IntType(WIDTH)), INT32)
            bits = builder.or_(bits, builder.shl(packed, ir.Constant(INT32, c)))
        return bits

    return types.int32(array, types.int64), emit


@intrinsic
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set; there is one."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(INT32, [INT32, ir.IntType(1)])
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i32")
        return builder.call(count, [args[0], ir.Constant(ir.IntType(1), 1)])

    return types.int32(types.int32), emit


@inner
def list_features(masks, by_row, low, high, pairs):
    """The lists of rows low … high; `low` is a multiple of four.

    pairs: list neighbours, two features that make a word of bfloat16, by the word's number.
    """
    outlined()
    one, even = np.int32(1), np.int32(0x55555555)
    half = np.int32(1 if pairs else 0)
    for first in range(low, high, TOGETHER):
        out = by_row[first // TOGETHER]
        found = 0
        for panel in range(masks.shape[1]):
            bits = np.int32(0)
            for b in range(first, min(first + TOGETHER, high)):
                bits = np.int32(bits | masks[b, panel])
            if pairs:
                bits = np.int32((bits | (bits >> one)) & even)
            while bits != 0:
                found += 1
                out[found] = np.int32((panel * PANEL + lowest_bit(bits)) >> half)
                bits = np.int32(bits & np.int32(bits - one))
        out[0] = found


@inner
def list_rows(masks, by_feature, rows, panel, pairs):
    """The lists of one panel's features, over all rows, or over all pairs of rows."""
    together = 2 if pairs else 1
    for group in range(PANEL // TOGETHER):
        out = by_feature[panel * (PANEL // TOGETHER) + group]
        list_words(masks, out, rows, panel, np.int32(0xF) << np.int32(TOGETHER * group), together)


@inner
def list_words(masks, out, rows, panel, features, together):
    """The list of those rows, or pairs of rows, in which one of these features is not zero."""
    outlined()
    found = 0
    for word in range((rows + together - 1) // together):
        first = word * together
        last = first + together - 1 if first + together <= rows else first
        bits = np.int32(masks[first, panel] | masks[last, panel])
        out[1 + found] = np.int32(word)
        found += 1 if np.int32(bits & features) != 0 else 0
    out[0] = found


def four_by(terms, across):
    """Four rows of C, of 16 or 32 columns; the arguments are the live tile's, and `halves`."""
    half, whole = make_live_tile(TOGETHER, 16, terms, across), None
    if WIDTH == 16:
        whole = make_live_tile(TOGETHER, 32, terms, across)

    @inner
    def at_once(a, a_panel, b, c, s, s_row, live, count, halves):
        if halves == 2:
            whole(a, a_panel, b, c, s, s_row, live, count)
        else:
            half(a, a_panel, b, c, s, s_row, live, count)

    @inner
    def by_halves(a, a_panel, b, c, s, s_row, live, count, halves):
        for h in range(0, 16 * halves, 16):
            half(a, a_panel, ahead(b, h), ahead(c, h), ahead(s, h), s_row, live, count)

    return at_once if WIDTH == 16 else by_halves


def live_products(terms):
    """The two products with data, of one kind of terms: what is listed are words along k."""
    multiply_live, across_live, row = four_by(terms, False), four_by(terms, True), terms.row

    @inner
    def forward_live_panel(x, x_panel, w, bias, y, first, rows, by_row, halves):
        """One panel of y = x W + b for rows first … first + rows; x is the first row of all.

        The last group of four may reach beyond the batch, into rows that nothing reads.
        """
        outlined()
        width = by_row.shape[1]
        for r in range(0, rows, TOGETHER):
            group = (first + r) // TOGETHER
            multiply_live(
                ahead(x, (first + r) * row), x_panel, w, ahead(y, r * PANEL), bias, NOUGHT,
                address(by_row, group * width + 1), np.int64(by_row[group, 0]), halves,
            )  # fmt: skip

    @inner
    def weight_live_blocks(x, x_panel, first, dy, inputs, count, halves, grad, zeros, by_feature):
        """`count` 32 x 32 blocks of dW = xᵀ dy from x's panel `first` on, against a panel of dy.

        x is the first word of that panel, `inputs` how many features there are from there on.
        """
        outlined()
        width = by_feature.shape[1]
        for i in range(count):
            for r in range(0, min(PANEL, inputs - i * PANEL), TOGETHER):
                group = ((first + i) * PANEL + r) // TOGETHER
                across_live(
                    ahead(x, i * x_panel + r), NOUGHT, dy, ahead(grad, i * BLOCK + r * PANEL),
                    zeros, NOUGHT, address(by_feature, group * width + 1),
                    np.int64(by_feature[group, 0]), halves,
                )  # fmt: skip

    return forward_live_panel, weight_live_blocks


forward_live_panel, weight_live_blocks = live_products(FLOAT32)
