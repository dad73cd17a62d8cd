"""The register tile: the innermost loops of every matrix product, emitted as vector FMAs.

C[r, c] = S[r, c] + Σ_k A(r, k) B[k, c] for a few rows and 16 or 32 columns. B is a panel: 32
words for each k (product_terms.py says what a word is). The accumulators stay in registers over all
k, one term after another: the bits do not depend on the tile's shape or the vector's width.
Matrices are handed over as addresses (address.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.simd import (
    INT64,
    PANEL,
    WIDTH,
    const,
    load_vector,
    loop,
    splat,
    store_vector,
)
from minivae_kernels.cpu.gemm.address import FLOATS, INTEGERS
from minivae_kernels.cpu.gemm.product_terms import ProductTerms

UNROLL = 4
WHOLE = types.int64


def emit_tile(
    builder: Any, shape: tuple[int, int], terms: ProductTerms, args: Sequence[Any]
) -> None:
    """The tile at c = the one at s (zeros, a bias, or C so far) + `depth` terms.

    args: a, a_panel, b, b_panel, c, s, s_row, depth. A(r, k) is word k of row r of activation
    panels; as many rows of B as a panel of A holds words lie together, b_panel words from the next.
    """
    a, a_panel, b, b_panel, c, s, s_row, depth = args
    step = _stepper(builder, *shape, terms, const(terms.row))

    def panel(i: Any, sums: list[Any]) -> list[Any]:
        left = builder.sub(depth, builder.mul(i, const(terms.row)))
        part = builder.icmp_signed("<", left, const(terms.row))
        count = builder.select(part, left, const(terms.row))
        qa = builder.gep(a, [builder.mul(i, a_panel)])
        qb = builder.gep(b, [builder.mul(i, b_panel)])

        def term(k: Any, sums: list[Any]) -> list[Any]:
            here = builder.gep(qb, [builder.mul(k, const(PANEL))])
            return step(builder.gep(qa, [k]), here, sums)

        return _unrolled(builder, count, sums, term)

    sums = _load_sums(builder, *shape, s, s_row)
    panels = builder.sdiv(builder.add(depth, const(terms.row - 1)), const(terms.row))
    _store_sums(builder, *shape, c, loop(builder, panels, sums, panel))


def emit_strided_tile(
    builder: Any, shape: tuple[int, int], terms: ProductTerms, args: Sequence[Any]
) -> None:
    """A tile of matrices that lie as they come: A(r, k), B(k, c), C's rows at any distances.

    args: a, a_row, a_k, b, b_k, c, c_row, s, s_row, depth. With distances 1 and 32 and A one panel
    it multiplies by A transposed: r counts its features.
    """
    a, a_row, a_k, b, b_k, c, c_row, s, s_row, depth = args
    step = _stepper(builder, *shape, terms, a_row)

    def term(k: Any, sums: list[Any]) -> list[Any]:
        return step(builder.gep(a, [builder.mul(k, a_k)]),
                    builder.gep(b, [builder.mul(k, b_k)]), sums)  # fmt: skip

    sums = _load_sums(builder, *shape, s, s_row)
    _store_sums(builder, *shape, c, _unrolled(builder, depth, sums, term), c_row)


def make_live_tile(rows: int, columns: int, terms: ProductTerms, across: bool) -> Any:
    """A tile over a list of those k at which A has something: zeros add nothing to a sum.

    across=True: A(r, k) is feature r of row k of one panel (weight gradient: A transposed).
    """
    row_step, shift = 1 if across else terms.row, terms.row.bit_length() - 1

    @intrinsic
    def tile(typingctx: Any, a: Any, a_panel: Any, b: Any, c: Any, s: Any, s_row: Any, live: Any,
             count: Any) -> Any:  # fmt: skip
        """The tile at c = the one at s + the terms of k = live[0], live[1], …."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a_, a_panel_, b_, c_, s_, s_row_, live_, count_ = args
            step = _stepper(builder, rows, columns, terms, const(row_step))

            def term(i: Any, sums: list[Any]) -> list[Any]:
                k = builder.sext(builder.load(builder.gep(live_, [i])), INT64)
                if across:
                    at = builder.mul(k, const(PANEL))
                else:
                    panel = builder.mul(builder.ashr(k, const(shift)), a_panel_)
                    at = builder.add(panel, builder.and_(k, const(terms.row - 1)))
                qb = builder.gep(b_, [builder.mul(k, const(PANEL))])
                return step(builder.gep(a_, [at]), qb, sums)

            sums = _load_sums(builder, rows, columns, s_, s_row_)
            _store_sums(builder, rows, columns, c_, _unrolled(builder, count_, sums, term))
            return context.get_dummy_value()

        return types.void(FLOATS, WHOLE, FLOATS, FLOATS, FLOATS, WHOLE, INTEGERS, WHOLE), emit

    return tile


