"""Shapes written as words of dims ("L B D"), and test points of such shapes, drawn at random so
that no mistake can hide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minivae.types import Array, Shape

Dims = Mapping[str, int]
SIZES = (3, 4, 5, 6, 7, 8)  # none 1, and none 2, where a row less its mean is +a and -a


def shape_of(words: str, dims: Dims) -> Shape:
    """The shape "L B D" at these sizes; a number stands for itself."""
    return tuple(int(word) if word.isdigit() else dims[word] for word in words.split())


def draw_point(
    spec: dict[str, str], rng: np.random.Generator, scale: float = 1.0, dtype: Any = np.float64
) -> dict[str, Array]:
    """Arrays for shapes written as words of dims: draw_point({"x": "B D", "W": "D H"}, rng).

    Every dim gets a size of its own (no two equal, none 1; a number is its own size), entries are
    distinct, of both signs and away from zero. A spec that begins with "int:" draws whole numbers
    below its last word's size: {"labels": "int: B < C"}. Raises ValueError for more dims than there
    are sizes, and for whole numbers below nothing.
    """
    words = set(" ".join(spec.values()).replace("int:", "").replace("<", " ").split())
    order = sorted(word for word in words if not word.isdigit())
    if len(order) > len(SIZES):
        raise ValueError(f"of {len(order)} dims at most {len(SIZES)} can all differ: {order}")
    drawn = rng.permutation(SIZES[: max(4, len(order))])
    sizes = dict(zip(order, drawn.tolist(), strict=False))
    point: dict[str, Array] = {}
    for name, text in spec.items():
        dims, _, top = text.removeprefix("int:").partition("<")
        if text.startswith("int:") and not top.strip():
            raise ValueError(f"{name}: whole numbers below C are written int: B < C, not {text!r}")
        shape = shape_of(dims, sizes)
        if top:
            point[name] = rng.integers(0, shape_of(top, sizes)[-1], shape)
        else:
            value = rng.choice([-1.0, 1.0], shape) * rng.uniform(0.05, 2.0, shape) * scale
            point[name] = np.asarray(value, dtype=dtype)
    return point


def points(
    spec: dict[str, str], dtype: Any = np.float64, scales: tuple[float, ...] = (1.0, 1e-3, 1e3)
) -> Any:
    """A Hypothesis strategy of valid, linted test points (dicts of arrays); see `draw_point`.

        @given(points({"x": "B D", "gamma": "D", "beta": "D"}))
        def test(point): check(forward, backward, point).raise_if_failed()

    Raises ImportError where Hypothesis is not installed.
    """
    try:
        from hypothesis import strategies as st
    except ImportError as error:
        raise ImportError("points() needs hypothesis: pip install 'minivae[verify]'") from error
    draw = lambda s, k: draw_point(spec, np.random.default_rng(s), k, dtype)  # noqa: E731
    return st.builds(draw, st.integers(0, 2**32 - 1), st.sampled_from(scales))
