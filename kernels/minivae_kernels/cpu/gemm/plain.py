"""Products that read row-major matrices where they lie, for the ops that Python calls.

The training step keeps its matrices in panels (matmul.py); an op is handed plain ones, and to pack
both took longer than the product itself won. Only C goes through a panel, and of B one panel at a
time where many rows of A need it, or where it is narrower than 32. Every element is added up in
the same order as there.
"""

from __future__ import annotations

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, WIDTH, copy_panel_row, outlined
from minivae_kernels.cpu.gemm.matmul import DEPTH, NOUGHT, STEP
from minivae_kernels.cpu.gemm.register_tile import make_plain_tile, transpose_block

# Rows of A from which on a panel of B is worth packing: its rows lie in as many pages of memory.
MANY = 200

if WIDTH == 16:
    plain_12, plain_4, plain_1 = (make_plain_tile(r, 32) for r in (12, 4, 1))

    @inner
    def multiply_plain(a, a0, a_row, a_k, b, b0, b_k, c, c0, s, s0, s_row, rows, depth):
        """`rows` rows of the panel C = rows of S, s_row apart, + `depth` values of k."""
        outlined()
        r = 0
        while rows - r >= 12:
            plain_12(
                a, a0 + r * a_row, a_row, a_k, b, b0, b_k, c, c0 + r * 32, s, s0 + r * s_row,
                s_row, depth,
            )  # fmt: skip
            r += 12
        while rows - r >= 4:
            plain_4(
                a, a0 + r * a_row, a_row, a_k, b, b0, b_k, c, c0 + r * 32, s, s0 + r * s_row,
                s_row, depth,
            )  # fmt: skip
            r += 4
        while rows - r >= 1:
            plain_1(
                a, a0 + r * a_row, a_row, a_k, b, b0, b_k, c, c0 + r * 32, s, s0 + r * s_row,
                s_row, depth,
            )  # fmt: skip
            r += 1

else:
    plain_6, plain_1 = (make_plain_tile(r, 16) for r in (6, 1))

    @inner
    def multiply_plain(a, a0, a_row, a_k, b, b0, b_k, c, c0, s, s0, s_row, rows, depth):
        """`rows` rows of the panel C = rows of S, s_row apart, + `depth` values of k."""
        outlined()
        for h in range(0, 32, 16):
            r = 0
            while rows - r >= 6:
                plain_6(
                    a, a0 + r * a_row, a_row, a_k, b, b0 + h, b_k, c, c0 + h + r * 32, s,
                    s0 + h + r * s_row, s_row, depth,
                )  # fmt: skip
                r += 6
            while rows - r >= 1:
                plain_1(
                    a, a0 + r * a_row, a_row, a_k, b, b0 + h, b_k, c, c0 + h + r * 32, s,
                    s0 + h + r * s_row, s_row, depth,
                )  # fmt: skip
                r += 1


@inner
def product_panel(a, a0, a_row, a_k, b, b0, b_k, c, c0, s, s0, rows, depth):
    """One panel of C = S + A B, (rows, 32) at c0; S is 32 numbers at s0, the same for each row."""
    block = min(DEPTH, depth)
    multiply_plain(a, a0, a_row, a_k, b, b0, b_k, c, c0, s, s0, NOUGHT, rows, block)
    for k in range(DEPTH, depth, DEPTH):
        block = min(DEPTH, depth - k)
        multiply_plain(
            a, a0 + k * a_k, a_row, a_k, b, b0 + k * b_k, b_k, c, c0, c, c0, STEP, rows, block
        )


@inner
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
        transpose_block(plain, p0 + c, stride, out, o0 + c * PANEL)
    for c in range(whole, columns):
        for r in range(rows):
            out[o0 + c * PANEL + r] = plain[p0 + r * stride + c]
        for r in range(rows, PANEL):
            out[o0 + c * PANEL + r] = 0
