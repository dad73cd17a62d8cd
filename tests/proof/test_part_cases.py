"""Parts from outside get a row of the proof of their own, right or wrong."""

import dataclasses

import pytest

from minivae import parts
from minivae.parts import ACTIVATIONS, LIKELIHOODS, OBJECTIVES
from minivae.proof.cases import find

BORROWED = [
    (ACTIVATIONS, "silu"),
    (LIKELIHOODS, "laplace"),
    (LIKELIHOODS, "categorical"),
    (OBJECTIVES, "iwae"),
]


@pytest.mark.parametrize(("table", "name"), BORROWED)
def test_a_registered_part_has_a_row(table, name):
    assert find(["dense"]) and "borrowed" not in table
    parts.register(dataclasses.replace(table[name], name="borrowed"))
    try:
        (case,) = find(["borrowed"])
        assert find(["part"])[-1].name == case.name and case.run().ok
    finally:
        parts.unregister(table["borrowed"])
    with pytest.raises(KeyError, match="no row"):
        find(["borrowed"])


@pytest.mark.parametrize(("table", "name"), BORROWED)
def test_a_wrong_part_has_a_wrong_row(table, name):
    part = table[name]

    def twice(*args):
        found = part.backward(*args)
        return tuple(2 * g for g in found) if isinstance(found, tuple) else 2 * found

    table.add(dataclasses.replace(part, name="borrowed", backward=twice))
    try:
        assert not find(["borrowed"])[0].run().ok
    finally:
        table.remove("borrowed")
