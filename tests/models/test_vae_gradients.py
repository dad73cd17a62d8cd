"""The whole VAE in all its variants, the layers and the other models, by all votes."""

import math

import numpy as np
import pytest

from minivae import ops
from minivae.proof import cases, invariants
from minivae.proof.tolerances import tol

CASES = {case.name: case for case in cases.find() if case.kind != "op"}


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    report = CASES[name].run()
    report.raise_if_failed()
    for row in report.rows:
        assert row.checked == row.size
        assert row.complex_step <= tol("complex_step"), row
        assert row.worst_entry <= tol("worst_entry"), row
        assert row.adjoint <= tol("adjoint64"), row
        if row.taylor is not None and not math.isinf(row.taylor):
            assert abs(row.taylor - 2) <= tol("taylor_slope"), row


@pytest.mark.parametrize("name", CASES)
def test_exact_properties(name):
    assert invariants.failures(CASES[name]) == []


@pytest.mark.parametrize(
    ("name", "active"),
    [("vae free bits active", 3), ("vae free bits inactive", 0), ("vae free bits mixed", 2)],
)
def test_free_bits_rows_are_what_they_say(name, active):
    from minivae.proof.model_cases import MIXED_FLOOR

    _, (_, cache) = CASES[name].forward(ops, *CASES[name].inputs.values())
    floor = {"active": 5.0, "inactive": 1e-3, "mixed": MIXED_FLOOR}[name.split()[-1]]
    assert int((cache.kl.mean(axis=0) < floor).sum()) == active


def test_the_bounded_row_has_a_log_variance_outside_the_bound():
    _, (_, cache) = CASES["vae bounded logvar"].forward(
        ops, *CASES["vae bounded logvar"].inputs.values()
    )
    assert (cache.raw_logvar < -ops.latent.LOGVAR_BOUND).any()


def test_relu_rows_have_units_on_both_sides():

    for name in ("vae bernoulli relu", "vae gaussian relu", "vae two hidden relu"):
        _, (_, cache) = CASES[name].forward(ops, *CASES[name].inputs.values())
        for layer in (*cache.trunk, *cache.decoder):
            assert 0 < np.mean(np.asarray(layer.a) > 0) < 1, name  # units on both sides of the kink
