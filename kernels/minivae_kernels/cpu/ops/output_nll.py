"""The decoder's last layer and its likelihood at once: the outputs themselves are never stored.

Evaluation asks for -log p(x | z) of a million draws and looks at no output. Here a panel of 32
outputs is scored as soon as it is made; what is kept for a row are 32 running sums. The numbers
are those of `dense_forward` followed by the likelihood's op, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels import Unsupported
from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.cpu.gemm.layout import aligned, panels
from minivae_kernels.cpu.gemm.matmul import NOUGHT, ONE, STEP
from minivae_kernels.cpu.gemm.plain import pack_columns, product_panel
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.ops.likelihoods import LIKELIHOODS
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.partition import OWN, deal, next_piece, row_pieces
from minivae_kernels.cpu.threads.pool import run

f32 = np.float32
ROWS = 192  # at a time: six panels of so many rows lie in the second-level cache
PART = ROWS * PANEL
LINES = 64  # panels whose sums are kept in float32, and whose factors are multiplied together


@entry
def output_nll_kernel(member, team, sync, numbers, h, W, b, x, nll, shape, scratch, work):
    """-log p(x | z) of rows h (R, H) against x (B, D), all row-major.

    numbers: the likelihood's loop (its address), weight, constant, whether it has factors, and its
    log-scale. shape: (inputs, outputs) of W. A member's row of `scratch`: outputs, targets, terms,
    factors and their running sums and products, ROWS x 32 each; 32 of b; a panel of W.
    """
    crew, own, (pieces, firsts) = (sync, member, team), scratch[member], work
    inputs, outputs = shape
    bias, panel0 = np.int64(6 * PART), np.int64(6 * PART + PANEL)
    loop, weight, constant, logarithms, log_scale = numbers
    precision = np.exp(-log_scale)
    across = (outputs + PANEL - 1) // PANEL
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        first, count = pieces[k, 1], pieces[k, 2]
        n = count * PANEL
        sums, logs = np.zeros(count), np.zeros(count)
        for panel in range(across):
            if panel % LINES == 0:
                own[4 * PART : 4 * PART + n] = f32(0)
                own[5 * PART : 5 * PART + n] = f32(1)
            column = panel * PANEL
            wide = min(PANEL, outputs - column)
            pack_columns(b, column, NOUGHT, ONE, wide, own, bias)
            pack_columns(W, column, outputs, inputs, wide, own, panel0)
            product_panel(
                address(h, first * inputs), inputs, ONE, address(own, panel0), STEP,
                address(own, NOUGHT), address(own, bias), count, inputs,
            )  # fmt: skip
            targets(x, column, outputs, first, count, wide, own)
            given = (
                own[:n], own[PART : PART + n], own[2 * PART : 2 * PART + n],
                own[3 * PART : 3 * PART + n], f32(0),
            )  # fmt: skip
            call(loop, given)
            collect(own, n, wide)
            if panel % LINES == LINES - 1 or panel == across - 1:
                add_up(own, sums, logs)
        for r in range(count):
            total = sums[r]
            if logarithms != 0:
                total += logs[r]
            nll[first + r] = f32(weight * (outputs * (constant + log_scale) + precision * total))
        turn, k = next_piece(crew, firsts[0], turn)


@inner
def targets(x, column, width, first, count, wide, own):
    """The data of these rows and columns; row r of all belongs to datum r % B."""
    B = len(x) // width
    for r in range(count):
        at = PART + r * PANEL
        pack_columns(x, (first + r) % B * width + column, NOUGHT, ONE, wide, own, at)


@inner
def collect(own, n, wide):
    """A panel's terms and factors into the running sums and products; padding counts nothing."""
    if wide < PANEL:
        for at in range(0, n, PANEL):
            for i in range(at + wide, at + PANEL):
                own[2 * PART + i] = f32(0)
                own[3 * PART + i] = f32(1)
    terms, factors = own[2 * PART : 2 * PART + n], own[3 * PART : 3 * PART + n]
    sums, products = own[4 * PART : 4 * PART + n], own[5 * PART : 5 * PART + n]
    for i in range(n):
        sums[i] = sums[i] + terms[i]
        products[i] = products[i] * factors[i]


@inner
def add_up(own, sums, logs):
    """The lanes of each row in float64, and the logarithms of its products."""
    logarithms = own[3 * PART : 3 * PART + len(sums) * PANEL]
    products = own[5 * PART : 5 * PART + len(sums) * PANEL]
    for i in range(len(products)):
        logarithms[i] = m.log(products[i])
    for r in range(len(sums)):
        for i in range(r * PANEL, (r + 1) * PANEL):
            sums[r] += np.float64(own[4 * PART + i])
            logs[r] += np.float64(logarithms[i])


def output_nll(likelihood: str, h: Any, W: Any, b: Any, x: Any, *log_scale: Any) -> np.ndarray:
    """-log p(x | z) in nats: h (L B, H), W (H, D), b (D,), x (B, D) -> (L, B)   (E5, E20, E23)

    Raises minivae_kernels.Unsupported for a likelihood that has no kernel, or other precisions.
    """
    op = "output_nll"
    if likelihood not in LIKELIHOODS or len(log_scale) > 1:
        raise Unsupported(likelihood, f"{op}: no kernel for likelihood {likelihood!r}")
    W = matrix(op, "W", W, (None, None))
    h, b = matrix(op, "h", h, (None, len(W))), matrix(op, "b", b, (W.shape[1],))
    x = matrix(op, "x", x, (None, W.shape[1]))
    float32_only(op, h, W, b, x, *log_scale)
    (rows, inputs), outputs = h.shape, W.shape[1]
    nll = fresh((rows // max(len(x), 1), len(x)))
    if nll.size != rows:
        raise ValueError(f"{op}: {rows} rows of h do not go with {len(x)} of x")
    if rows:
        of = LIKELIHOODS[likelihood]
        scale = float(log_scale[0]) if log_scale else 0.0
        numbers = of.loop.address, of.weight, of.constant, float(of.logarithms), scale
        team = team_for(rows * outputs * inputs / 16)
        args = flat(h), flat(W), flat(b), flat(x), nll.reshape(-1), (inputs, outputs)
        work = deal([row_pieces(0, rows, ROWS, team)])
        floats = 6 * PART + PANEL + panels(inputs) * PANEL * PANEL
        scratch = aligned(team * floats).reshape(team, floats)
        run(output_nll_kernel, team, numbers, *args, scratch, work)
    return nll
