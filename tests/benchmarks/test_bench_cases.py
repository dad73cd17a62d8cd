"""Cases: the notation, the counted work, the shared data."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cases import CaseError, StepCase, make_data, make_rows, make_theta, parse_arch


def test_the_notation_round_trips() -> None:
    for text in ("784-400-20:relu", "784-200-200-50:tanh:dynamic", "31-5:tanh:gaussian"):
        case = parse_arch(text, 17)
        assert case.arch == text and case.batch == 17
        assert StepCase.from_dict(case.to_dict()) == case


@pytest.mark.parametrize(
    ("text", "batch", "message"),
    [
        ("784", 3, "needs data"),
        ("784-x-2", 3, "integers"),
        ("784-0-2", 3, "from 1"),
        ("784-20:relu", 0, "batch 0"),
        ("784-20:relux", 3, "unknown word 'relux'"),
    ],
)
def test_a_bad_case_is_named(text: str, batch: int, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        parse_arch(text, batch)


def test_flops_are_counted_by_hand() -> None:
    # 784-400-20: forward 651,200 multiply-adds a datum; weight gradients the same; input
    # gradients all but the first layer's 313,600.
    assert parse_arch("784-400-20:relu", 128).flops() == 2 * 128 * (3 * 651_200 - 313_600)
    # no hidden layer: both heads read the data
    assert parse_arch("31-5:relu", 1).flops() == 2 * (3 * 3 * 31 * 5 - 2 * 31 * 5)


def test_every_contender_gets_the_same_rows_data_and_parameters() -> None:
    case = parse_arch("31-13-5:relu", 9)
    rows = make_rows(case, 4, steps=50)
    assert rows.shape == (50, 9) and np.array_equal(rows, make_rows(case, 4, steps=50))
    assert len(np.unique(rows)) == rows.size
    assert not np.array_equal(rows, make_rows(case, 5, steps=50))
    data = make_data(31, rows=5000)
    assert data.dtype == np.uint8 and 0 < data.mean() < 128 and data.std() > 10
    theta = make_theta(case)
    assert theta.dtype == np.float32
    assert theta.size == sum(i * o + o for _, i, o in case.dense_shapes())
    assert np.count_nonzero(theta) == theta.size


def test_blocks_are_long_enough_and_stay_within_the_data() -> None:
    for batch in (1, 20, 4096, 32768):
        case = parse_arch("784-400-20:relu", batch)
        assert 2 <= case.block_steps() <= 1000
