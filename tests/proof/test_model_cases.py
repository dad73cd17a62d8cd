"""The models' cases: every part of our own, none from outside, sizes that tell axes apart."""

import dataclasses
import functools

import pytest

from minivae.parts import ACTIVATIONS, LIKELIHOODS, OBJECTIVES
from minivae.proof.case import lint_dims
from minivae.proof.cases import find
from minivae.proof.model_cases import model_cases, vae_cases


def sizes(case):
    """Every size of a VAE's case by its letter, its own number of draws too."""
    (L, B, J), D = case.inputs["eps"].shape, case.inputs["x"].shape[1]
    p = case.inputs["p"]
    hidden = {f"H{i}": len(p[f"encoder.{i}.b"]) for i in range(3) if f"encoder.{i}.b" in p}
    return {"L": L, "B": B, "J": J, "D": D, **hidden}


@pytest.mark.parametrize("case", vae_cases(), ids=lambda case: case.name)
def test_the_sizes_of_each_model_tell_axes_apart(case):
    assert [note for note in lint_dims(sizes(case)) if note != "L is 1"] == []


def test_every_likelihood_and_objective_has_a_whole_model():
    names = {case.name for case in model_cases()}
    assert names >= {f"vae linear {part.name}" for part in LIKELIHOODS.built_in()}
    assert names >= {f"vae objective {part.name}" for part in OBJECTIVES.built_in()}
    scaled = {part.name for part in LIKELIHOODS.built_in() if part.scale}
    for case in vae_cases():
        part = case.name.removeprefix("vae linear ")
        if part in scaled:
            assert LIKELIHOODS[part].scale.tensor in case.inputs["p"]


@pytest.mark.parametrize(
    ("table", "name"), [(ACTIVATIONS, "silu"), (LIKELIHOODS, "laplace"), (OBJECTIVES, "iwae")]
)
def test_a_part_from_outside_has_its_own_row_and_no_other(table, name):
    """It may be any callable, and what is wrong with it is not a layer's fault."""
    before = [case.name for case in find()]
    part = table[name]
    forward = functools.partial(part.forward)
    table.add(dataclasses.replace(part, name="borrowed", forward=forward))
    try:
        found = find()
        assert [case.name for case in found] == [*before, "borrowed"]
        assert found[-1].kind == "part" and found[-1].run().ok
    finally:
        table.remove("borrowed")
