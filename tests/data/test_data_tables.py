"""Tables: CSV, Parquet and frames, their labels, their text, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError, load
from minivae.data.load import load_as
from minivae.data.reading import Reading
from tests.data.made_frames import made_frame
from tests.data.refusals import refused

pandas = pytest.importorskip("pandas")

FRAME = made_frame(
    2,
    {"age": (40, 9, 2), "income": (3e4, 9e3, 1)},
    {"city": ["Paris", "Rome"], "kind": ["a", "b", "c"]},
)


def csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("form", ["csv", "tsv", "german", "parquet", "pandas", "polars"])
def test_the_same_table_in_every_form(tmp_path: Path, form: str) -> None:
    what: Any = tmp_path / f"t.{form}"
    if form == "csv":
        FRAME.to_csv(what, index=False)
    elif form == "tsv":
        FRAME.to_csv(what, index=False, sep="\t")
    elif form == "german":
        FRAME.to_csv(what := tmp_path / "t.csv", index=False, sep=";", decimal=",")
    elif form == "parquet":
        pytest.importorskip("pyarrow")
        FRAME.to_parquet(what)
    elif form == "pandas":
        what = FRAME
    else:
        pytest.importorskip("pyarrow")
        what = pytest.importorskip("polars").from_pandas(FRAME)
    found = load(what, label="kind", one_hot=True, split=False)
    assert found.columns == ("age", "income", "city=Paris", "city=Rome")
    assert found.groups == ((2, 4),) and found.label_names == ("a", "b", "c")
    np.testing.assert_array_equal(found.train[:, 0], FRAME["age"].to_numpy(np.float32))
    np.testing.assert_array_equal(found.train[:, 2], FRAME["city"] == "Paris")
    np.testing.assert_array_equal(found.train_labels, FRAME["kind"].map({"a": 0, "b": 1, "c": 2}))


def test_text_is_refused_by_name(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    refused(load, tmp_path / "t.csv", "'city', 'kind'", "such as", "--label", "--one-hot")
    refused(lambda p: load(p, label="knd"), tmp_path / "t.csv", "'knd'", "did you mean kind?")


def test_other_data_for_a_run_may_lack_the_label() -> None:
    reading = Reading(label="kind", one_hot=True)
    found = load_as(FRAME.drop(columns="kind"), reading.with_changes(own=False))
    assert found.columns == ("age", "income", "city=Paris", "city=Rome")
    with pytest.raises(DataError, match="no column 'kind'"):
        load_as(FRAME.drop(columns="kind"), reading)
    assert Reading.from_dict(reading.to_dict()) == reading
    with pytest.raises(DataError, match="unknown key 'colour'"):
        Reading.from_dict({"colour": 1})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3,4,5\n", ["line 3 has 3 values where 2"]),
        ("a,b\n1,2\n3\n", ["row 1 (from 0), column 'b' is missing"]),
        ("a,b\n1,2,3\n3,4,5\n", ["more values than its header"]),
        ("a,b\n1,2\n3,oops\n4,5\n", ["column 'b' holds numbers", "row 1", "'oops'"]),
        ("a,b\n1,2\n3,inf\n4,5\n", ["row 1", "column 'b'", "inf"]),
        ("a,b\n", ["no rows"]),
        ("kind\nx\n", ["'kind' holds text"]),
    ],
)
def test_a_bad_table_is_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    refused(load, csv(tmp_path / "t.csv", text), *words)


def test_a_table_without_a_header(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", "1,2,0\n3,4,1\n")
    assert load(path).columns is None and load(path).train.shape == (2, 3)
    found = load(path, label="2")
    assert found.train.shape == (2, 2) and found.train_labels.tolist() == [0, 1]  # type: ignore[union-attr]


def test_a_table_gets_no_picture_unless_it_is_asked_for() -> None:
    columns = [f"pixel{j}" for j in range(64)]
    frame = pandas.DataFrame(np.tile(np.arange(0, 240, 30), (5, 8)), columns=columns)
    assert load(frame).shape is None and load(frame).columns == tuple(columns)
    pictures = load(frame, shape=(8, 8))
    assert pictures.shape == (8, 8) and pictures.columns is None
    assert pictures.scale == pytest.approx(1 / 255)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    FRAME.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])
    refused(load, path, "no whole Parquet")


def test_one_hot_refuses_names_of_rows() -> None:
    frame = pandas.DataFrame({"id": [f"row {i}" for i in range(1500)], "x": np.arange(1500.0)})
    with pytest.raises(DataError, match="1500 different texts"):
        load(frame, one_hot=True)


def test_one_hot_takes_no_slip_for_a_kind() -> None:
    """A column of numbers with one mistyped cell is named, not spread over as many columns."""
    ages = [str(age) for age in range(20, 60)]
    frame = pandas.DataFrame({"age": [*ages[:7], "abc", *ages[8:]], "height": np.arange(40.0)})
    with pytest.raises(DataError, match=r"'age' holds numbers but for 1 of 40 cells.*row 7.*'abc'"):
        load(frame, one_hot=True)


def test_a_column_of_dates_is_named() -> None:
    frame = pandas.DataFrame(
        {"x": np.arange(3.0), "day": pandas.date_range("2024-01-01", periods=3)}
    )
    for one_hot in (False, True):
        with pytest.raises(DataError, match="'day' holds dates"):
            load(frame, one_hot=one_hot)


def test_a_lazy_frame_is_told_how_to_be_one() -> None:
    frame = pytest.importorskip("polars").DataFrame({"x": [1.0, 2.0]}).lazy()
    with pytest.raises(DataError, match=r"lazy: give what its collect\(\) returns"):
        load(frame)


def test_numbers_in_objects_are_numbers_and_other_objects_are_named() -> None:
    decimals = pandas.DataFrame({"a": [Decimal("1.5"), Decimal(2)], "b": [2**70, 3]})
    assert load(decimals, split=False).train.tolist() == [[1.5, 2**70], [2, 3]]
    for cells, words in (
        ([[1, 2], [3, 4]], "'a' holds lists"),
        ([1j, 2j], "'a' holds complex numbers"),
        (pandas.period_range("2024", periods=2, freq="D"), "'a' holds dates"),
        (pandas.Categorical([1, 2]), "'a' holds kinds"),
    ):
        with pytest.raises(DataError, match=words):
            load(pandas.DataFrame({"a": cells}))


def test_columns_of_numbers_are_not_taken_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would take pandas as long as thousands of cells: a wide table would take minutes."""
    take, taken = pandas.DataFrame.__getitem__, []

    def noted(frame: Any, column: Any) -> Any:
        taken.append(column)
        return take(frame, column)

    monkeypatch.setattr(pandas.DataFrame, "__getitem__", noted)
    rows = np.arange(1200.0).reshape(2, 600) / 8
    np.savetxt(tmp_path / "wide.csv", rows, delimiter=",")
    found = load(str(tmp_path / "wide.csv"), split=False).train
    assert np.array_equal(found, rows) and len(taken) < 20


def test_every_column_with_a_printed_minus_is_numbers(tmp_path: Path) -> None:
    (tmp_path / "minus.csv").write_text("a,b,c\n\u22121,2,\u22123\n4,\u22125,6\n", encoding="utf-8")
    found = load(str(tmp_path / "minus.csv"), split=False).train
    assert np.array_equal(found, [[-1, 2, -3], [4, -5, 6]])
