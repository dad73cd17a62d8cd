"""What an elementwise op adds up: where its terms nearly cancel, they set the size of a rounding.

z = μ + σ ε may come out a thousand times smaller than μ, and so may expm1(logvar) - logvar. One
last place of such a result says nothing about the kernel: an expm1 that is one place off, as a
card's or a processor's may be, is then hundreds off. Counted at the largest term it stays one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.types import Array


def _draw(mu: Array, logvar: Array, eps: Array) -> Array:
    return np.maximum(np.abs(mu), np.exp(0.5 * logvar) * np.abs(eps))


def _kl(mu: Array, logvar: Array) -> Array:
    both = np.maximum(np.abs(np.expm1(logvar)), np.abs(logvar))
    return np.asarray(0.5 * np.maximum(mu * mu, both))


# op -> for each output, its largest term in float64
TERMS: dict[str, tuple[Callable[..., Array], ...]] = {
    "kl_forward": (_kl,),
    "reparameterise_forward": (_draw,),
    "latent_forward": (_draw, lambda mu, logvar, eps: _kl(mu, logvar)),
}


def largest_term(op: str, place: int, args: tuple[Any, ...]) -> Array | float:
    """The largest term of every entry of output `place`; 0 where nothing can cancel."""
    if op not in TERMS:
        return 0.0
    wide = (np.asarray(a, dtype=np.float64) for a in args)
    return np.asarray(TERMS[op][place](*wide))


def ulps(got: Array, exact: Array, term: Array | float = 0.0) -> Array:
    """|got - exact| in units of float32's last place, of the exact value or its largest term."""
    size = np.maximum(np.abs(exact), term).astype(np.float32)
    return np.abs(got.astype(np.float64) - exact) / np.spacing(size).astype(np.float64)
