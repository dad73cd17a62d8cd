"""Targets: the range that a likelihood needs, and binarisation drawn once."""

from __future__ import annotations

import numpy as np
import pytest

from minivae.data import DataError, binarise_fixed, check_targets, from_arrays
from minivae.ops.philox import BINARISE, uniforms

GREY = np.random.default_rng(5).random((41, 7)).astype(np.float32)


def test_values_outside_the_unit_interval_are_named() -> None:
    high = GREY.copy()
    high[17, 5] = 16.0
    with pytest.raises(DataError) as caught:
        check_targets(from_arrays(high, name="x.npy", split=False), "bernoulli")
    message = str(caught.value)
    assert "x.npy: row 17, column 5 (from 0) is 16" in message and "\n" not in message
    assert "divide the data by 16" in message and "Gaussian" in message
    low = GREY.copy()
    low[3, 2] = -0.25
    with pytest.raises(DataError, match=r"\(test\): row 3, column 2 .*-0.25.*X.min"):
        check_targets(from_arrays(GREY, low), "bernoulli")
    for binarise in ("dynamic", "fixed"):
        with pytest.raises(DataError, match="row 17"):
            check_targets(from_arrays(high, split=False), "bernoulli", binarise)


def test_rows_that_are_counted_without_those_held_out_are_called_training_rows() -> None:
    with pytest.raises(DataError, match=r"x\.npy, among its training rows: row \d+, column 1"):
        check_targets(from_arrays(np.tile([0.5, -1.0], (40, 1)), name="x.npy"), "bernoulli")


def test_a_tables_column_is_named_and_groups_are_checked() -> None:
    x = np.eye(3)[[0, 1, 2, 0]]
    table = from_arrays(x, x, columns=("a", "b", "c"), name="t")
    check_targets(table, "categorical", groups=(3,))
    with pytest.raises(DataError, match=r"row 0 \(from 0\), column 'b' is 0, .* sum to 1"):
        check_targets(table, "categorical", groups=(1, 2))
    large = from_arrays(3.5 * x, x[:1] * 3.5, columns=("a", "b", "c"), name="t")
    with pytest.raises(DataError, match=r"row 0 \(from 0\), column 'a' is 3.5"):
        check_targets(large, "bernoulli")


def test_nan_counts_as_outside() -> None:
    broken = from_arrays(GREY.copy(), split=False)
    broken.train[2, 6] = np.nan
    with pytest.raises(DataError, match="row 2, column 6"):
        check_targets(broken, "bernoulli")


def test_what_fits() -> None:
    check_targets(from_arrays(GREY), "bernoulli")
    check_targets(from_arrays((GREY * 255).astype(np.uint8)), "bernoulli", "dynamic")
    check_targets(from_arrays(100 * GREY - 50), "gaussian")


def test_combinations_that_make_no_sense() -> None:
    data = from_arrays(GREY)
    with pytest.raises(DataError, match="Bernoulli likelihood"):
        check_targets(data, "gaussian", "dynamic")
    with pytest.raises(DataError, match="none, dynamic, fixed"):
        check_targets(data, "bernoulli", "dynamical")


def test_a_fixed_draw_is_the_documented_one() -> None:
    pictures = (GREY * 255).astype(np.uint8)
    data = from_arrays(pictures[:20], pictures[25:], pictures[20:25])
    drawn = binarise_fixed(data, seed=11)
    u = uniforms(11, BINARISE, 0, np.arange(41), 7)
    expected = (u < pictures * np.float32(1 / 255)).astype(np.uint8)
    assert drawn.valid is not None
    found = np.concatenate([drawn.train, drawn.valid, drawn.test])
    np.testing.assert_array_equal(found, expected)
    assert drawn.fixed_binary and drawn.scale == 1.0
    assert not np.array_equal(binarise_fixed(data, seed=12).train, drawn.train)
    assert binarise_fixed(drawn, seed=99) is drawn


def test_a_fixed_draw_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = from_arrays(GREY, split=False)
    whole = binarise_fixed(data, 4).train
    monkeypatch.setattr("minivae.data.targets._CHUNK", 6)
    np.testing.assert_array_equal(binarise_fixed(data, 4).train, whole)


def test_the_mean_is_kept() -> None:
    level = np.full((4000, 3), 0.3, dtype=np.float32)
    mean = binarise_fixed(from_arrays(level, split=False), 1).train.mean()
    assert abs(mean - 0.3) < 5 * np.sqrt(0.21 / 12000)