def _grid(rows: int, columns: int) -> list[tuple[int, int]]:
    """Row and first column of each accumulator."""
    return [(r, column) for r in range(rows) for column in range(0, columns, WIDTH)]


def _load_sums(builder: Any, rows: int, columns: int, start: Any, row_step: Any) -> list[Any]:
    sums = []
    for r, column in _grid(rows, columns):
        row = builder.gep(start, [builder.mul(row_step, const(r))])
        sums.append(load_vector(builder, builder.gep(row, [const(column)])))
    return sums


def _store_sums(
    builder: Any, rows: int, columns: int, target: Any, sums: list[Any], row_step: Any = None
) -> None:
    step = const(PANEL) if row_step is None else row_step
    for (r, column), value in zip(_grid(rows, columns), sums, strict=True):
        row = builder.gep(target, [builder.mul(step, const(r))])
        store_vector(builder, value, builder.gep(row, [const(column)]))


def _stepper(builder: Any, rows: int, columns: int, terms: ProductTerms, row_step: Any) -> Any:
    """One k: every accumulator gains A(r, k) B(k, c), with A's rows `row_step` words apart."""
    add = terms.add(builder)
    vectors = range(0, columns, WIDTH)

    def step(qa: Any, qb: Any, sums: list[Any]) -> list[Any]:
        right = [load_vector(builder, builder.gep(qb, [const(c)])) for c in vectors]
        out = []
        for r in range(rows):
            at = builder.gep(qa, [builder.mul(row_step, const(r))])
            left = splat(builder, builder.load(at))
            for vector in right:
                out.append(add(left, vector, sums[len(out)]))
        return out

    return step


def _unrolled(builder: Any, count: Any, sums: list[Any], term: Any) -> list[Any]:
    """sums = term(k, sums) for `count` values of k, `UNROLL` at a time and then the rest."""

    def several(i: Any, sums: list[Any]) -> list[Any]:
        first = builder.mul(i, const(UNROLL))
        for u in range(UNROLL):
            sums = term(builder.add(first, const(u)), sums)
        return sums

    turns = builder.sdiv(count, const(UNROLL))
    sums = loop(builder, turns, sums, several)
    done = builder.mul(turns, const(UNROLL))
    rest = builder.sub(count, done)
    return loop(builder, rest, sums, lambda i, sums: term(builder.add(done, i), sums))


def make_transpose(rows: int, columns: int) -> Any:
    """The transposition of a block of so many rows and columns of words, in registers."""

    @intrinsic
    def transpose(typingctx: Any, source: Any, s_row: Any, target: Any, t_row: Any) -> Any:
        """target[t_row c + r] = source[s_row r + c].

        Squares of WIDTH x WIDTH go through log2(WIDTH) rounds of two-vector shuffles. At 1024 x
        784 x 400 it is 1.7 % of the product it serves (106 of 6246 µs, one Zen 4 core).
        """

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            ps, row_step, pt, column_step = args
            across = columns // WIDTH

            def square(i: Any, _: list[Any]) -> list[Any]:
                row = builder.mul(builder.sdiv(i, const(across)), const(WIDTH))
                column = builder.mul(builder.srem(i, const(across)), const(WIDTH))
                at = builder.gep(ps, [builder.add(builder.mul(row, row_step), column)])
                to = builder.gep(pt, [builder.add(builder.mul(column, column_step), row)])
                lines = [load_vector(builder, builder.gep(at, [builder.mul(row_step, const(r))]))
                         for r in range(WIDTH)]  # fmt: skip
                for r, value in enumerate(_transposed(builder, lines)):
                    there = builder.gep(to, [builder.mul(column_step, const(r))])
                    store_vector(builder, value, there)
                return []

            loop(builder, const(across * rows // WIDTH), [], square)
            return context.get_dummy_value()

        return types.void(FLOATS, WHOLE, FLOATS, WHOLE), emit

    return transpose


transpose_block = make_transpose(PANEL, PANEL)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """WIDTH vectors, transposed: in round d, blocks of d x d swap across the diagonal."""
    lanes, distance = range(WIDTH), 1
    kind = ir.VectorType(ir.IntType(32), WIDTH)
    while distance < WIDTH:
        low = [n if not n & distance else WIDTH + n - distance for n in lanes]
        high = [n + distance if not n & distance else WIDTH + n for n in lanes]
        out = list(rows)
        for r in lanes:
            if not r & distance:
                pair = rows[r], rows[r + distance]
                out[r] = builder.shuffle_vector(*pair, ir.Constant(kind, low))
                out[r + distance] = builder.shuffle_vector(*pair, ir.Constant(kind, high))
        rows, distance = out, distance * 2
    return rows
