"""The decoder's last layer and its likelihood at once: the outputs themselves are never stored.

Evaluation asks for -log p(x | z) of a million draws and looks at no output. Here a panel of 32
outputs is scored as soon as it is made; what is kept for a row are 32 running sums. The numbers
are those of `dense_forward` followed by the likelihood's op, bit for bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.address import address, stretch
from minivae_kernels.cpu.gemm.layout import aligned
from minivae_kernels.cpu.gemm.matmul import NOUGHT, ONE, STEP, halves_of
from minivae_kernels.cpu.gemm.pack import clear
from minivae_kernels.cpu.gemm.plain import pack_columns, product_panel
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.ops.dense import pack_piece, packed_room
from minivae_kernels.cpu.ops.likelihoods import LIKELIHOODS
from minivae_kernels.cpu.threads.count import crew_for, team
from minivae_kernels.cpu.threads.crew import at_most, laid_out, share_out
from minivae_kernels.support import Unsupported

f32 = np.float32
ROWS = 192  # at a time: six panels of so many rows lie in the second-level cache
PART = np.int64(ROWS * PANEL)
LINES = 64  # panels whose sums are kept in float32, and whose factors are multiplied together


class OutputWork(NamedTuple):
    """What a piece is given: a likelihood, the last layer and its input, the data, the result."""

    loop: int
    numbers: tuple[float, float, float, float]  # weight, constant, logarithms, log-scale
    h: np.ndarray  # (R, H), this and all below flat
    packed: np.ndarray  # W (H, D) in panels
    b: np.ndarray
    x: np.ndarray  # (B, D)
    nll: np.ndarray  # (R,)
    inputs: int
    outputs: int


@inner
def score_piece(k, member, s, scratch, totals):
    """-log p(x | z) of ROWS rows of h.

    A member's row of `scratch`: outputs, targets, terms, factors and their running sums and
    products, ROWS x 32 each; 32 of b. Of `totals`: ROWS sums of terms, and of logarithms.
    """
    own, first, kept = scratch[member], k * ROWS, totals[member]
    count = min(ROWS, len(s.nll) - first)
    weight, constant, logarithms, log_scale = s.numbers
    for r in range(2 * ROWS):
        kept[r] = 0.0
    across = (s.outputs + PANEL - 1) // PANEL
    for panel in range(across):
        score_panel(s, own, panel, first, count)
        if panel % LINES == LINES - 1 or panel == across - 1:
            add_up(own, kept, count)
    precision = np.exp(-log_scale)
    for r in range(count):
        total = kept[r]
        if logarithms != 0:
            total += kept[ROWS + r]
        whole = s.outputs * (constant + log_scale) + precision * total
        s.nll[first + r] = f32(weight * whole)


@inner
def score_panel(s, own, panel, first, count):
    """32 outputs of `count` rows, their terms and factors added to what is kept of each row."""
    n, bias = count * PANEL, np.int64(6 * PART)
    if panel % LINES == 0:
        clear(stretch(own, 4 * PART, n))
        for i in range(n):
            own[5 * PART + i] = f32(1)
    column = panel * PANEL
    wide = min(PANEL, s.outputs - column)
    pack_columns(s.b, column, NOUGHT, ONE, wide, own, bias)
    product_panel(
        address(s.h, first * s.inputs), s.inputs, ONE, address(s.packed, column * s.inputs), STEP,
        address(own, NOUGHT), address(own, NOUGHT), STEP, address(own, bias), count, s.inputs,
        halves_of(s.outputs, panel),
    )  # fmt: skip
    targets(s.x, column, s.outputs, first, count, wide, own)
    given = (
        stretch(own, NOUGHT, n), stretch(own, PART, n), stretch(own, 2 * PART, n),
        stretch(own, 3 * PART, n), f32(0),
    )  # fmt: skip
    call(s.loop, given)
    collect(own, n, wide)


@entry
def output_nll_kernel(crew, loop, numbers, h, W, b, x, nll, sizes, scratch, totals, packed):
    """-log p(x | z) of rows h (R, H) against x (B, D), all row-major, shared out."""
    inputs, outputs = sizes
    job = laid_out(pack_piece, (W, inputs, outputs, packed))
    share_out(crew, job, (outputs + PANEL - 1) // PANEL, inputs * outputs)
    score = OutputWork(loop, numbers, h, packed, b, x, nll, inputs, outputs)
    count = (len(nll) + ROWS - 1) // ROWS
    work = len(nll) * inputs * outputs // 16
    job = at_most(laid_out(score_piece, (score, scratch, totals)), len(scratch))
    share_out(crew, job, count, work)


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
    terms, factors = stretch(own, 2 * PART, n), stretch(own, 3 * PART, n)
    sums, products = stretch(own, 4 * PART, n), stretch(own, 5 * PART, n)
    for i in range(n):
        sums[i] = sums[i] + terms[i]
        products[i] = products[i] * factors[i]


@inner
def add_up(own, kept, count):
    """The lanes of each row in float64, and the logarithms of its products."""
    logarithms = stretch(own, 3 * PART, count * PANEL)
    products = stretch(own, 5 * PART, count * PANEL)
    for i in range(len(products)):
        logarithms[i] = m.log(products[i])
    for r in range(count):
        for i in range(r * PANEL, (r + 1) * PANEL):
            kept[r] += np.float64(own[4 * PART + i])
            kept[ROWS + r] += np.float64(logarithms[i])


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
        numbers = of.weight, of.constant, float(of.logarithms), scale
        crew = crew_for(rows * outputs * inputs // 16)
        floats = 6 * PART + PANEL
        scratch = aligned(team() * floats).reshape(-1, floats)
        totals = np.empty((len(scratch), 2 * ROWS))
        packed = packed_room(inputs, outputs)
        output_nll_kernel(crew, of.loop.address, numbers, flat(h), flat(W), flat(b), flat(x),
                          nll.reshape(-1), (inputs, outputs), scratch, totals, packed)  # fmt: skip
    return nll
