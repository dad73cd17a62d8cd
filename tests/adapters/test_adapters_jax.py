"""check_jax against JAX itself."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
from minivae.adapters import check_jax  # noqa: E402

X = np.random.default_rng(0).normal(size=(4, 3))


def custom(factor):
    @jax.custom_vjp
    def cube(x, k):
        return k * x**3

    cube.defvjp(
        lambda x, k: (k * x**3, (x, k)),
        lambda c, dy: (factor * 3 * c[1] * c[0] ** 2 * dy, (dy * c[0] ** 3).sum()),
    )
    return cube


def test_a_rule_of_custom_vjp():
    assert check_jax(custom(1), X, np.float64(0.7)).ok
    wrong = check_jax(custom(-1), X, np.float64(0.7))
    assert [(f.tensor, f.kind) for f in wrong.faults] == [("arg0", "sign")]


def test_a_rule_of_custom_jvp():
    def made(factor):
        f = jax.custom_jvp(lambda x: jax.numpy.sin(x))
        f.defjvp(lambda p, t: (jax.numpy.sin(p[0]), factor * jax.numpy.cos(p[0]) * t[0]))
        return f

    assert check_jax(made(1), X).ok and not check_jax(made(2), X).ok


def test_second_order():
    assert check_jax(lambda x: x**3, X, second_order=True).ok
