"""What an optimiser or an objective has to stand: each kind of fault is seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from minivae import parts
from tests.parts.test_parts_checks import ELBO, refusal


def plain(theta, grad, lr):
    theta -= lr * grad


def by_a_global(theta, grad, lr, kept={}):  # noqa: B006
    kept[theta.shape] = 0.9 * kept.get(theta.shape, 0 * grad) + grad
    theta -= lr * kept[theta.shape]


def by_chance(theta, grad, lr, rng=np.random.default_rng(0)):  # noqa: B008
    theta -= lr * (grad + 0.01 * rng.normal(size=grad.shape))


def by_nines(theta, grad, lr):
    theta -= lr * grad.reshape(3, -1, 3).reshape(9)


def by_direction(theta, grad, lr):
    theta -= lr * grad / np.abs(grad)


def another_on_float32(theta, grad, lr):
    theta -= lr * grad * (1 if theta.dtype == np.float64 else 0.1)


def the_first_half(theta, grad, lr):
    theta[:5] -= lr * grad[:5]


def shrinking(theta, grad, lr):
    theta *= 0.99


def spoiling(theta, grad, m, lr):
    theta -= lr * grad
    m[...] = np.nan


OPTIMISERS = {
    "kept outside its moments": ((by_a_global, 0), "a second time"),
    "chance": ((by_chance, 0), "a second time"),
    "one size": ((by_nines, 0), "raises ValueError"),
    "a gradient of 0": ((by_direction, 0), "NaN of a number whose gradient is 0"),
    "another on float32": ((another_on_float32, 0), "on float32"),
    "half of theta": ((the_first_half, 0), "leave theta[5] where it was"),
    "no gradient": ((shrinking, 0), "it has to go down"),
    "moments": ((spoiling, 1), "its moments are not finite"),
    "moments without end": ((plain, 10**9), "must be at most 1000"),
    "settings": ((plain, 0, ["momentum"]), "settings must be names with numbers"),
    "counts": ((plain, 0, {}, "no"), "counts must be True or False"),
    "no function": ((3, 0), "update must be a function"),
}


@pytest.mark.parametrize("fault", OPTIMISERS)
def test_faults_of_optimisers(fault):
    given, says = OPTIMISERS[fault]
    assert says in refusal(parts.Optimiser("mine", *given))


def without_floor(K, terms, beta, floor):
    return ELBO.forward(K, terms, beta, 0.0)


def without_floor_backward(K, dloss, terms, beta, floor):
    return ELBO.backward(K, dloss, terms, beta, 0.0)


def without_weight(K, terms, beta, floor):
    return ELBO.forward(K, terms._replace(weight=None), beta, floor)


def without_weight_backward(K, dloss, terms, beta, floor):
    return ELBO.backward(K, dloss, terms._replace(weight=None), beta, floor)


def at_one_beta(K, dloss, terms, beta, floor):
    return ELBO.backward(K, dloss, terms, 0.8, floor)


OBJECTIVES = {
    "a floor that it does not know": (
        {"forward": without_floor, "backward": without_floor_backward}, "say free_bits=False",
    ),
    "weights that it does not know": (
        {"forward": without_weight, "backward": without_weight_backward}, "say weighs=False",
    ),
    "one beta": ({"backward": at_one_beta}, "the gradient of mu is wrong"),
    "draws without end": ({"least_draws": 10**9}, "must be at most 1000"),
    "two lines": ({"formula": lambda draws, weight, kl: "a\nb"}, "formula must return one line"),
    "a word for yes": ({"by_draws": "yes"}, "by_draws must be True or False"),
}  # fmt: skip


@pytest.mark.parametrize("fault", OBJECTIVES)
def test_faults_of_objectives(fault):
    changes, says = OBJECTIVES[fault]
    assert says in refusal(dataclasses.replace(ELBO, name="mine", **changes))
