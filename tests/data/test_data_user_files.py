"""A user's own file or array: what is understood, and the line that each fault gives."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.cli.train_settings import record_name
from minivae.data import DataError, from_arrays, load, write_idx

GREY = np.random.default_rng(3).random((30, 5))
BYTES = np.arange(23 * 3 * 7, dtype=np.uint8).reshape(23, 3, 7)


def refuse(what: str | Path, *words: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        load(what, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_a_float_npy(tmp_path: Path) -> None:
    found = load(save(tmp_path / "x.npy", GREY))
    assert found.train.dtype == np.float32 and found.scale == 1.0 and not found.fixed_binary
    assert found.train.shape == (27, 5) and found.test.shape == (3, 5) and found.shape is None
    together = np.concatenate([found.train, found.test])
    np.testing.assert_array_equal(np.sort(together[:, 0]), np.sort(GREY[:, 0].astype(np.float32)))


def test_the_split_is_fixed_and_can_be_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npy", GREY)
    np.testing.assert_array_equal(load(path).test, load(str(path)).test)
    whole = load(path, split=False)
    np.testing.assert_array_equal(whole.train, GREY.astype(np.float32))
    assert whole.test.shape == (0, 5)


def test_scales_by_what_the_numbers_are(tmp_path: Path) -> None:
    pictures = load(save(tmp_path / "a.npy", BYTES.reshape(23, -1)))
    assert pictures.train.dtype == np.uint8 and pictures.scale == 1 / 255
    for kind in (np.uint8, bool, np.int64, np.float64):
        binary = load(save(tmp_path / "b.npy", (GREY > 0.5).astype(kind)))
        assert binary.scale == 1.0 and binary.fixed_binary and binary.train.dtype == np.uint8
        assert binary.train.max() == 1
    counts = load(save(tmp_path / "c.npy", np.arange(30).reshape(10, 3)))
    assert counts.train.dtype == np.float32 and counts.scale == 1.0 and counts.train.max() > 20


def test_a_picture_shape_is_guessed_or_given(tmp_path: Path) -> None:
    column = np.arange(0, 240, 30, dtype=np.uint8)
    path = save(tmp_path / "a.npy", np.tile(column, (4, 8)))  # eight equal lines of a ramp
    assert load(path).shape == (8, 8)
    assert load(path, shape=(4, 16)).shape == (4, 16)
    refuse(path, "4x15", "60", "64", shape=(4, 15))


def test_npz_keys(tmp_path: Path) -> None:
    y = np.arange(30) % 4
    path = tmp_path / "parts.npz"
    np.savez(path, x_train=GREY, x_test=GREY[:7] + 1, Y_Train=y, y_test=y[:7], X_val=GREY[:2])
    found = load(path)
    assert (len(found.train), len(found.test), len(found.valid)) == (30, 7, 2)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.train_labels, y)
    np.testing.assert_array_equal(found.test_labels, y[:7])
    assert found.valid_labels is None
    assert len(load(path, split=False).train) == 39
    np.savez(tmp_path / "one.npz", anything=GREY)
    assert len(load(tmp_path / "one.npz").train) == 27
    np.savez(tmp_path / "xy.npz", X=GREY, y=y)
    both = load(tmp_path / "xy.npz")
    rows = [int(np.flatnonzero(GREY[:, 0].astype(np.float32) == v)[0]) for v in both.test[:, 0]]
    np.testing.assert_array_equal(both.test_labels, y[rows])


def test_npz_without_a_fitting_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", weights=GREY, biases=GREY)
    refuse(tmp_path / "odd.npz", "weights, biases", "x_train")
    np.savez(tmp_path / "none.npz")
    refuse(tmp_path / "none.npz", "no arrays")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_with_labels_and_test_beside(tmp_path: Path, ending: str) -> None:
    write_idx(tmp_path / f"train-images-idx3-ubyte{ending}", BYTES)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(23, dtype=np.uint8))
    alone = load(tmp_path / f"train-images-idx3-ubyte{ending}")
    assert alone.shape == (3, 7) and alone.scale == 1 / 255
    assert len(alone.train) == 21 and len(alone.test) == 2
    np.testing.assert_array_equal(alone.train, BYTES.reshape(23, -1)[alone.train_labels])
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", BYTES[:4])
    pair = load(tmp_path)  # the folder will do
    assert len(pair.train) == 23 and len(pair.test) == 4 and pair.test_labels is None


def test_idx_faults(tmp_path: Path) -> None:
    refuse(tmp_path, "train-images", "nothing")
    write_idx(tmp_path / "a-labels-idx1-ubyte", np.arange(5, dtype=np.uint8))
    refuse(tmp_path / "a-labels-idx1-ubyte", "labels", "pictures")
    write_idx(tmp_path / "a-images-idx3-ubyte", BYTES)
    found = load(tmp_path / "a-images-idx3-ubyte")
    assert found.train_labels is None and "5 labels for 23 rows" in found.notes[0]
    write_idx(tmp_path / "train-images-idx3-ubyte", BYTES)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", BYTES.reshape(23, 7, 3))
    refuse(tmp_path / "train-images-idx3-ubyte", "(7, 3)", "(3, 7)")
    write_idx(tmp_path / "b-train-images-idx3-ubyte", BYTES)
    refuse(tmp_path, "several")
    write_idx(tmp_path / "empty-idx", BYTES[:0])
    refuse(tmp_path / "empty-idx", "empty")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 5, 4, 5)), ["(2, 5, 4, 5)", "X.reshape(len(X), -1)"]),
        (np.zeros((2, 3, 4, 5, 6)), ["(N, H, W, 3)"]),
        (np.arange(5.0), ["(5,)", "X.reshape(-1, 1)"]),
        (np.float64(3), ["()"]),
        (np.zeros((0, 5)), ["empty", "(0, 5)"]),
        (np.zeros((5, 0)), ["empty"]),
        (np.array([["a"]]), ["real numbers"]),
        (np.ones((2, 2)) * 1j, ["real numbers"]),
        (np.full((3, 4), 1e300), ["1e+300", "float32"]),
        (np.full((3, 4), 2**60), ["float32"]),
    ],
)
def test_unusable_arrays(tmp_path: Path, array: np.ndarray, words: list[str]) -> None:
    refuse(save(tmp_path / "x.npy", array), "x.npy", *words)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_bad_value_is_named(tmp_path: Path, value: float) -> None:
    bad = np.tile(GREY, (400, 1))
    bad[9001, 3] = bad[9002, 1] = value
    refuse(save(tmp_path / "x.npy", bad), "row 9001, column 3", str(value))
    with pytest.raises(DataError, match=r"\(test\): row 9001"):
        from_arrays(GREY, bad)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.npy", b"", ["0 bytes"]),
        ("x.npy", b"PK\x03\x04 something", ["zip archive", "rename"]),
        ("x.npz", b"\x93NUMPY\x01\x00", [".npy array", "rename"]),
        ("x.npy", b"\x80\x04\x95pickled", ["pickle", "never"]),
        ("x.npz", b"<!DOCTYPE html>", ["web page"]),
        ("x.gz", b"<html>", ["web page"]),
        (
            "x.npy",
            b"a,b\n4,5\n",
            ["not a .npy file", "table in text", "'a,b'", "rename it to .csv"],
        ),
        ("x.gz", b"a,b\n4,5\n", ["not a .gz file", "table in text"]),
        ("x.png", b"\x89PNG\r\n\x1a\n", ["picture", "folder"]),
        ("x.tif", b"II*\0", ["single picture (TIFF)", "folder"]),
        ("x.heic", b"\0\0\0\x18ftypheic", ["HEIC", "PNG or JPEG"]),
        ("x.json", b'[{"a": 1}]', ["JSON", "to_csv"]),
        ("x.bmp", b"BM\x36\0\0\0\0\0\0\0", ["single picture (BMP)", "folder"]),
        ("x.webp", b"RIFF\x24\0\0\0WEBPVP8", ["single picture (WebP)", "folder"]),
        ("x.h5", b"\x89HDF\r\n\x1a\n", ["HDF5"]),
        ("x.mat", b"MATLAB 5.0 MAT-file", ["no whole MATLAB file"]),
        ("x.bin", b"\x12\x34\x56\x78\x9a", ["12 34 56 78", ".npy, .npz, .csv"]),
        ("x.bin", b"\0\0\x08", ["no known form"]),
    ],
)
def test_a_file_that_is_not_data(
    tmp_path: Path, name: str, content: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    refuse(tmp_path / name, name, *words)


def test_a_gzip_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"1,2,3\n"))
    refuse(tmp_path / "x.csv.gz", "not an idx file")


def test_missing_files_and_unknown_names(tmp_path: Path) -> None:
    save(tmp_path / "faces.npy", GREY)
    refuse(tmp_path / "face.npy", str(tmp_path), "did you mean faces.npy?")
    refuse(tmp_path / "zzz" / "x.npy", "no folder")
    refuse("minst", "unknown dataset 'minst'", "did you mean mnist?", "digits")
    refuse("fasion_mnist", "did you mean fashion-mnist?")
    refuse("qqqqqq", "'qqqqqq'; choose digits, shapes")
    refuse("", "unknown dataset")
    refuse("x" * 5000, "unknown dataset")
    refuse("nul\0byte", "unknown dataset")


def test_parts_that_do_not_fit_together() -> None:
    with pytest.raises(DataError, match="train 5, test 4"):
        from_arrays(GREY, GREY[:, :4])
    with pytest.raises(DataError, match="scales would too"):
        from_arrays(GREY, (GREY * 255).astype(np.uint8))
    with pytest.raises(DataError, match="pictures' shape: train rows, test 5x1"):
        from_arrays(GREY, GREY.reshape(30, 5, 1))


@pytest.mark.parametrize("width", [1, 3])
def test_parts_of_other_widths_are_told_beside_far_columns(width: int) -> None:
    far = 1.7e9 + np.arange(80.0).reshape(40, 2)
    with pytest.raises(DataError, match=f"number of features: train 2, test {width}"):
        from_arrays(far, np.zeros((5, width)), standardise=True)


def test_a_binary_part_beside_a_grey_one_keeps_the_grey_scale() -> None:
    """A test part of 0s and 1s must not turn pictures of bytes into another scale."""
    grey = np.arange(60, dtype=np.uint8).reshape(12, 5)
    found = from_arrays(grey, np.ones((3, 5), dtype=np.uint8))
    assert found.scale == 1 / 255 and not found.fixed_binary


def test_one_row_is_enough() -> None:
    found = from_arrays(GREY[:1])
    assert len(found.train) == 1 and len(found.test) == 0


def test_an_array_is_a_data_set_and_other_things_are_none() -> None:
    pixels = np.arange(20 * 12).reshape(20, 4, 3, 1).astype(np.uint8)
    loaded = load(pixels, split=False, standardise=False)
    assert loaded.shape == (4, 3) and loaded.train.shape == (20, 12) and loaded.name == "the array"
    assert load(pixels[:, :, 0, 0] * 1.0, standardise=True).standard is not None
    with pytest.raises(DataError, match="label"):
        load(pixels, label="0")
    with pytest.raises(DataError, match="a dict is no data set: give a name, a path, a NumPy"):
        load({"a": [1.0, 2.0]})


def test_a_name_that_begins_as_a_home_folders_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """~x.csv is what some editors call a copy; there is no user of that name."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "~nobody-known.npy", GREY)
    assert load("~nobody-known.npy", split=False).train.shape == (30, 5)
    refuse("~nobody-know.npy", "did you mean ~nobody-known.npy?")
    with pytest.raises(DataError, match="~nobody-known: there is no such folder"):
        load("mnist", "~nobody-known")
    assert record_name("~nobody-known.npy") == str(tmp_path / "~nobody-known.npy")
