"""Products that read row-major matrices where they lie, for the ops that Python calls.

The training step keeps its matrices in panels (matmul.py); an op is handed plain ones, and to pack
both took longer than the product itself won. Of B a panel is packed where many rows of A need it;
of C one is kept between blocks of k, and where an activation follows. Every element is added up in
the same order as there.
"""

from __future__ import annotations

from minivae_kernels.cpu.compile.by_address import ARRAY
from minivae_kernels.cpu.compile.compiled_once import compiled_once
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, WIDTH, copy_panel_row
from minivae_kernels.cpu.gemm.address import FLOATS, address, ahead
from minivae_kernels.cpu.gemm.ladder import make_strided_ladder
from minivae_kernels.cpu.gemm.matmul import DEPTH, NOUGHT, STEP
from minivae_kernels.cpu.gemm.product_terms import FLOAT32
from minivae_kernels.cpu.gemm.register_tile import WHOLE, transpose_block

# Rows of A from which on a panel of B is worth packing: its rows lie in as many pages of memory.
MANY = 200


if WIDTH == 16:
    wide = make_strided_ladder(32, (12, 4, 1), FLOAT32)
    narrow = make_strided_ladder(16, (4, 1), FLOAT32)

    @inner
    def by_halves(a, a_row, a_k, b, b_k, c, c_row, s, s_row, rows, depth, halves):
        """Both halves of a panel at once, or the first alone."""
        if halves == 2:
            wide(a, a_row, a_k, b, b_k, c, c_row, s, s_row, rows, depth)
        else:
            narrow(a, a_row, a_k, b, b_k, c, c_row, s, s_row, rows, depth)

else:
    by_tiles = make_strided_ladder(16, (6, 1), FLOAT32)

    @inner
    def by_halves(a, a_row, a_k, b, b_k, c, c_row, s, s_row, rows, depth, halves):
        """Sixteen columns at a time, for vectors of eight floats or four."""
        for h in range(0, 16 * halves, 16):
            bh, ch, sh = ahead(b, h), ahead(c, h), ahead(s, h)
            by_tiles(a, a_row, a_k, bh, b_k, ch, c_row, sh, s_row, rows, depth)


@compiled_once(
    FLOATS, WHOLE, WHOLE, FLOATS, WHOLE, FLOATS, WHOLE, FLOATS, WHOLE, WHOLE, WHOLE, WHOLE
)
def multiply_plain(a, a_row, a_k, b, b_k, c, c_row, s, s_row, rows, depth, halves):
    """`rows` rows of C, c_row apart, = rows of S, s_row apart, + `depth` values of k.

    halves: whether all 32 columns are wanted (2), or the first 16.
    """
    by_halves(a, a_row, a_k, b, b_k, c, c_row, s, s_row, rows, depth, halves)


@inner
def product_panel(a, a_row, a_k, b, b_k, own, c, c_row, s, rows, depth, halves):
    """One panel of C = S + A B; S is 32 numbers, the same for each row.

    Between blocks of k the sums lie at `own`, (rows, 32); the last block leaves them at c, whose
    rows are c_row apart: `own` too, or the result's own memory, a tile at a time, between two of
    which there is time to fetch it.
    """
    last, so_far, so_far_row = max(depth - 1, 0) // DEPTH * DEPTH, s, NOUGHT
    for k in range(0, last, DEPTH):
        ak, bk = ahead(a, k * a_k), ahead(b, k * b_k)
        multiply_plain(
            ak, a_row, a_k, bk, b_k, own, STEP, so_far, so_far_row, rows, DEPTH, halves
        )  # fmt: skip
        so_far, so_far_row = own, STEP
    al, bl = ahead(a, last * a_k), ahead(b, last * b_k)
    multiply_plain(
        al, a_row, a_k, bl, b_k, c, c_row, so_far, so_far_row, rows, depth - last, halves
    )  # fmt: skip


@compiled_once(ARRAY, WHOLE, WHOLE, WHOLE, WHOLE, ARRAY, WHOLE)
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
        transpose_block(address(plain, p0 + c), stride, address(out, o0 + c * PANEL), STEP)
    for c in range(whole, columns):
        for r in range(rows):
            out[o0 + c * PANEL + r] = plain[p0 + r * stride + c]
        for r in range(rows, PANEL):
            out[o0 + c * PANEL + r] = 0


@inner
def unpack_across(packed, rows, columns, out, o0, stride):
    """out[o0 + c stride + r] = packed[32 r + c]: `columns` columns of a panel become rows."""
    whole = rows // PANEL * PANEL if columns == PANEL else 0
    for r in range(0, whole, PANEL):
        transpose_block(address(packed, r * PANEL), STEP, address(out, o0 + r), stride)
    for r in range(whole, rows):
        for c in range(columns):
            out[o0 + c * stride + r] = packed[r * PANEL + c]
