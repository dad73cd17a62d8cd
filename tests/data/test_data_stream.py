"""Data larger than memory: rows read from disk as they are needed, and files that change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError, load
from minivae.data import stream as stream_module
from minivae.data.stream import FileRows, RowFile
from minivae.data.window import Window, local_order
from minivae.runs.resume import fingerprint

rng = np.random.default_rng(11)
X = rng.normal(size=(500, 7)).astype(np.float32)

pytestmark = pytest.mark.skipif(not stream_module.POSSIBLE, reason="needs preadv")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any file is streamed, in blocks of 16 rows of X."""
    monkeypatch.setattr("minivae.data.streamed.STREAMED_FROM", 0)
    monkeypatch.setattr("minivae.data.stream.RUN_BYTES", 1000)
    monkeypatch.setattr("minivae.data.stream.GAP_BYTES", 64)
    monkeypatch.setattr("minivae.data.window.BLOCK_BYTES", 16 * 28)
    monkeypatch.setattr("minivae.data.window.POOL_BLOCKS", 4)


def file_rows(path: Path, array: np.ndarray) -> FileRows:
    np.save(path, array)
    return FileRows(RowFile(path, path.stat().st_size - array.nbytes, array.dtype, array.shape))


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "|u1", "<i8", "<f2"])
def test_rows_are_those_of_the_array(tmp_path: Path, kind: str) -> None:
    array = (X * 50).astype(kind)
    rows = file_rows(tmp_path / "x.npy", array)
    expected = array if kind == "|u1" else array.astype(np.float32)
    assert rows.dtype == expected.dtype and rows.shape == array.shape
    np.testing.assert_array_equal(np.asarray(rows), expected)
    np.testing.assert_array_equal(rows[7], expected[7])
    np.testing.assert_array_equal(rows[30:90:3], expected[30:90:3])
    some = rng.integers(0, 500, 200)
    np.testing.assert_array_equal(rows[some], expected[some])
    mask = X[:, 0] > 0
    np.testing.assert_array_equal(rows[mask], expected[mask])
    index = np.sort(rng.permutation(500)[:300])
    part = rows.select(index)
    np.testing.assert_array_equal(part[some % 300], expected[index[some % 300]])
    np.testing.assert_array_equal(np.concatenate(list(part.chunks())), expected[index])
    with pytest.raises(IndexError):
        rows[[500]]


@pytest.mark.parametrize("order", ["blocks", "scattered"])
@pytest.mark.parametrize("used", [500, 497, 130, 20, 1])
@pytest.mark.parametrize("most", [20, 120])
def test_a_window_shows_the_rows_asked_for(
    tmp_path: Path, order: str, used: int, most: int
) -> None:
    rows = file_rows(tmp_path / "x.npy", X)
    local = order == "blocks"
    numbers = np.sort(rng.permutation(500)[:used])
    window = Window(rows, numbers, most=most, local=local)
    shown = len(window.array) - np.isin(window.array, X).all(axis=1).sum()
    assert shown < 16  # a step looks at it to see how dense the data are
    pools = 2 + (max(most, 2) - 2) // 49  # 64 rows in a pool, 49 or more where the last block is
    assert len(window.array) <= (pools * 64 if local else most)
    for epoch in range(2):
        order_of = local_order(3, epoch, used, 28) if local else rng.permutation(used)
        for start in range(0, used, most):
            wanted = numbers[order_of[start : start + most]]
            wanted = wanted.reshape(2, -1) if len(wanted) % 2 == 0 else wanted
            places = window.show(wanted)
            assert places.shape == wanted.shape
            np.testing.assert_array_equal(window.array[places], X[wanted])


def test_the_local_order_is_a_permutation_that_stays_in_pools() -> None:
    order = local_order(5, 2, 500, 28)
    np.testing.assert_array_equal(np.sort(order), np.arange(500))
    assert not np.array_equal(order, local_order(5, 3, 500, 28))
    blocks_at_once = [len(np.unique(order[i : i + 64] // 16)) for i in range(0, 448, 64)]
    assert max(blocks_at_once) <= 8  # two pools of four blocks
    places = np.argsort(order)
    assert abs(np.corrcoef(places, np.arange(500))[0, 1]) < 0.3  # far from the file's order


def test_a_streamed_set_is_the_set_in_memory(tmp_path: Path, monkeypatch: Any) -> None:
    np.save(tmp_path / "x.npy", X * 9 + 5)
    for options in ({}, {"standardise": True}, {"shape": (7, 1)}):
        streamed = load(tmp_path / "x.npy", **options)
        monkeypatch.setattr("minivae.data.streamed.STREAMED_FROM", 1 << 30)
        whole = load(tmp_path / "x.npy", **options)
        monkeypatch.setattr("minivae.data.streamed.STREAMED_FROM", 0)
        assert isinstance(streamed.train, FileRows) and "piece by piece" in streamed.notes[0]
        assert fingerprint(streamed)["sizes"] == fingerprint(whole)["sizes"]
        np.testing.assert_allclose(streamed.values("test"), whole.values("test"), rtol=2e-6)
        np.testing.assert_allclose(streamed.values(), whole.values(), rtol=2e-6)
        assert streamed.train.min() <= whole.train.min() + 1e-5
        assert streamed.shape == whole.shape
        if not options:
            assert fingerprint(streamed) == fingerprint(whole)


def test_bad_values_are_named(tmp_path: Path) -> None:
    bad = X.copy()
    bad[321, 4] = np.nan
    np.save(tmp_path / "x.npy", bad)
    with pytest.raises(DataError, match="row 321, column 4"):
        load(tmp_path / "x.npy")


def test_a_file_that_shrinks_or_changes_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    rows = file_rows(path, X)
    os.truncate(path, 3000)
    with pytest.raises(DataError, match=r"x.npy: ended at row \d+ of 500.*cut short"):
        rows[np.arange(400, 500)]
    rows = file_rows(path, X)
    with path.open("r+b") as stream:
        stream.seek(500)
        stream.write(b"\1")
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="was changed while it was read"):
        rows[3]
