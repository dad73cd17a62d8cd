"""Frames of numbers and words, as tables are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def made_frame(
    seed: int,
    numbers: Mapping[str, tuple[float, float, int]],
    words: Mapping[str, Sequence[str]],
) -> Any:
    """Thirty rows in pandas: normal numbers (mean, deviation, digits) by column, then words."""
    import pandas

    rng = np.random.default_rng(seed)
    drawn = {name: rng.normal(m, s, 30).round(digits) for name, (m, s, digits) in numbers.items()}
    return pandas.DataFrame(
        drawn | {name: rng.choice(any_of, 30) for name, any_of in words.items()}
    )
