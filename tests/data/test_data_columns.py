"""A table's columns are found by their names, wherever they stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minivae.data import DataError, load
from minivae.data.columns import with_columns
from minivae.data.dataset import Dataset
from minivae.data.load import load_as
from minivae.data.reading import Reading

pandas = pytest.importorskip("pandas")
WANTED = ("a", "colour=blue", "colour=red", "b")
GROUPS = [[1, 3]]


def table(**columns: object) -> Dataset:
    return load(pandas.DataFrame(columns), one_hot=True, split=False)


def test_columns_that_moved_are_taken_by_their_names() -> None:
    found = with_columns(
        table(b=[1.0, 2.0], colour=["red", "blue"], a=[3.0, 4.0]), WANTED, GROUPS, "run"
    )
    np.testing.assert_array_equal(found.train, [[3, 0, 1, 1], [4, 1, 0, 2]])
    assert found.columns == WANTED and found.groups == ((1, 3),)
    assert found.train.flags.c_contiguous and "by their names" in found.notes[-1]


def test_a_kind_that_these_rows_lack_is_zeros() -> None:
    found = with_columns(table(colour=["red"] * 2, a=[3, 4], b=[1.5, 2]), WANTED, GROUPS, "run")
    np.testing.assert_array_equal(found.train, [[3, 0, 1, 1.5], [4, 0, 1, 2]])


def test_the_same_columns_or_none_come_back_as_they_are() -> None:
    same = table(a=[3.0], colour=["red"], b=[1.0])
    assert with_columns(same, same.columns or (), [], "run") is same
    plain = same.with_parts(columns=None)
    assert with_columns(plain, WANTED, GROUPS, "run") is plain


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1.0], "colour": ["red"]}, "it lacks 'b';"),
        ({"a": [1.0], "b": [2.0]}, "it lacks 'colour=blue', 'colour=red'"),
        ({"a": [1.0], "b": [2.0], "colour": ["pink"]}, "it lacks 'colour=blue', 'colour=red' and"),
        ({"a": [1.0], "b": [2.0], "colour": ["red"], "c": [0.5]}, "it also has 'c';"),
        ({"a": [1, 2], "b": [2, 3], "colour": ["red", "pink"]}, "it also has 'colour=pink';"),
    ],
)
def test_others_are_refused_by_name(columns: dict[str, object], words: str) -> None:
    with pytest.raises(DataError) as caught:
        with_columns(table(**columns), WANTED, GROUPS, "run")
    assert words in str(caught.value) and "trained on" in str(caught.value)
    assert "'colour=blue', 'colour=red' and 1 more" in str(caught.value)


def test_a_label_given_by_its_number_is_kept_by_its_name() -> None:
    frame = pandas.DataFrame({"a": [1.0, 2.0], "kind": [0, 1], "b": [3.0, 5.0]})
    for number in ("1", "-2"):
        assert load(frame, label=number, split=False).reading.label == "kind"


def test_row_numbers_of_an_empty_name_are_left_out_again(tmp_path: Path) -> None:
    """A Parquet table keeps the name as it is, where pandas calls such a CSV's "Unnamed: 0"."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    pandas.DataFrame({"": range(4), "a": [1.5, 2, 3, 4], "b": [5.5, 6, 7, 9]}).to_parquet(path)
    first = load(path, split=False)
    assert first.columns == ("a", "b")
    assert load_as(path, Reading(split=False, columns=first.columns)).columns == ("a", "b")
    kept = load_as(path, Reading(split=False, columns=("", "a", "b")))
    assert kept.columns == ("", "a", "b")


@pytest.mark.parametrize("label", ["²", "--1", "1_0"])
def test_a_label_that_is_nearly_a_number_is_no_column(label) -> None:
    with pytest.raises(DataError, match=f"has no column '{label}'"):
        load(pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), label=label, split=False)
