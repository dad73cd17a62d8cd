"""Products that read row-major matrices where they lie, for the ops that Python calls.

The training step keeps its matrices in panels (matmul.py); an op is handed plain ones, and to pack
both took longer than the product itself won. Only C goes through a panel, and of B one panel at a
time where many rows of A need it, or where it is narrower than 32. Every element is added up in
the same order as there.
"""

from __future__ import annotations

from minivae_kernels.cpu.compile.by_address import ARRAY
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.shared import shared
from minivae_kernels.cpu.compile.simd import PANEL, WIDTH, copy_panel_row
from minivae_kernels.cpu.gemm.address import FLOATS, address, ahead
from minivae_kernels.cpu.gemm.ladder import make_strided_ladder
from minivae_kernels.cpu.gemm.matmul import DEPTH, NOUGHT, STEP
from minivae_kernels.cpu.gemm.register_tile import WHOLE, transpose_block
from minivae_kernels.cpu.gemm.terms import FLOAT32

# Rows of A from which on a panel of B is worth packing: its rows lie in as many pages of memory.
MANY = 200


COLUMNS = 2 * WIDTH if WIDTH == 16 else 16  # of a tile
by_tiles = make_strided_ladder(COLUMNS, (12, 4, 1) if WIDTH == 16 else (6, 1), FLOAT32)


@shared(FLOATS, WHOLE, WHOLE, FLOATS, WHOLE, FLOATS, FLOATS, WHOLE, WHOLE, WHOLE)
def multiply_plain(a, a_row, a_k, b, b_k, c, s, s_row, rows, depth):
    """`rows` rows of the panel C = rows of S, s_row apart, + `depth` values of k."""
    for h in range(0, PANEL, COLUMNS):
        by_tiles(a, a_row, a_k, ahead(b, h), b_k, ahead(c, h), ahead(s, h), s_row, rows, depth)


@inner
def product_panel(a, a_row, a_k, b, b_k, c, s, rows, depth):
    """One panel of C = S + A B, (rows, 32) at c; S is 32 numbers, the same for each row."""
    multiply_plain(a, a_row, a_k, b, b_k, c, s, NOUGHT, rows, min(DEPTH, depth))
    for k in range(DEPTH, depth, DEPTH):
        ak, bk = ahead(a, k * a_k), ahead(b, k * b_k)
        multiply_plain(ak, a_row, a_k, bk, b_k, c, c, STEP, rows, min(DEPTH, depth - k))


@shared(ARRAY, WHOLE, WHOLE, WHOLE, WHOLE, ARRAY, WHOLE)
def pack_columns(plain, p0, stride, rows, columns, out, o0):
    """`columns` columns of a matrix, at most 32, as a panel that is filled up with zeros."""
    if columns == PANEL:
        for r in range(rows):
            copy_panel_row(plain, p0 + r * stride, out, o0 + r * PANEL)
        return
    for r in range(rows):
        for c in range(columns):
            out[o0 + r * PANEL + c] = plain[p0 + r * stride + c]
        for c in range(columns, PANEL):
            out[o0 + r * PANEL + c] = 0


@inner
def transpose_rows(plain, p0, stride, rows, columns, out, o0):
    """out[o0 + c 32 + r] = plain[p0 + r stride + c]; `rows`, at most 32, are filled up with zeros.

    Only whole blocks of 32 x 32 go through registers.
    """
    whole = columns // PANEL * PANEL if rows == PANEL else 0
    for c in range(0, whole, PANEL):
        transpose_block(address(plain, p0 + c), stride, address(out, o0 + c * PANEL))
    for c in range(whole, columns):
        for r in range(rows):
            out[o0 + c * PANEL + r] = plain[p0 + r * stride + c]
        for r in range(rows, PANEL):
            out[o0 + c * PANEL + r] = 0
