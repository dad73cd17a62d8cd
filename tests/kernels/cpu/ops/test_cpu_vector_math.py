"""The elementwise mathematics: at most 2 ULP for 99 of 100 arguments, and 6 for any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from minivae_kernels.cpu.compile.decorators import OPTIONS
from minivae_kernels.cpu.ops import vector_math as m
from numba import njit

N = 400_000


def every_size(low: int, high: int, signs: bool = True) -> np.ndarray:
    """Arguments spread evenly over the binary exponents low … high."""
    rng = np.random.default_rng(1)
    x = np.ldexp(rng.uniform(1, 2, N), rng.integers(low, high, N))
    return (x * rng.choice([-1, 1], N) if signs else x).astype(np.float32)


def evenly(low: float, high: float) -> np.ndarray:
    return np.random.default_rng(2).uniform(low, high, N).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    t = np.exp(-np.abs(x))
    return np.where(x > 0, 1, t) / (1 + t)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0) + np.log1p(np.exp(-np.abs(x)))


def test_exp_within_has_the_bits_of_exp() -> None:
    @njit(**OPTIONS)
    def both(x: Any, whole: Any, within: Any) -> None:
        for i in range(len(x)):
            whole[i], within[i] = m.exp(x[i]), m.exp_within(x[i])

    x = evenly(-87, 87)
    whole, within = np.full_like(x, np.nan), np.zeros_like(x)
    both(x, whole, within)
    assert whole.tobytes() == within.tobytes()


CASES: list[tuple[str, Callable[..., Any], list[np.ndarray]]] = [
    ("exp", np.exp, [evenly(-104, 88.7), every_size(-30, 6)]),
    ("expm1", np.expm1, [evenly(-40, 88.7), every_size(-30, 6)]),
    ("log", np.log, [every_size(-149, 128, signs=False), evenly(0.5, 2)]),
    ("log1p_unit", np.log1p, [every_size(-60, 0, signs=False), evenly(0, 1)]),
    ("log1p", np.log1p, [every_size(-60, 100, signs=False), evenly(0, 4)]),
    ("tanh", np.tanh, [evenly(-10, 10), every_size(-60, 7)]),
    ("quotient_tanh", np.tanh, [evenly(-10, 10), every_size(-120, 7)]),
    ("sigmoid", sigmoid, [evenly(-100, 100), every_size(-30, 6)]),
    ("softplus", softplus, [evenly(-100, 100), every_size(-30, 6)]),
]


@pytest.mark.parametrize(("name", "truth", "arguments"), CASES, ids=[c[0] for c in CASES])
def test_ulp(name: str, truth: Callable[..., Any], arguments: list[np.ndarray]) -> None:
    function = getattr(m, name)

    @njit(**OPTIONS)
    def apply(x: Any, y: Any) -> None:
        for i in range(len(x)):
            y[i] = function(x[i])

    for x in arguments:
        y = np.full_like(x, np.nan)
        apply(x, y)
        exact = truth(x.astype(np.float64))
        with np.errstate(over="ignore"):
            unit = np.spacing(np.abs(exact.astype(np.float32))).astype(np.float64)
        ulp = np.abs(y - exact) / unit
        assert np.max(ulp) <= 6, (name, x[np.argmax(ulp)])
        assert np.percentile(ulp, 99) <= 2, name


def test_special_values() -> None:
    exp, log = m.exp, m.log

    @njit(**OPTIONS)
    def apply(x: Any, e: Any, l: Any) -> None:
        for i in range(len(x)):
            e[i], l[i] = exp(x[i]), log(x[i])

    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, -1, 200, -200, 1], dtype=np.float32)
    e, l = np.zeros_like(x), np.zeros_like(x)
    apply(x, e, l)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(e, np.exp(x), rtol=2e-7)
        np.testing.assert_array_equal(l, np.log(x))
