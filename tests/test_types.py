"""Trees of arrays: walked in pairs, compared, and looked over for memory that they share."""

from typing import NamedTuple

import numpy as np
import pytest

from minivae.types import ABSENT, changed, copy, pairs, share_memory


class Affine(NamedTuple):
    scale: object
    shift: object


def test_two_trees_are_walked_together():
    x, tree = np.ones(2), {"a": [1, 2], "b": {"c": 3}}
    assert [*pairs(x, None, "x")] == [("x", x, None)]
    assert [*pairs(tree, {"a": (4, 5), "b": {"c": 6}})] == [
        ("a[0]", 1, 4), ("a[1]", 2, 5), ("b.c", 3, 6)]  # fmt: skip
    assert [*pairs(Affine(1, 2), (3, 4), "p")] == [("p.scale", 1, 3), ("p.shift", 2, 4)]


def test_what_only_one_of_them_has_is_absent():
    assert [*pairs({"a": 1}, {"b": 2}, "p")] == [("p.a", 1, ABSENT), ("p.b", ABSENT, 2)]
    assert [*pairs([1], [2, 3], "p")] == [("p[0]", 1, 2), ("p[1]", ABSENT, 3)]
    assert [*pairs({"a": [1]}, {"a": {"b": 1}})] == [("a", [1], {"b": 1})]


@pytest.mark.parametrize(
    ("change", "address"),
    [
        (lambda t: None, None),
        (lambda t: t["layers"][1].__setitem__(0, np.nan), "layers[1]"),
        (lambda t: t.update(cache=3), "cache"),
        (lambda t: t.pop("W"), "W"),
        (lambda t: t.update(W=t["W"].astype(np.float32)), "W"),
    ],
    ids=["nothing", "an entry", "a new key", "a lost key", "another precision"],
)
def test_what_has_changed_is_named(change, address):
    before = {"layers": [np.zeros(2), np.ones(3)], "W": np.full(2, np.nan), "rate": 0.5}
    after = copy(before)
    change(after)
    assert changed(before, after) == address


def test_memory_that_is_shared():
    x = np.arange(6.0)
    assert share_memory(x, x[::2]) and not share_memory(x[::2], x[1::2])
    assert not share_memory(x, x.copy()) and not share_memory(x, None)
