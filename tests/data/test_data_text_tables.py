"""Tables in text as programs write them: separators, decimals, encodings, headers, leavings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minivae.data import DataError, load
from minivae.data.dialect import SPACES, dialect_of
from minivae.data.load import load_as
from minivae.data.reading import Reading
from tests.data.made_frames import made_frame
from tests.data.refusals import refused

pandas = pytest.importorskip("pandas")

rng = np.random.default_rng(4)
FRAME = made_frame(
    4, {"Größe, cm": (170, 9, 1), "Gewicht": (70, 12, 2)}, {"Straße": ["A-Weg", "B. Straße"]}
)
GERMAN = {"sep": ";", "decimal": ",", "index": False}
WRITTEN = {
    "utf-8 with a mark": {**GERMAN, "encoding": "utf-8-sig"},
    "windows": {**GERMAN, "encoding": "cp1252"},
    "unicode text": {**GERMAN, "sep": "\t", "encoding": "utf-16"},
    "row numbers": {},
    "quotes": {"index": False, "quoting": 1},
}


def csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("how", WRITTEN)
def test_what_programs_write_is_the_same_table(tmp_path: Path, how: str) -> None:
    path = tmp_path / ("t.txt" if how == "unicode text" else "t.csv")
    FRAME.to_csv(path, **WRITTEN[how])
    found = load(path, label="Straße", split=False)
    assert found.columns == ("Größe, cm", "Gewicht") and found.label_names == ("A-Weg", "B. Straße")
    np.testing.assert_array_equal(found.train, FRAME.iloc[:, :2].to_numpy(np.float32))
    said = " ".join(found.notes)
    assert ("cp1252" in said) == (how == "windows")
    assert ("row numbers or names" in said) == (how == "row numbers")


def test_the_line_that_tells_excel_the_separator(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", "sep=;\na;b\n1,5;2\n2,5;3\n")
    found = load(path, split=False)
    assert found.columns == ("a", "b") and found.train.tolist() == [[1.5, 2], [2.5, 3]]


@pytest.mark.parametrize("header", ["", "a b c", "made by hand, in May 2024"])
def test_what_numpy_writes_as_text(tmp_path: Path, header: str) -> None:
    rows = rng.normal(size=(9, 3))
    for name, sign in (("t.txt", " "), ("t.csv", ",")):
        np.savetxt(tmp_path / name, rows, header=header, delimiter=sign)
        found = load(tmp_path / name, split=False).train
        np.testing.assert_array_equal(found, rows.astype(np.float32))


def test_a_table_of_flowers_without_a_header(tmp_path: Path) -> None:
    path = csv(tmp_path / "iris.data", "5.1,3.5,setosa\n4.9,3.0,virginica\n4.7,3.2,setosa\n")
    found = load(path, label="2", split=False)
    assert found.train.shape == (3, 2) and found.label_names == ("setosa", "virginica")


def test_pandas_own_names_are_names_and_missing_cells_none(tmp_path: Path) -> None:
    rows = pandas.DataFrame(rng.normal(size=(6, 3)))
    for index in (True, False):
        rows.to_csv(tmp_path / "t.csv", index=index)
        found = load(tmp_path / "t.csv", split=False)
        assert found.columns == ("0", "1", "2") and found.train.shape == (6, 3)
    path = csv(tmp_path / "t.csv", "1,,3\n4,5,6\n")
    refused(load, path, "row 0 (from 0), column '1' is missing")


@pytest.mark.parametrize("written", ["shuffled", "from 1", "words", "dates", "read with pandas"])
def test_what_only_tells_rows_apart_is_left_out(tmp_path: Path, written: str) -> None:
    frame = pandas.DataFrame(rng.normal(size=(9, 2)), columns=["a", "b"])
    frame.index = {
        "from 1": pandas.RangeIndex(1, 10),
        "words": pandas.Index([f"car {i}" for i in range(9)]),
        "dates": pandas.date_range("2024-01-01", periods=9),
    }.get(written, pandas.Index(rng.permutation(100)[:9]))
    frame.to_csv(tmp_path / "t.csv")
    data = pandas.read_csv(tmp_path / "t.csv") if written.startswith("read") else tmp_path / "t.csv"
    found = load(data, split=False)
    assert found.columns == ("a", "b") and "are left out" in " ".join(found.notes)
    kept = load(data, label=pandas.read_csv(tmp_path / "t.csv").columns[0], split=False)
    assert kept.columns == ("a", "b") and "are left out" not in " ".join(kept.notes)


def test_only_the_first_column_without_a_name_tells_rows_apart(tmp_path: Path) -> None:
    found = load(csv(tmp_path / "t.csv", ",,b\n1,7,2\n2,9,4\n"), split=False)
    assert found.train.tolist() == [[7, 2], [9, 4]]


@pytest.mark.parametrize("cells", [[0.5, 1.5, 2.5], [3, 3, 4], [True, False, True]])
def test_a_column_without_a_name_that_measures_is_kept(tmp_path: Path, cells: list[float]) -> None:
    pandas.DataFrame({"": cells, "b": [1.0, 2.0, 4.0]}).to_csv(tmp_path / "t.csv", index=False)
    assert load(tmp_path / "t.csv", split=False).train.shape == (3, 2)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (",a,b\n7,1,2\n5,3,4\n", ("Unnamed: 0", "a", "b")),  # row numbers, once trained on
        ("1.5,2.5,u\n3.5,4.5,u\n5.5,6.5,v\n", ("1.5", "2.5")),  # a first row, once the names
        ("0,1,2\n5,3,4\n6,3,5\n", ()),  # pandas' own names, once a row
    ],
)
def test_a_run_of_an_earlier_version_reads_its_table_as_it_did(
    tmp_path: Path, text: str, columns: tuple[str, ...]
) -> None:
    path = csv(tmp_path / "t.csv", text)
    label = "u" if "u" in text else None
    found = load_as(path, Reading(label=label, split=False, columns=columns))
    assert (found.columns or ()) == columns
    assert len(found.train) == text.count("\n") - bool(columns)
    assert load_as(path, Reading(split=False, one_hot=True)).columns != found.columns


def test_empty_columns_at_the_end_are_left_out(tmp_path: Path) -> None:
    found = load(csv(tmp_path / "t.csv", "a;b;;\n1,5;2;;\n2,5;3;;\n"), split=False)
    assert found.columns == ("a", "b") and found.train.tolist() == [[1.5, 2], [2.5, 3]]
    assert "without a name is left out" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,a\n1,2,3\n", ["two columns called 'a'; rename"]),
        ("a;b\n1.234,50;2\n5.678,10;3\n", ["'a' has numbers whose thousands", "'1.234,50'"]),
        ("\n \n", ["no table in it"]),
        ("a;b;c\n1;2;3\n4;5;6;7\n", ["line 3 has 4 values where 3 are expected"]),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    refused(load, csv(tmp_path / "t.csv", text), *words)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("{}\u00a0200,5", ["'a' has numbers whose thousands", "without that sign"]),
        ("{}.5 %", ["'a' has per cent", "'1.5 %'"]),
        ("${}.50", ["'a' has sums of money", "without the currency"]),
        ("0x{:02x}", ["'a' has hexadecimal numbers"]),
        ("{}.5D+00", ["'a' has Fortran's numbers", "with e for D"]),
        ("2024-01-{:02d}", ["'a' holds dates", "days since"]),
        ("{}.5.24 08:30", ["'a' holds dates"]),
        ("08:{:02d}", ["'a' holds dates"]),
    ],
)
def test_numbers_in_other_clothes_are_told_how_to_write_them(
    tmp_path: Path, cell: str, words: list[str]
) -> None:
    rows = "".join(f"{cell.format(i)};{i}\n" for i in range(1, 9))
    refused(load, csv(tmp_path / "t.csv", f"a;b\n{rows}"), *words)


def test_a_printed_minus_and_more_digits_than_64_bits_are_numbers(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", f"a,b\n\u22121.5,{2**70}\n2.5,3\n")
    assert load(path, split=False).train.tolist() == [[-1.5, 2**70], [2.5, 3]]


@pytest.mark.parametrize("title", ["My garden,,\n,,\n", "My garden\n", '"My garden, 2024",,\n'])
def test_a_title_above_the_header_is_passed_over(tmp_path: Path, title: str) -> None:
    found = load(csv(tmp_path / "t.csv", f"{title}a,b,c\n1,2,3\n4,5,6\n"), split=False)
    assert found.columns == ("a", "b", "c") and found.train.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert "the lines above its header ('My garden" in found.notes[0]


def test_a_text_that_differs_in_every_row_is_no_kind(tmp_path: Path) -> None:
    rows = "".join(f"row {i},{i}\n" for i in range(30))
    with pytest.raises(DataError, match=r"30 different texts, another one in each row.*--label a"):
        load(csv(tmp_path / "t.csv", f"a,b\n{rows}"), one_hot=True)


def test_a_missing_word_among_labels_is_a_kind_of_its_own(tmp_path: Path) -> None:
    path = csv(tmp_path / "t.csv", "x,k\n1,u\n2,\n3,v\n")
    found = load(path, label="k", split=False)
    assert found.label_names == ("(missing)", "u", "v")
    assert "1 labels are missing" in found.notes[0]


def test_letters_of_no_known_encoding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,Stra\x81\x8de\n1,2\n")
    refused(load, tmp_path / "t.csv", "no encoding that is read", "UTF-8")


def test_a_frame_with_a_name_twice() -> None:
    refused(
        lambda _: load(pandas.DataFrame(np.eye(3), columns=["x", "y", "x"])),
        Path("the frame"), "two columns called 'x'",
    )  # fmt: skip


def test_a_label_is_found_however_its_letters_are_composed(tmp_path: Path) -> None:
    path = csv(
        tmp_path / "t.csv", "Gro\u0308\u00dfe,b\n1,2\n3,4\n"
    )  # o and two dots, as macOS does
    assert load(path, label="Gr\u00f6\u00dfe", split=False).train.tolist() == [[2], [4]]


@pytest.mark.parametrize(
    ("text", "separator", "decimal", "header"),
    [
        ("a;b, c\n1,5;2\n3;4,5\n", ";", ",", ["a", "b, c"]),
        ("1,5;2,5\n3,5;4,5\n", ";", ",", None),
        ("a|b\n1.5|2\n", "|", ".", ["a", "b"]),
        ('a,b\n"x;y",2\n"z;w",3\n', ",", ".", ["a", "b"]),
        ("day;x\n01.02.2024;1,5\n02.02.2024;2,5\n", ";", ",", ["day", "x"]),
        ("year 1\n", ",", ".", ["year 1"]),
        ("1 2\n3 4\n", SPACES, ".", None),
        ("2019,2020\n1,2\n", ",", ".", None),
        ("x,2020\n1,2\n", ",", ".", ["x", "2020"]),
        ("", ",", ".", None),
    ],
)
def test_how_a_table_is_written(
    text: str, separator: str, decimal: str, header: list[str] | None
) -> None:
    assert dialect_of(text)[:3] == (separator, decimal, header)


@pytest.mark.parametrize("name", ["BMI", "[kg]", "RIFF", "Merkmal"])
def test_a_header_is_not_taken_for_another_kind_of_file(tmp_path: Path, name: str) -> None:
    assert load(csv(tmp_path / "t.csv", f"{name},age\n1,2\n")).columns == (name, "age")
