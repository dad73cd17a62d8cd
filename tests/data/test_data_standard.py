"""Standardised columns: what never varies, what lies far from 0, and the bits of earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivae.data import DataError, from_arrays, load
from minivae.data import stream as stream_module
from minivae.data.arrays import standardised
from minivae.data.columns import with_columns
from minivae.data.load import load_as
from minivae.data.reading import Reading
from minivae.data.standard import Standard, moments
from minivae.runs.resume import fingerprint

TIME = 1_700_000_000 + np.arange(200.0)  # seconds since 1970: near it float32 holds each 128th
OTHER = (np.arange(200) * 37 % 101) / 7.0
FAR = np.column_stack([OTHER, TIME])


def table(rows: int) -> np.ndarray:
    """Columns of unlike place and spread, the last of which never varies; the same everywhere."""
    drawn = np.arange(rows * 5, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32)
    share = (drawn.astype(np.float64) / 2**32).reshape(rows, 5)
    return share * [1, 20, 0.1, 5e4, 0] + [0.1, -40, 170, 1e5, 0.1]


@pytest.mark.parametrize(("value", "rows"), [(0.1, 7), (12.7, 1000), (99.99, 1000), (-1e-9, 9000)])
def test_a_column_of_one_value_has_no_deviation(value: float, rows: int) -> None:
    """Sums of it round: the noise of some 1e-14 had been taken for a deviation."""
    column = np.full((rows, 2), value)
    for weight in (None, np.linspace(0, 2, rows)):
        mean, deviation = moments(column, weight=weight)
        assert mean.tolist() == [value] * 2 and deviation.tolist() == [0, 0]
    assert Standard.of(column).apply(column).tolist() == np.zeros((rows, 2)).tolist()
    column[0] = 7.0  # a row that does not count
    assert moments(column, weight=np.arange(rows) > 0.5)[1].tolist() == [0, 0]
    column[-1] = 8.0
    assert (moments(column, weight=np.arange(rows) > 0.5)[1] > 0).all()


def test_a_column_that_only_rounding_varies_has_no_deviation() -> None:
    column = np.tile([[0.1 + 0.2], [0.3]], (50, 1))
    assert moments(column)[1].tolist() == [0]
    assert moments(column + np.array([[0.0], [1e-12]] * 50))[1] > 0


@pytest.mark.parametrize(
    ("rows", "sha256"),
    [
        (300, "2d07e91a9b15be96d73b19c1ec537ee5095b7466a4d25823aeb1629ab3cd85f0"),
        (10_000, "0b3549b8a3dce5749d5e41f2dbc951d856f200d7b9dd762302838f8433016e7c"),
    ],
)
def test_standardised_tables_keep_their_bits(rows: int, sha256: str) -> None:
    """Sums made before constant and far columns were told apart; a run ends in the same bits."""
    found = from_arrays(table(rows), standardise=True)
    assert fingerprint(found)["sha256"] == sha256
    assert found.standard is not None and "origin" not in found.standard.to_dict()


@pytest.mark.parametrize("kind", [np.float64, np.int64])
def test_columns_far_from_0_keep_their_differences(kind: Any) -> None:
    found = from_arrays(FAR.astype(kind), standardise=True, split=False)
    expected = (TIME - TIME.mean()) / TIME.std()
    np.testing.assert_allclose(found.train[:, 1], expected, atol=1e-6)
    assert np.abs(found.user_values()[:, 1] - TIME).max() <= 1e-4
    standard = found.standard
    assert standard is not None and standard.origin is not None and standard.origin[0] == 0
    again = Standard.from_dict(standard.to_dict())
    for part, other in zip(again, standard, strict=True):
        np.testing.assert_array_equal(part, other)


def test_where_float32_loses_differences_that_is_said() -> None:
    plain = from_arrays(FAR, split=False)
    assert "column 1: so far from 0 float32 loses the differences" in plain.notes[-1]
    assert "--standardise keeps them, or subtract the smallest value" in plain.notes[-1]
    for rows in (FAR.astype(np.float32), FAR - [0, TIME[0]], table(50), TIME[:1, None]):
        assert not from_arrays(rows, split=False).notes
    with pytest.raises(DataError, match="do not fit float32"):
        from_arrays(np.full((5, 1), 2**60) + np.arange(5)[:, None], standardise=True)


def test_a_run_reads_other_rows_as_its_own(tmp_path: Path) -> None:
    """By the run's means, not by those of a few new rows, and by the columns' names."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FAR, columns=["other", "time"])
    own = load(frame, standardise=True, split=False)
    assert own.standard is not None and own.standard.origin is not None and not own.notes
    reading = Reading(
        split=False, own=False, columns=own.columns, origin=tuple(own.standard.origin)
    )
    new = with_columns(load_as(frame[["time", "other"]][:3], reading), own.columns or (), [], "run")
    np.testing.assert_array_equal(standardised(new, own.standard).train, own.train[:3])
    np.save(tmp_path / "x.npy", FAR[:3])  # by their numbers
    new = load_as(tmp_path / "x.npy", reading.with_changes(columns=None))
    np.testing.assert_array_equal(standardised(new, own.standard).train, own.train[:3])


@pytest.mark.skipif(not stream_module.POSSIBLE, reason="needs preadv")
@pytest.mark.parametrize("kind", ["<f8", "<i8"])
def test_far_columns_of_files_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    rows = FAR.astype(kind)
    np.save(tmp_path / "x.npy", rows)
    whole = from_arrays(rows, standardise=True)
    assert whole.standard is not None and whole.standard.origin is not None
    monkeypatch.setattr("minivae.data.streamed.STREAMED_FROM", 0)
    found = load(tmp_path / "x.npy", standardise=True)
    np.testing.assert_allclose(found.values(), whole.values(), atol=1e-6)
    reading = Reading(own=False, origin=tuple(whole.standard.origin))
    again = load_as(tmp_path / "x.npy", reading)
    np.testing.assert_allclose(
        standardised(again, whole.standard).values(), whole.values(), atol=1e-6
    )
    if kind == "<f8":
        plain = load(tmp_path / "x.npy")
        assert "column 1: so far from 0" in plain.notes[-1]
    else:
        with pytest.raises(DataError, match="do not fit float32"):
            load(tmp_path / "x.npy")
