"""Python objects given as data: read as rows, or refused in one line that names the fix."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError, load
from minivae.data.objects import refuse_misread
from tests.data.refusals import refused

ROWS = np.arange(12, dtype=np.float32).reshape(6, 2)


class Tensor:
    """What another library's array shows: rows, or a refusal of its own."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.rows is None:
            raise RuntimeError("call .cpu() first")
        return np.asarray(self.rows, dtype)


def test_lists_tensors_and_sparse_matrices_are_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(ROWS)
    for given in (ROWS.tolist(), tuple(ROWS), Tensor(ROWS), sparse, np.ma.masked_invalid(ROWS)):
        np.testing.assert_array_equal(load(given, split=False).train, ROWS)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([[1, 2], [3]], "the list is no array of rows"),
        (Tensor(None), "the Tensor is no array of rows: call .cpu"),
        (Tensor([1, 2]), r"X.reshape\(-1, 1\)"),
        ({"a": [1]}, "a dict is no data set"),
        (None, "a NoneType is no data set"),
        (np.ma.masked_less(ROWS, 1), r"value at \(0, 0\) is masked, 1 in all"),
        ("https://example.org/x.csv", "an address is not read; download"),
        ("file:///x.csv", "an address is not read"),
        ("-", "a pipe is not read"),
        ("/proc/7/fd/pipe:[42]", "is a pipe, and data are read more than once|no folder"),
        ("my table.xlsx", "there is no such file"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_holds_no_rows_is_one_line(given: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(given)


@pytest.mark.parametrize("name", ["x.csv.gz", "x.npy.gz", "x.csv.bz2", "x.csv.xz", "x.tar"])
def test_packed_files_say_how_they_are_unpacked(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "x.npy", ROWS)
    array = (tmp_path / "x.npy").read_bytes()
    content = {
        "x.csv.gz": gzip.compress(b"a,b\n1,2\n"),
        "x.npy.gz": gzip.compress(array),
        "x.csv.bz2": bz2.compress(b"a,b\n1,2\n"),
        "x.csv.xz": lzma.compress(b"a,b\n1,2\n"),
        "x.tar": b"x.npy".ljust(257, b"\0") + b"ustar\x0000",
    }[name]
    (tmp_path / name).write_bytes(content)
    refused(load, tmp_path / name, "unpack it")


def test_a_link_to_nothing_and_a_folder_of_tables(tmp_path: Path) -> None:
    os.symlink(tmp_path / "gone.csv", tmp_path / "x.csv")
    refused(load, tmp_path / "x.csv", "is a link to", "gone.csv", "mend it")
    (tmp_path / "tables").mkdir()
    for name in "abcd":
        (tmp_path / "tables" / f"{name}.csv").write_text("x,y\n1,2\n")
    refused(load, tmp_path / "tables", "each a data set (a.csv, b.csv, c.csv, …)", "give one")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("x.csv", TypeError, r"load_data\('x.csv'\).values\('train'\)"),
        (Path("x.csv"), TypeError, "is a name or path"),
        (load("digits"), TypeError, r"X.values\('train'\)"),
        (np.ma.masked_less(ROWS, 1), ValueError, "is masked"),
        (np.zeros((3, 2), "M8[D]"), ValueError, "X holds dates"),
        (np.zeros(3, [("a", "f4"), ("b", "f4")]), ValueError, "X holds records"),
    ],
    ids=["name", "path", "data set", "mask", "dates", "records"],
)
def test_what_an_estimator_would_misread_is_refused(
    given: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        refuse_misread(given)
    refuse_misread(ROWS)


def test_a_frame_with_a_name_twice_is_refused_by_it() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.ones((3, 5)), columns=["a", "b", "a", "b", "c"])
    with pytest.raises(DataError, match="columns called 'a' and two called 'b'; rename one"):
        refuse_misread(frame)
    refuse_misread(frame.iloc[:, 1:3])


def test_sizes_may_be_lists_or_numpys_numbers_and_else_are_told() -> None:
    assert load(ROWS, shape=[1, 2]).shape == load(ROWS, shape=tuple(np.array([1, 2]))).shape  # type: ignore[arg-type]
    for given in (4, "1,2", (1.0, 2), (True, 0), ()):
        with pytest.raises(DataError, match=r"shape .*: give height,width"):
            load(ROWS, shape=given)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"resize .*: give a height and a width"):
            load(ROWS, resize=given)  # type: ignore[arg-type]
