"""Rows of a product by register tiles of falling sizes, each for what the last left.

Emitted whole: as functions that call each other they took longer to compile than the tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic

from minivae_kernels.cpu.compile.simd import PANEL, const, loop
from minivae_kernels.cpu.gemm.address import FLOATS
from minivae_kernels.cpu.gemm.product_terms import ProductTerms
from minivae_kernels.cpu.gemm.register_tile import WHOLE, emit_strided_tile, emit_tile

Places = tuple[Any, ...]  # addresses of one row of A, of C and of S
Emit = Callable[[int, Places], None]


def make_ladder(columns: int, sizes: Sequence[int], terms: ProductTerms) -> Any:
    """The ladder over panels: of tiles with so many columns, of these numbers of rows."""

    @intrinsic
    def by_tiles(typingctx: Any, a: Any, a_panel: Any, b: Any, b_panel: Any, c: Any, s: Any,
                 s_row: Any, rows: Any, depth: Any) -> Any:  # fmt: skip
        """`rows` rows of C = rows of S, s_row apart, + `depth` terms."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a_, a_panel_, b_, b_panel_, c_, s_, s_row_, rows_, depth_ = args

            def tile(size: int, at: Places) -> None:
                given = at[0], a_panel_, b_, b_panel_, at[1], at[2], s_row_, depth_
                emit_tile(builder, (size, columns), terms, given)

            steps = const(terms.row), const(PANEL), s_row_
            _fall(builder, sizes, rows_, (a_, c_, s_), steps, tile)
            return context.get_dummy_value()

        kinds = FLOATS, WHOLE, FLOATS, WHOLE, FLOATS, FLOATS, WHOLE, WHOLE, WHOLE
        return types.void(*kinds), emit

    return by_tiles


def make_strided_ladder(columns: int, sizes: Sequence[int], terms: ProductTerms) -> Any:
    """The ladder of tiles that are told how far apart everything lies."""

    @intrinsic
    def by_tiles(typingctx: Any, a: Any, a_row: Any, a_k: Any, b: Any, b_k: Any, c: Any, c_row: Any,
                 s: Any, s_row: Any, rows: Any, depth: Any) -> Any:  # fmt: skip
        """`rows` rows of C, c_row apart, = rows of S, s_row apart, + `depth` terms."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a_, a_row_, a_k_, b_, b_k_, c_, c_row_, s_, s_row_, rows_, depth_ = args

            def tile(size: int, at: Places) -> None:
                given = at[0], a_row_, a_k_, b_, b_k_, at[1], c_row_, at[2], s_row_, depth_
                emit_strided_tile(builder, (size, columns), terms, given)

            steps = a_row_, c_row_, s_row_
            _fall(builder, sizes, rows_, (a_, c_, s_), steps, tile)
            return context.get_dummy_value()

        kinds = FLOATS, WHOLE, WHOLE, FLOATS, WHOLE, FLOATS, WHOLE, FLOATS, WHOLE, WHOLE, WHOLE
        return types.void(*kinds), emit

    return by_tiles


def _fall(
    builder: Any, sizes: Sequence[int], rows: Any, places: Places, steps: Places, tile: Emit
) -> None:
    """tile(size, places) for every `size` rows, then the next size; steps: from row to row."""

    def ahead(places: Places, rows: Any) -> Places:
        return tuple(
            builder.gep(place, [builder.mul(rows, step)])
            for place, step in zip(places, steps, strict=True)
        )

    for size in sizes:

        def turn(i: Any, _: list[Any], size: int = size, places: Places = places) -> list[Any]:
            tile(size, ahead(places, builder.mul(i, const(size))))
            return []

        turns = builder.sdiv(rows, const(size))
        loop(builder, turns, [], turn)
        done = builder.mul(turns, const(size))
        places, rows = ahead(places, done), builder.sub(rows, done)
