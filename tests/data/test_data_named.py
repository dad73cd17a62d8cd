"""The named sets: the embedded digits, the real files, and copies of them that are wrong."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivae.data import DataError, catalogue, load, read_idx
from minivae.data.locate import cache_dir, find
from minivae.data.registry import BY_NAME, ENTRIES, known_name


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test may see, or fill, the cache of whoever runs it."""
    monkeypatch.setenv("MINIVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MINIVAE_DATA", raising=False)
    return tmp_path / "cache"


def refuse(name: str, folder: Path | None, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        load(name, folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    whole = load("digits", split=False)
    theirs = load_digits()
    np.testing.assert_array_equal(whole.train, theirs.data)
    np.testing.assert_array_equal(whole.train_labels, theirs.target)
    assert whole.scale == 1 / 16 and whole.values().max() == 1.0 and whole.shape == (8, 8)


def test_the_split_of_digits_cuts_each_row_once() -> None:
    digits, whole = load("digits"), load("digits", split=False)
    assert len(digits.train) == 1500 and len(digits.test) == 297
    assert digits.train_labels is not None and digits.test_labels is not None
    assert np.bincount(digits.test_labels, minlength=10).min() > 15
    rows = np.concatenate([digits.train, digits.test])
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    assert whole.train_labels is not None
    mine = sorted(map(bytes, np.column_stack([rows, labels]).astype(np.uint8)))
    theirs = np.column_stack([whole.train, whole.train_labels]).astype(np.uint8)
    assert mine == sorted(map(bytes, theirs))
    np.testing.assert_array_equal(load("digits").test, digits.test)


def test_digits_load_without_the_slow_imports() -> None:
    code = (
        "import sys; from minivae.data import load; load('digits'); load('shapes');"
        "print(sorted({'sklearn', 'scipy', 'pooch', 'rich', 'numba', 'matplotlib', 'requests'}"
        " & set(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refuse("digits", None, "pip install scikit-learn")


@pytest.mark.data
def test_mnist(data_dir: Path) -> None:
    mnist = load("MNIST", data_dir)
    assert mnist.train.shape == (60000, 784) and mnist.test.shape == (10000, 784)
    assert mnist.train.dtype == np.uint8 and mnist.scale == 1 / 255 and mnist.shape == (28, 28)
    assert mnist.train_labels is not None and mnist.test_labels is not None
    assert list(mnist.train_labels[:5]) == [5, 0, 4, 1, 9]
    assert list(mnist.test_labels[:5]) == [7, 2, 1, 0, 4]
    assert mnist.train.flags.c_contiguous and round(float(mnist.train.mean()) / 255, 4) == 0.1307


@pytest.mark.data
def test_fashion_mnist(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIVAE_DATA", str(data_dir))
    fashion = load("fashion")
    assert fashion.train.shape == (60000, 784) and fashion.licence == "MIT"
    assert fashion.train_labels is not None and fashion.label_names is not None
    assert fashion.label_names[fashion.train_labels[0]] == "ankle boot"


@pytest.mark.data
def test_frey(data_dir: Path) -> None:
    frey, whole = load("frey", data_dir), load("frey", data_dir, split=False)
    assert frey.train.shape == (1769, 560) and frey.test.shape == (196, 560)
    assert whole.train.shape == (1965, 560) and frey.shape == (28, 20)
    assert (whole.train.min(), whole.train.max()) == (8, 238)
    np.testing.assert_array_equal(frey.test, whole.train[9::10])
    assert load(data_dir / "frey" / "freyfaces_uint8.npy").shape == (28, 20)


@pytest.mark.data
def test_binarized_mnist(data_dir: Path) -> None:
    found = load("binarized_mnist", data_dir)
    assert found.valid is not None and found.fixed_binary and found.scale == 1.0
    assert [len(x) for x in (found.train, found.valid, found.test)] == [50000, 10000, 10000]
    assert set(np.unique(found.test)) == {0, 1} and found.train.shape[1] == 784
    assert 0.12 < found.train.mean() < 0.14
    assert len(load("binarized-mnist", data_dir, split=False).train) == 70000
    by_path = load(data_dir / "binarized_mnist" / "binarized_mnist_packbits.npz")
    np.testing.assert_array_equal(by_path.test, found.test)  # never the packed bytes as features


@pytest.mark.data
def test_the_catalogue_tells_the_truth(data_dir: Path) -> None:
    for row in catalogue(data_dir):
        found = load(row.name, data_dir)
        valid = 0 if found.valid is None else len(found.valid)
        assert (row.train, row.valid, row.test) == (len(found.train), valid, len(found.test))
        assert row.features == found.data_dim and row.where is not None
        assert (row.licence, BY_NAME[row.name].shape) == (found.licence, found.shape)
        if row.where != "built in":
            files = [Path(row.where) / file.name for file in BY_NAME[row.name].files]
            assert sum(file.stat().st_size for file in files) == row.bytes


@pytest.mark.data
def test_files_lying_directly_in_the_folder(data_dir: Path) -> None:
    assert load("mnist", data_dir / "mnist").train.shape == (60000, 784)
    refuse("mnist", data_dir / "fashion-mnist", "fashion-mnist's file", "name the data set")


@pytest.mark.data
def test_a_copy_that_differs(data_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "data" / "mnist"
    shutil.copytree(data_dir / "mnist", copy)
    for path in copy.iterdir():
        path.chmod(0o644)
    labels = copy / "t10k-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-1])
    refuse("mnist", copy.parent, "t10k-labels", "4541 bytes", "4542", "minivae data mnist")
    labels.write_bytes(whole[:-1] + b"\x01")
    refuse("mnist", copy.parent, "not the published file", "sha256")
    labels.unlink()
    refuse("mnist", copy.parent, "t10k-labels-idx1-ubyte.gz not found", "--data-dir", "11.6 MB")
    assert load(copy / "t10k-images-idx3-ubyte.gz").shape == (28, 28)  # as one's own file


@pytest.mark.data
def test_frey_and_binarized_files_that_differ(data_dir: Path, tmp_path: Path) -> None:
    frames = np.load(data_dir / "frey" / "freyfaces_uint8.npy")
    frames[1964, 559] ^= 1
    np.save(tmp_path / "freyfaces_uint8.npy", frames)
    refuse("frey", tmp_path, "not the published ones", "minivae data frey")
    np.save(tmp_path / "freyfaces_uint8.npy", frames.astype(np.float32))
    refuse("frey", tmp_path, "float32", "uint8 rows of 560")
    with np.load(data_dir / "binarized_mnist" / "binarized_mnist_packbits.npz") as packed:
        parts = dict(packed)
    target = tmp_path / "binarized_mnist_packbits.npz"
    np.savez(target, **parts)  # the same values in other bytes are as good
    assert load("binarized-mnist", tmp_path).fixed_binary
    parts["test"] = parts["test"][::-1]
    np.savez(target, **parts)
    refuse("binarized-mnist", tmp_path, "not the published ones")
    del parts["valid"]
    np.savez(target, **parts)
    refuse("binarized-mnist", tmp_path, "no array 'valid'")


def test_what_is_not_there_is_said_with_where(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse("mnist", None, str(own_cache), "train-images", "and 3 more", "`minivae data mnist`")
    refuse("mnist", tmp_path, str(own_cache), f"{tmp_path} or")
    refuse("mnist", tmp_path / "nowhere", "no such folder", "--data-dir")
    monkeypatch.setenv("MINIVAE_DATA", str(tmp_path / "gone"))
    refuse("frey", None, "no such folder", "MINIVAE_DATA")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("MINIVAE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "minivae"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "minivae"


def test_the_cache_is_searched_after_the_folder(tmp_path: Path, own_cache: Path) -> None:
    entry = BY_NAME["frey"]
    (own_cache / "frey").mkdir(parents=True)
    (own_cache / "frey" / "freyfaces_uint8.npy").touch()
    other = tmp_path / "other"
    other.mkdir()
    assert find(entry, other) == own_cache / "frey"
    (other / "freyfaces_uint8.npy").touch()
    assert find(entry, other) == other


def test_names_are_forgiving_and_registered_once() -> None:
    for typed, name in (
        ("Fashion_MNIST", "fashion-mnist"),
        ("FREYFACES", "frey"),
        ("binarised-mnist", "binarized-mnist"),
        (" digits ", "digits"),
    ):
        assert known_name(typed) == name
    assert known_name("minst") is None
    sums = [file.sha256 for entry in ENTRIES for file in entry.files if file.sha256]
    assert len(set(sums)) == len(sums) == 8 and all(len(s) == 64 for s in sums)


@pytest.mark.data
def test_real_idx_cut_short(data_dir: Path, tmp_path: Path) -> None:
    whole = (data_dir / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes()
    path = tmp_path / "my-images-idx3-ubyte.gz"
    path.write_bytes(whole[:1000000])
    refuse(str(path), None, "truncated")
    content = bytearray(gzip.decompress(whole))
    content[7] += 1  # one picture more than there is
    (tmp_path / "my-images-idx3-ubyte").write_bytes(bytes(content))
    refuse(str(tmp_path / "my-images-idx3-ubyte"), None, "truncated")
    np.testing.assert_array_equal(
        read_idx(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz").tobytes(), bytes(content[16:])
    )
