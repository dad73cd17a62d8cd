"""What an elementwise op adds up: where its terms nearly cancel, they set the size of a rounding.

z = μ + σ ε may come out a thousand times smaller than μ, and so may expm1(logvar) - logvar. One
last place of such a result says nothing about the kernel: an expm1 that is one place off, as a
card's or a processor's may be, is then hundreds off. Counted at the largest term it stays one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.ops.table import FUNCTIONS
from minivae.types import Array


def largest_term(op: str, place: int, args: tuple[Any, ...]) -> Array | float:
    """The largest term of every entry of output `place`; 0 where nothing can cancel."""
    terms = FUNCTIONS[op].op.largest_terms if FUNCTIONS[op].backward is None else ()
    if place >= len(terms):
        return 0.0
    wide = (np.asarray(a, dtype=np.float64) for a in args)
    return np.asarray(terms[place](*wide))


def ulps(got: Array, exact: Array, term: Array | float = 0.0, slack: Array | float = 0.0) -> Array:
    """|got - exact| in units of float32's last place, of the exact value or its largest term.

    slack: what of it costs nothing, for another reason than rounding.
    """
    size = np.maximum(np.abs(exact), term).astype(np.float32)
    gap = np.maximum(np.abs(got.astype(np.float64) - exact) - slack, 0.0)  # NaN stays
    return np.asarray(gap / np.spacing(size).astype(np.float64))
