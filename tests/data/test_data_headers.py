"""The first lines of a table in text: comments, odd names, letters of Windows, one row alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minivae.data import DataError, load
from minivae.data.dialect import dialect_of
from minivae.data.load import load_as
from minivae.data.reading import Reading
from tests.data.refusals import refused

pandas = pytest.importorskip("pandas")
BODY = "1,2\n3,4\n5,7\n"


def csv(folder: Path, text: str, encoding: str = "utf-8", name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "above",
    ["#----\n# title\n#----\n", "# a\n\n# a\n", "#\n#\n\n#\n", "\n# of a page\fbreak\n"]
    + ["# one, two; three\n" * 9, "# long\n" * 300],
    ids=lambda text: repr(text[:20]),
)
def test_comments_are_passed_over_though_lines_stand_twice(tmp_path: Path, above: str) -> None:
    assert dialect_of(above + "a,b\n" + BODY).skipped == above.count("\n")
    found = load(csv(tmp_path, above + "a,b\n" + BODY), split=False)
    assert found.columns == ("a", "b") and found.train.tolist() == [[1, 2], [3, 4], [5, 7]]


@pytest.mark.parametrize("above", ["# a,b\n", "# of May\n# more, too\n# a,b\n"])
@pytest.mark.parametrize("body", [BODY, "1,red\n2,red\n", "red,cat\nred,dog\nblue,cat\n"])
def test_the_last_comment_may_name_the_columns(above: str, body: str) -> None:
    found = dialect_of(above + body)
    assert found.header == ["# a", "b"] and found.skipped == above.count("\n") - 1


@pytest.mark.parametrize(
    "above",
    [
        '"Report\nof May",,\n',
        '"Report\n\nof May, all",,\n,,\n',
        '\n# said "so\n\n"Report",,\n',
        '# made by, "Foo\n# second\n',
        '# 5" by 7"\n\n# and, 3", all\n',
        '# the 3" pipe, and\n',
        '# "Report\n"of May",,\n',
        "",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_quotes_above_a_table(tmp_path: Path, above: str, end: str, encoding: str) -> None:
    """However they open and close, in titles over several lines and in comments."""
    text = above + "a,b,c\n1,2,3\n4,5,6\n"
    assert dialect_of(text).skipped == above.count("\n")
    found = load(csv(tmp_path, text.replace("\n", end), encoding), split=False)
    assert found.columns == ("a", "b", "c") and len(found.train) == 2
    line = text.count("\n") + 1
    refused(load, csv(tmp_path, text + "7,8,9,10\n"), f"line {line} has 4 values where 3 are")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("#id,kind\nA1,cat\nB2,dog\nC3,cat\n", ["#id", "kind"]),
        ("## of May\n#id,kind\nA1,cat\nB2,dog\n", ["#id", "kind"]),
        ("#the id\tkind\nA1\tcat\nB2\tdog\n", ["#the id", "kind"]),
        ("#id,x\nA1,NA\nB2,3\n", ["#id", "x"]),
        ("# Iris, 2024\nid,kind\nA1,cat\nB2,dog\n", ["id", "kind"]),
        ("# Iris,2024\nid,x\nA1,1\nB2,3\n", ["id", "x"]),
    ],
)
def test_names_in_a_comment_above_a_table_of_words(text: str, header: list[str]) -> None:
    found = dialect_of(text)
    assert found.header == header
    above = "# more, of it\n"
    assert dialect_of(above + text).header == header


def test_a_run_knows_that_a_comment_had_its_names() -> None:
    text = "# the id, kind\nA1,cat\nB2,dog\n"
    assert dialect_of(text).header == ["A1", "cat"]
    assert dialect_of(text, known=("# the id", "kind")).header == ["# the id", "kind"]


def test_lines_that_end_as_on_an_old_mac(tmp_path: Path) -> None:
    found = load(csv(tmp_path, "#--\r# t\r#--\ra,b\r1,2\r3,4\r"), split=False)
    assert found.columns == ("a", "b") and len(found.train) == 2


@pytest.mark.parametrize(
    "names",
    ["<DATE>,<OPEN>", "<5um,>5um", "SQLite,DuckDB", "PAR1,PAR2", "MATLAB,Julia", "ARROW1,ARROW2"],
)
def test_a_header_is_no_other_kind_of_file(tmp_path: Path, names: str) -> None:
    found = load(csv(tmp_path, f"{names}\n{BODY}"), split=False)
    assert found.columns == tuple(names.split(",")) and len(found.train) == 3


def test_a_brokers_tabs_are_no_web_page(tmp_path: Path) -> None:
    path = csv(tmp_path, "<HIGH>\t<LOW>\n1\t2\n3\t4\n", name="t.txt")
    assert load(path, split=False).columns == ("<HIGH>", "<LOW>")


@pytest.mark.parametrize(
    "text",
    [
        '\n\n<!DOCTYPE html PUBLIC "-//W3C//DTD, x">\n',
        "\ufeff<html>, <body>, \n",
        '<rss version="2,0"><channel/>\n',
        '<?xml version="1.0"?>\n<a>1,2</a>\n',
        "  <HTML lang=a,b>\n",
    ],
)
def test_a_page_in_a_tables_place_is_told(tmp_path: Path, text: str) -> None:
    refused(load, csv(tmp_path, text + BODY), "web page or XML")


def test_names_in_windows_letters_are_told_apart(tmp_path: Path) -> None:
    found = load(csv(tmp_path, "x²,x³\n" + BODY, "cp1252"), split=False)
    assert found.columns == ("x²", "x³")
    refused(load, csv(tmp_path, "x²,x²\n" + BODY, "cp1252"), "two columns called 'x²'")
    # beyond what is looked at of a file's beginning
    far = "x,y\n" + "1,2\n" * 300_000 + "3,²\n"
    refused(load, csv(tmp_path, far, "cp1252"), "'y'")
    known = Reading(split=False, columns=("1²", "2"))  # a run's names, in letters of Windows
    assert load_as(csv(tmp_path, "1²,2\n" + BODY, "cp1252"), known).columns == ("1²", "2")


@pytest.mark.parametrize("index", [["0"], ["car"], ["7", "7"]])
def test_a_run_knows_that_the_first_column_only_tells_rows_apart(
    tmp_path: Path, index: list[str]
) -> None:
    rows = pandas.DataFrame({"a": 1.5, "b": 2.5}, index=index)
    rows.to_csv(tmp_path / "t.csv")
    theirs = Reading(split=False, own=False, columns=("b", "a"))
    found = load_as(tmp_path / "t.csv", theirs)
    assert found.columns == ("a", "b") and "are left out" in found.notes[0]
    for kept in ("Unnamed: 0", f"Unnamed: 0={index[0]}"):  # the run was trained on it
        reading = theirs.with_changes(columns=(kept, "a", "b"), one_hot=True)
        assert len(load_as(tmp_path / "t.csv", reading).columns or ()) == 3
    measured = tmp_path / "m.csv"
    measured.write_text(",a,b\n0.25,1,2\n")
    assert load_as(measured, theirs).columns == ("Unnamed: 0", "a", "b")


def test_names_of_frames_that_a_file_cannot_have() -> None:
    levels = pandas.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]
    with pytest.raises(DataError, match="names of 2 levels; give each one name"):
        load(pandas.DataFrame(rows, columns=levels))
    with pytest.raises(DataError, match="two columns called ''; rename"):
        load(pandas.DataFrame(rows, columns=["", ""]))


def test_a_label_may_be_a_number() -> None:
    frame = pandas.DataFrame([[1.0, 0.0, 2.5], [3.0, 1.0, 4.5]])
    for label in (1, "1", -2):
        found = load(frame, label=label, split=False)
        assert found.columns == ("0", "2") and found.reading.label == "1"
    wrong: Any
    for wrong in (True, 1.0, ("a",)):
        with pytest.raises(DataError, match="give the name of a column or array, or a column's"):
            load(frame, label=wrong)
    with pytest.raises(DataError, match="--label does not belong to an array"):
        load(frame.to_numpy(), label=0)


@pytest.mark.parametrize("label", ["²", "--1", "1" * 5000])
def test_a_label_that_only_looks_like_a_number(tmp_path: Path, label: str) -> None:
    with pytest.raises(DataError, match="has no column"):
        load(csv(tmp_path, "a,b\n" + BODY), label=label)
