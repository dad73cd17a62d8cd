"""Test points drawn at random on which no mistake can hide, and a Hypothesis strategy of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.types import Array

SIZES = (3, 4, 5, 6, 7, 8)  # none 1, and none 2, where a row less its mean is +a and -a


def draw_point(
    spec: dict[str, str], rng: np.random.Generator, scale: float = 1.0, dtype: Any = np.float64
) -> dict[str, Array]:
    """Arrays for shapes written as words of dims: draw_point({"x": "B D", "W": "D H"}, rng).

    Every dim gets a size of its own (no two equal, none 1), entries are distinct, of both signs and
    away from zero. A spec that begins with "int:" draws whole numbers below its last word's size:
    {"labels": "int: B < C"}.
    """
    words = {
        w for text in spec.values() for w in text.replace("int:", "").replace("<", " ").split()
    }
    order = sorted(words)
    if len(order) > len(SIZES):
        raise ValueError(
            f"at most {len(SIZES)} dims can all differ, the spec has {len(order)}: {order}"
        )
    sizes = dict(
        zip(order, (int(n) for n in rng.permutation(SIZES[: max(4, len(order))])), strict=False)
    )
    point: dict[str, Array] = {}
    for name, text in spec.items():
        if text.startswith("int:"):
            shape, _, top = text[4:].partition("<")
            point[name] = rng.integers(0, sizes[top.strip()], [sizes[w] for w in shape.split()])
        else:
            size = [sizes[w] for w in text.split()]
            value = rng.choice([-1.0, 1.0], size) * rng.uniform(0.05, 2.0, size) * scale
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
    seeds, sizes = st.integers(0, 2**32 - 1), st.sampled_from(scales)
    return st.builds(
        lambda s, k: draw_point(spec, np.random.default_rng(s), k, dtype), seeds, sizes
    )
