"""Numbered versions of five kernels, slow to fast: one idea a step, the chosen one at the top."""

from __future__ import annotations

import importlib

from minivae_kernels.ladder.base import Ladder, Version

NAMES = ("product", "likelihood", "latent", "adam", "exp")

__all__ = ["NAMES", "Ladder", "Version", "load"]


def load(name: str) -> Ladder:
    """The ladder of one op; importing it imports Numba. Raises ValueError for another name."""
    if name not in NAMES:
        raise ValueError(f"unknown ladder {name!r}: choose {', '.join(NAMES)}")
    module = importlib.import_module(f"minivae_kernels.ladder.{name}")
    ladder: Ladder = module.LADDER
    return ladder
