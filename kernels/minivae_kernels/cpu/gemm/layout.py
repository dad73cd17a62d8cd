"""Where matrices lie: panels of 32 columns in one flat, aligned buffer of float32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minivae_kernels.cpu.compile.simd import PANEL


class PanelMatrix(NamedTuple):
    """A matrix in panels: its first float, and how far apart the panels lie."""

    start: int
    panel: int


def panels(columns: int) -> int:
    """Panels that so many columns fill."""
    return -(-columns // PANEL)


def row_stride(rows: int) -> int:
    """Floats from one panel of activations to the next.

    Twelve rows more than a multiple of 32, so that neighbouring panels do not fall into the same
    sets of the first-level cache (32 KiB, 8 ways: a power of two would).
    """
    return (-(-rows // PANEL) * PANEL + 12) * PANEL


class Arena:
    """Hands out places in one flat buffer."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, floats: int) -> int:
        """The first of so many floats, on a cache line."""
        start = self.size
        self.size += -(-floats // PANEL) * PANEL
        return start

    def matrix(self, columns: int, panel: int) -> PanelMatrix:
        """A matrix of `columns` columns with its panels `panel` floats apart."""
        return PanelMatrix(self.take(panels(columns) * panel), panel)


def aligned(floats: int) -> np.ndarray:
    """`floats` zeros that begin on a cache line (64 bytes)."""
    raw = np.zeros(floats + 16, dtype=np.float32)
    start = -(raw.ctypes.data // 4) % 16
    return raw[start : start + floats]
