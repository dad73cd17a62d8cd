"""The host device with products whose inputs keep few bits, as a card's TF32 would."""

from __future__ import annotations

from typing import Any

import numpy as np
from minivae_kernels.gpu.host_device import HostDevice


def kept(a: np.ndarray, bits: int, nearest: bool) -> np.ndarray:
    """float32 with so many bits of mantissa: rounded to the nearest, or the rest cut off."""
    drop = 23 - bits
    words = np.ascontiguousarray(a, dtype=np.float32).view(np.uint32)
    half = np.uint32(1 << (drop - 1)) if nearest else np.uint32(0)
    short = ((words + half) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)
    return np.where(np.isnan(a), np.float32(np.nan), short)  # a carry would make it -0


class RoundingDevice(HostDevice):
    """A stand-in for TF32: 10 bits are what the format keeps."""

    def __init__(self, bits: int = 10, *, nearest: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.bits, self.nearest = bits, nearest

    def matmul(self, a: Any, b: Any, out: Any, *, accumulate: bool = False) -> None:
        """out = a b, or out += a b, the inputs rounded when the product is made."""

        def work() -> None:
            short = (kept(x, self.bits, self.nearest) for x in (a, b))
            with np.errstate(over="ignore", invalid="ignore"):
                product = np.matmul(*short)
            out[...] = out + product if accumulate else product

        work() if self.recording is None else self.recording.append(work)
