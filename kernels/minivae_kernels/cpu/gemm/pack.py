"""Between row-major matrices and panels of 32 columns."""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, copy_panel_row
from minivae_kernels.cpu.gemm.address import stretch


@inner
def copy(source, target):
    """target = source, of equal length. A slice set to a slice would be compiled with the text of
    an error about their shapes: 2 s."""
    for i in range(len(target)):
        target[i] = source[i]


@inner
def clear(target):
    """target = 0."""
    for i in range(len(target)):
        target[i] = np.float32(0)


@inner
def unpack_rows(packed, p0, rows, panel, plain, columns, first):
    """One panel's rows, from p0 on, into a row-major matrix from row `first` on."""
    left = columns - panel * PANEL
    for r in range(rows):
        target = (first + r) * columns + panel * PANEL
        if left >= PANEL:
            copy_panel_row(packed, p0 + r * PANEL, plain, target)
        else:
            a = p0 + r * PANEL
            copy(stretch(packed, a, left), stretch(plain, target, left))
