"""Every op pair by all votes, at the figures it has to reach."""

import math

import pytest

from minivae.ops.table import FUNCTIONS
from minivae.proof import cases, invariants
from minivae.proof.case import DIMS
from minivae.proof.tolerances import tol

CASES = {case.name: case for case in cases.op_cases()}


def piecewise_linear(name):
    """Ops whose kernels are held bit for bit: selections, which leave no Taylor remainder."""
    return any(f.op.name == name and "exact" in (f.kind, f.op.kind) for f in FUNCTIONS.values())


@pytest.mark.parametrize("name", CASES)
def test_backward_matches_forward(name):
    report = CASES[name].run()
    report.raise_if_failed()
    for row in report.rows:
        assert row.checked == row.size and row.oracle == "complex step"
        assert row.complex_step <= tol("complex_step")
        assert row.worst_entry <= tol("worst_entry")
        assert row.adjoint <= tol("adjoint64")
        assert row.finite_difference is not None
        assert row.taylor is not None or piecewise_linear(name)  # no remainder at all
        assert (
            row.taylor is None
            or math.isinf(row.taylor)
            or abs(row.taylor - 2) <= tol("taylor_slope")
        )


@pytest.mark.parametrize("name", CASES)
def test_exact_properties(name):
    assert invariants.failures(CASES[name]) == []


def test_every_op_has_a_row():
    assert cases.uncovered() == []
    covered = {n for case in cases.find() for n in case.covers}
    assert not covered & set(cases.NO_GRADIENT)


def test_an_op_without_a_row_is_found(monkeypatch):
    monkeypatch.setattr(cases.ops, "OPS", (*cases.ops.OPS, "swish_backward"))
    assert cases.uncovered() == ["swish_backward"]


def test_the_sizes_of_the_test_points_tell_axes_apart():
    from minivae.proof.case import lint_dims

    assert lint_dims(DIMS) == []
