"""Data that could be taken for something else without a word: refused, and named."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minivae.data import DataError, load
from tests.data.refusals import refused

ROWS = np.arange(40, dtype=np.float32).reshape(10, 4) / 40


def archive(path: Path, *names: str) -> Path:
    """An .npz whose members have these names, each with other rows."""
    with zipfile.ZipFile(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of a name that it has already
        for i, name in enumerate(names):
            with file.open(zipfile.ZipInfo(name), "w") as stream:
                np.save(stream, ROWS + i)
    return path


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x.npy", "x.npy"], ["two members named x.npy"]),
        (["x.npy", "X.npy"], ["x.npy beside X.npy"]),
        (["X.npy", "y.npy", "x.npy"], ["X.npy beside x.npy"]),
        (["x-train.npy", "x_train.npy"], ["x-train.npy beside x_train.npy"]),
        (["x.npy", "note.txt", "note.txt"], ["two members named note.txt"]),
        (["caf\u00e9.npy", "cafe\u0301.npy"], [r"'caf\xe9.npy' beside 'cafe\u0301.npy'"]),
        (["x.npy", "\uff58.npy"], [r"x.npy beside '\uff58.npy'"]),
        (["x.npy", "x\u200b.npy"], [r"x.npy beside 'x\u200b.npy'"]),
        (["x.npy", "x"], ["x.npy beside x"]),
        (["x.npy", "./x.npy"], ["x.npy beside ./x.npy"]),
        (["a/x.npy", "a\\x.npy"], ["a/x.npy beside a\\x.npy"]),
    ],
)
def test_an_archive_in_which_a_name_means_two_things(
    tmp_path: Path, names: list[str], words: list[str]
) -> None:
    refused(load, archive(tmp_path / "a.npz", *names), *words)


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (1, 1)])
def test_two_archives_in_one_file(tmp_path: Path, before: int, after: int) -> None:
    """zipfile reads the last one that it finds, and says nothing of the others."""
    whole = archive(tmp_path / "a.npz", "x.npy").read_bytes()
    other = archive(tmp_path / "b.npz", "x.npy", "y.npy").read_bytes()
    (tmp_path / "a.npz").write_bytes(other * before + whole + b"PK and more" * after)
    refused(load, tmp_path / "a.npz", "has other bytes " + ("before" if before else "after"))


def test_an_archive_with_a_comment_and_folders_is_one(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", "x.npy")
    with zipfile.ZipFile(path, "a") as file:
        file.comment = b"made by hand"
        file.writestr("x/", b"")
    assert load(path, split=False).train.shape == ROWS.shape


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    data = bytearray(archive(tmp_path / "a.npz", "x.npy").read_bytes())
    for magic, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + flags] |= 1
    (tmp_path / "a.npz").write_bytes(data)
    refused(load, tmp_path / "a.npz", "(x): is encrypted; save it without a password")


@pytest.mark.parametrize("name", ["a\nb.npy", "\x1b[31mred.npy", "r\u202etl.npy"])
def test_a_files_name_is_told_with_its_signs_escaped(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError) as caught:
        load(tmp_path / name)
    assert repr(name)[1:-1] in str(caught.value)


def test_two_columns_whose_names_look_alike(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    (tmp_path / "a.csv").write_text("caf\u00e9,cafe\u0301\n1,2\n3,4\n", encoding="utf-8")
    refused(load, tmp_path / "a.csv", "two columns called")
    with pytest.raises(DataError, match="two columns called"):
        load(pandas.read_csv(tmp_path / "a.csv"))


def test_digits_with_underscores_are_no_number(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "a.csv").write_text("a,b\n1_000,2\n3,4\n5,6\n")
    refused(load, tmp_path / "a.csv", "row 0 (from 0) is '1_000'")


def test_a_member_whose_name_goes_on_after_a_nul(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", "x.npy_hidden")
    path.write_bytes(path.read_bytes().replace(b"x.npy_hidden", b"x.npy\0hidden"))
    refused(load, path, "NUL", r"x.npy\x00hidden")


def test_a_path_with_a_nul_and_one_that_is_too_long() -> None:
    for text, words in (("a/b\0c.npy", r"a/b\x00c.npy"), ("d/" * 3000 + "x.npy", "check the path")):
        with pytest.raises(DataError) as caught:
            load(text)
        assert words in str(caught.value) and len(str(caught.value)) <= 600


def test_a_damaged_header_never_floods_the_message(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", "x" * 60_000 + "\x1b[31m.npy", "z.npy")
    with pytest.raises(DataError) as caught:
        load(path)
    assert len(str(caught.value)) <= 600 and str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are made here")
@pytest.mark.parametrize("name", ["x.npy", "x.csv", "x", "x.npz", "train-images-idx3-ubyte.gz"])
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)  # opened for reading, it would wait for ever
    with pytest.raises(DataError, match="is a pipe or a device, no file"):
        load(tmp_path / name)


def test_a_device_is_refused(tmp_path: Path) -> None:
    for device in ("/dev/zero", "/dev/null"):
        if not Path(device).exists():
            pytest.skip(f"there is no {device}")
        (tmp_path / "x.npy").unlink(missing_ok=True)
        (tmp_path / "x.npy").symlink_to(device)
        with pytest.raises(DataError, match="is a pipe or a device"):
            load(tmp_path / "x.npy")


def test_a_workbook_by_another_name_is_called_one(tmp_path: Path) -> None:
    for name in ("x.csv", "x.npz", "x.xlsx"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("[Content_Types].xml", "")
        refused(load, tmp_path / name, "an Excel workbook", "save the sheet as CSV")


@pytest.mark.parametrize(
    ("member", "words"), [("a/0.JPG", "folder of pictures"), ("t.csv", "table")]
)
def test_what_is_zipped_is_to_be_unpacked(tmp_path: Path, member: str, words: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(member, "")
    refused(load, tmp_path / "x.zip", words, "in a zip; unpack it")


def test_the_advice_for_what_is_no_matrix_of_numbers_works(tmp_path: Path) -> None:
    records = np.zeros(6, dtype=[("a", "f8"), ("b", "i4")])
    records["a"] = np.arange(6)
    for X, words in (
        (records, "numpy.column_stack([X[name] for name in X.dtype.names])"),
        (np.arange(12).reshape(6, 2) * 1j, "numpy.hstack([X.real, X.imag])"),
        (np.zeros((6, 9, 9, 4)), "X[..., :3]"),
        (np.arange(12).reshape(6, 2).astype("M8[ns]"), "(X - X.min()) / numpy.timedelta64(1, 'D')"),
    ):
        np.save(tmp_path / "x.npy", X)
        refused(load, tmp_path / "x.npy", words)
        advised = eval(words, {"X": X, "numpy": np})
        np.save(tmp_path / "x.npy", advised)
        assert len(load(tmp_path / "x.npy", split=False).train) == 6


def test_a_printed_minus_in_a_table_without_a_header(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "a.csv").write_text("1,2\n\u22123,4\n5,6\n", encoding="utf-8")
    assert load(tmp_path / "a.csv", split=False).train[1].tolist() == [-3, 4]


def test_an_infinity_in_the_first_row_is_no_name(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "a.csv").write_text("0,2,inf\n12,14,1\n24,26,2\n")
    refused(load, tmp_path / "a.csv", "row 0", "is inf")


@pytest.mark.parametrize("name", ["arr_0", "x", "data", "images", "features", "train", "X_Train"])
def test_labels_are_never_trained_on(tmp_path: Path, name: str) -> None:
    """One-hot labels whose name is that of rows had been the data, without a word."""
    labels = np.eye(3)[np.arange(10) % 3]
    np.savez(tmp_path / "a.npz", **{name: labels, "arr_1": ROWS})
    found = load(tmp_path / "a.npz", label=name, split=False)
    np.testing.assert_array_equal(found.train, ROWS)
    np.testing.assert_array_equal(found.train_labels, np.arange(10) % 3)
