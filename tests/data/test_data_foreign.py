"""SciPy's sparse matrices and MATLAB's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import io, sparse

from minivae.data import load
from minivae.data.npy import Npz
from tests.data.refusals import refused

rng = np.random.default_rng(4)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_a_sparse_matrix(tmp_path: Path, form: str) -> None:
    matrix = sparse.random(30, 8, 0.3, format=form, random_state=1)
    sparse.save_npz(tmp_path / "x.npz", matrix)
    found = load(tmp_path / "x.npz", split=False)
    np.testing.assert_array_equal(found.train, matrix.toarray().astype(np.float32))


def test_a_sparse_matrix_that_would_fill_memory(tmp_path: Path) -> None:
    matrix = sparse.csr_matrix((np.ones(1), ([0], [0])), shape=(10**6, 10**6))
    sparse.save_npz(tmp_path / "x.npz", matrix)
    refused(load, tmp_path / "x.npz", "sparse matrix", "8000.0 GB")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.arange(9) % 3, None),  # which MATLAB keeps as one row
        (np.array(["a", "bb", "c"] * 3, dtype=object), ("a", "bb", "c")),
        (np.array(["a", "b", "c"] * 3), ("a", "b", "c")),
    ],
)
def test_matlab_labels(tmp_path: Path, labels: np.ndarray, names: tuple[str, ...] | None) -> None:
    io.savemat(tmp_path / "x.mat", {"x": np.random.default_rng(0).random((9, 4)), "y": labels})
    found = load(tmp_path / "x.mat", split=False)
    np.testing.assert_array_equal(found.train_labels, np.arange(9) % 3)
    assert found.label_names == names and found.notes == ()


@pytest.mark.parametrize("labels", [np.array([{"a": 1}, 2, 3]), {"a": 1}, 3.0])
def test_matlab_labels_that_cannot_be_used(tmp_path: Path, labels: object) -> None:
    io.savemat(tmp_path / "x.mat", {"x": np.random.default_rng(0).random((3, 4)), "y": labels})
    found = load(tmp_path / "x.mat", split=False)
    assert found.train_labels is None and "labels are not used" in found.notes[0]


def test_matlab_files(tmp_path: Path) -> None:
    pictures = rng.integers(0, 256, (5, 7, 3, 11), dtype=np.uint8)
    labels = np.arange(11)[:, None] % 3
    io.savemat(tmp_path / "svhn.mat", {"X": pictures, "y": labels}, do_compression=True)
    found = load(tmp_path / "svhn.mat", split=False)
    assert found.shape == (5, 7, 3) and found.train_labels is not None
    np.testing.assert_array_equal(found.train.reshape(11, 5, 7, 3), pictures.transpose(3, 0, 1, 2))
    io.savemat(tmp_path / "plain.mat", {"anything": rng.random((9, 4)), "name": "text"})
    assert load(tmp_path / "plain.mat", split=False).train.shape == (9, 4)
    io.savemat(tmp_path / "two.mat", {"a": rng.random((9, 4)), "b": rng.random((9, 4))})
    refused(load, tmp_path / "two.mat", "no key to train on", "a, b")
    io.savemat(tmp_path / "case.mat", {"A": rng.random((9, 4)), "a": rng.random((9, 4))})
    refused(load, tmp_path / "case.mat", "no key to train on", "A, a")
    assert load(tmp_path / "case.mat", label="a", split=False).train.shape == (9, 4)
    whole = (tmp_path / "plain.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[: len(whole) // 2])
    refused(load, tmp_path / "cut.mat", "no whole MATLAB file")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + whole)
    refused(load, tmp_path / "new.mat", "7.3", "HDF5")


def test_an_honest_archive_of_gigabytes_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minivae.data.npy.MOST_IN_MEMORY", 1 << 20)
    np.savez_compressed(tmp_path / "big.npz", train=np.zeros((300, 1000), dtype=np.float32))
    refused(lambda path: Npz(path).read("train"), tmp_path / "big.npz", "GB", "numpy.save")


def test_other_programs_archives(tmp_path: Path) -> None:
    import zipfile

    for member, word in (("[Content_Types].xml", "Excel"), ("m/data.pkl", "PyTorch")):
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr(member, "x")
        refused(load, tmp_path / "x.npz", word)
