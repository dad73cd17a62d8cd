"""The GPU's ladders: the product to tensor cores, likelihood and latent head from array calls to
one pass, the step to a graph.

A ladder is made for a device, so that the same rungs run on a card and, in the tests, on the host
build. Timing them says something on a card only; benchmarks/results/ladder-gpu.jsonl has such rows.
"""

from __future__ import annotations

import importlib
from typing import Any

from minivae_kernels.ladder.base import Ladder

NAMES = ("product", "likelihood", "latent", "step")


def load(name: str, device: Any = None) -> Ladder:
    """The ladder of one op on a device (None: this machine's card).

    Raises ValueError for another name, minivae_kernels.Unavailable where there is no card.
    """
    if name not in NAMES:
        raise ValueError(f"unknown GPU ladder {name!r}: choose {', '.join(NAMES)}")
    if device is None:
        from minivae_kernels.gpu.cupy_device import CupyDevice

        device = CupyDevice()
    ladder: Ladder = importlib.import_module(f"minivae_kernels.ladder.gpu.{name}").ladder(device)
    return ladder
