"""The budget where terms cancel: one place of an expm1 passes, a careless formula does not."""

from __future__ import annotations

import numpy as np
import pytest

from minivae import ops
from minivae.ops.table import TABLE
from minivae.proof.cancellation import largest_term, ulps


@pytest.fixture
def small() -> tuple[np.ndarray, np.ndarray]:
    """mu and logvar of collapsed dimensions, where expm1(logvar) - logvar loses its digits."""
    rng = np.random.default_rng(3)
    mu, logvar = (1e-3 * rng.normal(size=(200, 5)) for _ in range(2))
    return mu.astype(np.float32), logvar.astype(np.float32)


def of_kl(expm1: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> tuple[float, float]:
    """The worst error in places, of the result and of its largest term."""
    half = np.float32(0.5)
    mine = half * (mu * mu + (expm1 - logvar))
    exact = ops.kl_forward(mu.astype(float), logvar.astype(float))
    term = largest_term("kl_forward", 0, (mu, logvar))
    return float(ulps(mine, exact).max()), float(ulps(mine, exact, term).max())


def test_one_place_of_expm1_is_one_place(small: tuple[np.ndarray, np.ndarray]) -> None:
    mu, logvar = small
    right = np.expm1(logvar.astype(float)).astype(np.float32)
    naive, counted = of_kl(np.nextafter(right, np.float32(9)), mu, logvar)
    assert naive > 100 and counted < 2.5


def test_exp_minus_one_is_still_seen(small: tuple[np.ndarray, np.ndarray]) -> None:
    mu, logvar = small
    _, counted = of_kl(np.exp(logvar) - np.float32(1), mu, logvar)
    assert counted > 100


def test_terms_are_never_smaller_than_what_they_make() -> None:
    """But for a sum of two, which may be as large as twice the larger."""
    rng = np.random.default_rng(4)
    mu, logvar, eps = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)), rng.normal(size=(2, 7, 3))
    tried = [op.forward.__name__ for op in TABLE if op.largest_terms and "mu" in op.args]
    assert {"kl_forward", "latent_forward"} <= set(tried)
    for op in tried:
        args = (mu, logvar) if op == "kl_forward" else (mu, logvar, eps)
        made = getattr(ops, op)(*args)
        for place, out in enumerate(made if isinstance(made, tuple) else (made,)):
            assert (np.abs(out) <= 3 * largest_term(op, place, args)).all()
    assert largest_term("tanh_forward", 0, (mu,)) == 0
