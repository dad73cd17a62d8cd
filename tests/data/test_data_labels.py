"""Labels of any kind never stop a training; an infinite one says that the file is damaged."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError, from_arrays, load
from minivae.data.labels import usable_labels
from tests.data.refusals import refused

X = np.random.default_rng(0).random((6, 3))


def objects(*labels: Any) -> np.ndarray:
    """Python's own values, as a table's column has them."""
    return np.array(labels, dtype=object)


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
        (np.ones((6, 2)), "(6, 2)"),
        (np.array([1j] * 6), "complex"),
        ([1e19] * 6, "do not fit int64"),
        ([-(2.0**64)] * 6, "do not fit int64"),
        (np.full(6, 2**63 + 7, dtype=np.uint64), "do not fit int64"),
        ([2.0**53 + 2] * 6, "were rounded"),
        (objects(1, 2, 1.5, 1, 1, 1), "row 2 (from 0) is 1.5, no whole"),
        (objects(1, 2, 1j, 1, 1, 1), "row 2 (from 0) is 1j, no whole"),
        (objects(1, Fraction(1, 3), 1, 1, 1, 1), "row 1 (from 0) is Fraction(1, 3), no whole"),
        (objects(1, 1, Decimal("sNaN"), 1, 1, 1), "row 2 (from 0) is Decimal('sNaN'), no whole"),
        (objects(1, 1, Decimal("1e30"), 1, 1, 1), "does not fit int64"),
        (objects(1, 1, 1, 1, 1, 10**5000), "row 5 (from 0) is (a number of about 5,000 digits)"),
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


def as_npz(folder: Path, y: Any) -> Path:
    np.savez(folder / "a.npz", x_train=X, y_train=np.zeros(6), x_test=X, y_test=y)
    return folder / "a.npz"


def as_column(folder: Path, y: Any) -> Path:
    np.save(folder / "a.npy", np.column_stack([X, y]))
    return folder / "a.npy"


def as_csv(folder: Path, y: Any) -> Path:
    pytest.importorskip("pandas")
    lines = [",".join(map(str, [*x, label])) for x, label in zip(X, y, strict=True)]
    (folder / "a.csv").write_text("\n".join(["a,b,c,y", *lines, ""]))
    return folder / "a.csv"


def as_parquet(folder: Path, y: Any) -> Path:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame({"a": X[:, 0], "y": y}).to_parquet(folder / "a.parquet")
    return folder / "a.parquet"


def as_mat(folder: Path, y: Any) -> Path:
    io = pytest.importorskip("scipy.io")
    io.savemat(folder / "a.mat", {"X": X, "y": y})  # one row, as MATLAB has vectors
    return folder / "a.mat"


WAYS = {as_npz: None, as_column: "3", as_csv: "y", as_parquet: "y", as_mat: None}
PLACES = {as_npz: "(y_test)", as_column: "column 3", as_csv: "column 'y'",
          as_parquet: "column 'y'", as_mat: "(y)"}  # fmt: skip


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("save", WAYS, ids=lambda save: save.__name__)
def test_an_infinite_label_is_damage(
    save: Callable[..., Path], value: float, tmp_path: Path
) -> None:
    path = save(tmp_path, np.array([1, 2, value, 0, 1, 2]))
    place = f"{path.name}{' ' if PLACES[save][0] == '(' else ', '}{PLACES[save]}:"
    refused(lambda p: load(p, label=WAYS[save]), path, place, "mend or remove that row",
            f"the label of row 2 (from 0) is {value}")  # fmt: skip


@pytest.mark.parametrize("save", WAYS, ids=lambda save: save.__name__)
def test_a_missing_label_is_noted(save: Callable[..., Path], tmp_path: Path) -> None:
    found = load(save(tmp_path, np.array([1, 2, np.nan, 0, 1, 2])), label=WAYS[save])
    assert found.train_labels is None
    assert any("row 2 (from 0) is nan" in note and "not used" in note for note in found.notes)


@pytest.mark.parametrize(
    "labels",
    [[[0, 1.0]] * 5 + [[0, np.inf]], np.array([1j] * 5 + [np.inf]), ["a"] * 5 + [np.inf],
     [None, 1, 2, 3, 4, np.float32(-np.inf)], ["1"] * 5 + ["inf"], [b"1"] * 5 + [b"-Infinity"],
     ["1", "", "2.5", "nan", "3", "1e400"], [None, "1", "2", "\u22123", "4", "\u221e"],
     [None, 1, 2, 3, 4, Decimal("-Infinity")]],
)  # fmt: skip
def test_of_every_kind_the_infinite_one_is_named(labels: Any) -> None:
    if labels[0] in ("a", None):
        labels = np.array(labels, dtype=object)
    with pytest.raises(DataError, match=r"the label of row 5 \(from 0\) is .*?(inf|Inf|1e400|∞)"):
        from_arrays(X, X, labels={"train": labels})


def test_a_frames_column_of_words_and_an_infinity_is_named() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": X[:, 0], "y": ["b", "c", np.inf, "b", "c", "d"]})
    with pytest.raises(DataError, match=r"the label of row 2 \(from 0\) is inf"):
        load(frame, label="y")
    words = load(frame.replace(np.inf, "inf"), label="y")
    assert words.label_names == ("b", "c", "d", "inf")
    lists = load(frame.assign(y=[[1, 2]] * 3 + [[3, 4]] * 3), label="y")
    assert lists.label_names == ("[1, 2]", "[3, 4]")


def test_words_that_differ_stay_apart() -> None:
    found = usable_labels(
        {"train": np.array([b"a\xff", b"a\xfe"], dtype=object)}, {"train": 2}, "x"
    )
    assert found.names == (r"a\xfe", r"a\xff")
    found = usable_labels({"train": objects(True, 1)}, {"train": 2}, "x")
    assert found.names == ("1", "True")


def test_pythons_own_whole_numbers_are_numbers() -> None:
    found = usable_labels({"train": objects(3, Decimal(2), 2.0)}, {"train": 3}, "x")
    assert found.parts["train"].tolist() == [3, 2, 2] and found.names is None
