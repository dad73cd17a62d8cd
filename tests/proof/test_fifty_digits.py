"""The same op source in fifty-digit arithmetic."""

import pytest

from minivae.proof import cases, fifty_digits
from minivae.proof.corpus import BUGS, edited
from minivae.proof.mutation_score import planted
from minivae.proof.tolerances import tol

highprec = pytest.importorskip("minivae.proof.fifty_digits")
pytest.importorskip("mpmath")
OPS = {case.name: case for case in cases.op_cases()}
LIGHT = ["layer linear", "layer mlp tanh", "vae linear gaussian", "vae gaussian tanh"]
LIGHT += ["vae objective sampled-elbo", "linear vae"]


@pytest.mark.parametrize("name", OPS)
def test_every_op(name):
    errors = fifty_digits.errors(OPS[name], entries=12)  # larger ones along a direction
    assert errors and all(error <= tol("fifty_digits") for error in errors.values())


@pytest.mark.parametrize("name", LIGHT)
def test_models(name):
    errors = fifty_digits.errors(cases.find([name])[0], entries=6)
    assert errors and all(error <= tol("fifty_digits") for error in errors.values())


def test_a_wrong_factor_shows():
    bug = next(b for b in BUGS if b.label == "reparameterise_backward" and "half" in b.name)
    with planted(bug.edits[0].place, edited(bug.edits[0])):
        errors = fifty_digits.errors(OPS["reparameterise"])
    assert errors["logvar"] > 0.1 and errors["mu"] <= tol("fifty_digits")
