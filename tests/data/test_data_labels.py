"""Labels of any kind never stop a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minivae.data import from_arrays
from minivae.data.labels import usable_labels

X = np.random.default_rng(0).random((6, 3))


@pytest.mark.parametrize(
    ("labels", "expected", "names"),
    [
        ([3, 1, 2, 3, 1, 2], [3, 1, 2, 3, 1, 2], None),
        (np.array([[1.0], [0], [1], [0], [1], [0]]), [1, 0, 1, 0, 1, 0], None),
        (["b", "a", "b", "a", "b", "a"], [1, 0, 1, 0, 1, 0], ("a", "b")),
        (np.array([b"b", b"a"] * 3), [1, 0] * 3, ("a", "b")),
        (np.eye(3, dtype=int)[[0, 2, 1, 0, 2, 1]], [0, 2, 1, 0, 2, 1], None),
        ([True, False] * 3, [1, 0] * 3, None),
        (np.full(6, 2**62, dtype=np.uint64), [2**62] * 6, None),
    ],
)
def test_labels_that_can_be_used(labels: Any, expected: list[int], names: Any) -> None:
    found = usable_labels({"train": labels}, {"train": 6}, "x")
    np.testing.assert_array_equal(found.parts["train"], expected)
    assert found.names == names and found.note == ""


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (np.linspace(0, 1, 6), "row 1 (from 0) is 0.2, no whole"),
        ([1, 2, 3], "3 labels for 6 rows"),
        ([1, np.nan, 1, 1, 1, 1], "row 1 (from 0) is nan"),
        ([1, -np.inf, 1, 1, 1, 1], "row 1 (from 0) is -inf"),
        (np.ones((6, 2)), "(6, 2)"),
        (np.array([1j] * 6), "complex"),
        ([1e19] * 6, "do not fit int64"),
        ([-(2.0**64)] * 6, "do not fit int64"),
        (np.full(6, 2**63 + 7, dtype=np.uint64), "do not fit int64"),
    ],
)
def test_labels_that_cannot_are_noted(labels: Any, word: str) -> None:
    found = from_arrays(X, X, labels={"train": labels})
    assert found.train_labels is None
    assert len(found.notes) == 1 and word in found.notes[0] and "not used" in found.notes[0]


def test_words_mean_the_same_number_in_every_part() -> None:
    words = {"train": ["b", "c"] * 3, "test": ["a", "b"] * 3}
    found = from_arrays(X, X, labels=words)
    assert found.label_names == ("a", "b", "c")
    assert found.train_labels[0] == found.test_labels[1] == 1  # type: ignore[index]
