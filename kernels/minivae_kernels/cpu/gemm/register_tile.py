"""The register tile: the innermost loops of every matrix product, emitted as vector FMAs.

C[r, c] = S[r, c] + Σ_k A(r, k) B[k, c] for a few rows and 16 or 32 columns. B is a panel: 32
floats for each k. The accumulators stay in registers over all k, one fused multiply-add
each, k after k: the bits do not depend on the tile's shape or the vector's width. Matrices are
handed over as addresses (address.py).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.simd import (
    INT64,
    PANEL,
    WIDTH,
    const,
    fma_function,
    load_vector,
    loop,
    splat,
    store_vector,
)
from minivae_kernels.cpu.gemm.address import FLOATS, INTEGERS

UNROLL = 4


def make_tile(rows: int, columns: int) -> Any:
    """The tile for `rows` x `columns`; A(r, k) is row r, feature k of activation panels."""

    @intrinsic
    def tile(typingctx: Any, a: Any, a_panel: Any, b: Any, c: Any, s: Any, s_row: Any,
             depth: Any) -> Any:  # fmt: skip
        """The tile at c = the one at s (zeros, a bias, or C so far) + `depth` terms."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a_, a_panel_, b_, c_, s_, s_row_, depth_ = args
            step = _stepper(builder, rows, columns, const(PANEL))

            def panel(i: Any, sums: list[Any]) -> list[Any]:
                first = builder.mul(i, const(PANEL))
                left = builder.sub(depth_, first)
                part = builder.icmp_signed("<", left, const(PANEL))
                count = builder.select(part, left, const(PANEL))
                qa = builder.gep(a_, [builder.mul(i, a_panel_)])
                qb = builder.gep(b_, [builder.mul(first, const(PANEL))])

                def term(k: Any, sums: list[Any]) -> list[Any]:
                    here = builder.gep(qb, [builder.mul(k, const(PANEL))])
                    return step(builder.gep(qa, [k]), here, sums)

                return _unrolled(builder, count, sums, term)

            sums = _load_sums(builder, rows, columns, s_, s_row_)
            panels = builder.sdiv(builder.add(depth_, const(PANEL - 1)), const(PANEL))
            _store_sums(builder, rows, columns, c_, loop(builder, panels, sums, panel))
            return context.get_dummy_value()

        whole = types.int64
        return types.void(FLOATS, whole, FLOATS, FLOATS, FLOATS, whole, whole), emit

    return tile


def make_strided_tile(rows: int, columns: int) -> Any:
    """The same for an A and a B that lie as they come: A(r, k) and B(k, c) at any distances.

    With distances 1 and 32 and A one panel it multiplies by A transposed: r counts its features.
    """

    @intrinsic
    def tile(typingctx: Any, a: Any, a_row: Any, a_k: Any, b: Any, b_k: Any, c: Any, s: Any,
             s_row: Any, depth: Any) -> Any:  # fmt: skip
        """The tile at c = the one at s + `depth` terms."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a_, a_row_, a_k_, b_, b_k_, c_, s_, s_row_, depth_ = args
            step = _stepper(builder, rows, columns, a_row_)

            def term(k: Any, sums: list[Any]) -> list[Any]:
                return step(builder.gep(a_, [builder.mul(k, a_k_)]),
                            builder.gep(b_, [builder.mul(k, b_k_)]), sums)  # fmt: skip

            sums = _load_sums(builder, rows, columns, s_, s_row_)
            _store_sums(builder, rows, columns, c_, _unrolled(builder, depth_, sums, term))
            return context.get_dummy_value()

        whole = types.int64
        given = FLOATS, whole, whole, FLOATS, whole, FLOATS, FLOATS, whole, whole
        return types.void(*given), emit

    return tile


def make_live_tile(rows: int, columns: int, across: bool) -> Any:
    """The same for a list of those k at which A has something: zeros add nothing to a sum.

    across=True: A(r, k) is feature r of row k of one panel (weight gradient: A transposed).
    """
    row_step = 1 if across else PANEL

    @intrinsic
    def tile(typingctx: Any, a: Any, a_panel: Any, b: Any, c: Any, s: Any, s_row: Any, live: Any,
             count: Any) -> Any:  # fmt: skip
        """The tile at c = the one at s + the terms of k = live[0], live[1], …."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a_, a_panel_, b_, c_, s_, s_row_, live_, count_ = args
            step = _stepper(builder, rows, columns, const(row_step))

            def term(i: Any, sums: list[Any]) -> list[Any]:
                k = builder.sext(builder.load(builder.gep(live_, [i])), INT64)
                if across:
                    at = builder.mul(k, const(PANEL))
                else:
                    panel = builder.mul(builder.ashr(k, const(5)), a_panel_)
                    at = builder.add(panel, builder.and_(k, const(PANEL - 1)))
                qb = builder.gep(b_, [builder.mul(k, const(PANEL))])
                return step(builder.gep(a_, [at]), qb, sums)

            sums = _load_sums(builder, rows, columns, s_, s_row_)
            _store_sums(builder, rows, columns, c_, _unrolled(builder, count_, sums, term))
            return context.get_dummy_value()

        whole = types.int64
        given = FLOATS, whole, FLOATS, FLOATS, FLOATS, whole, INTEGERS, whole
        return types.void(*given), emit

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


def _store_sums(builder: Any, rows: int, columns: int, target: Any, sums: list[Any]) -> None:
    for (r, column), value in zip(_grid(rows, columns), sums, strict=True):
        store_vector(builder, value, builder.gep(target, [const(r * PANEL + column)]))


def _stepper(builder: Any, rows: int, columns: int, row_step: Any) -> Any:
    """One k: every accumulator gains A(r, k) B(k, c), with A's rows `row_step` floats apart."""
    multiply_add = fma_function(builder)
    vectors = range(0, columns, WIDTH)

    def step(qa: Any, qb: Any, sums: list[Any]) -> list[Any]:
        right = [load_vector(builder, builder.gep(qb, [const(c)])) for c in vectors]
        out = []
        for r in range(rows):
            at = builder.gep(qa, [builder.mul(row_step, const(r))])
            left = splat(builder, builder.load(at))
            for vector in right:
                out.append(builder.call(multiply_add, (left, vector, sums[len(out)])))
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


@intrinsic
def transpose_block(typingctx: Any, source: Any, s_row: Any, target: Any) -> Any:
    """target[32 c + r] = source[r s_row + c] for a 32 x 32 block, in registers.

    Squares of WIDTH x WIDTH go through log2(WIDTH) rounds of two-vector shuffles. At 1024 x 784 x
    400 it is 1.7 % of the product it serves (106 of 6246 µs, one Zen 4 core).
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ps, row_step, pt = args
        squares = PANEL // WIDTH

        def square(i: Any, _: list[Any]) -> list[Any]:
            row = builder.mul(builder.sdiv(i, const(squares)), const(WIDTH))
            column = builder.mul(builder.srem(i, const(squares)), const(WIDTH))
            at = builder.gep(ps, [builder.add(builder.mul(row, row_step), column)])
            to = builder.gep(pt, [builder.add(builder.mul(column, const(PANEL)), row)])
            rows = [load_vector(builder, builder.gep(at, [builder.mul(row_step, const(r))]))
                    for r in range(WIDTH)]  # fmt: skip
            for r, value in enumerate(_transposed(builder, rows)):
                store_vector(builder, value, builder.gep(to, [const(r * PANEL)]))
            return []

        loop(builder, const(squares * squares), [], square)
        return context.get_dummy_value()

    return types.void(FLOATS, types.int64, FLOATS), emit


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
