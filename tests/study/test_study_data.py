"""The data that chapters experiment on: how long they are trained on, and made smaller."""

from __future__ import annotations

import numpy as np

from minivae.study.data import StudyData, study_data


def test_so_many_updates_are_fewer_passes_over_larger_data():
    digits = study_data()
    assert (digits.epochs(1400), digits.epochs(1000), digits.epochs(1)) == (119, 85, 1)
    larger = StudyData(
        "larger", (2, 2), np.zeros((6000, 4)), digits.test, *[digits.test_labels] * 2
    )
    assert larger.epochs(1400) == 30


def test_thumbnails_average_two_by_two_until_they_are_small_and_leave_the_digits_alone():
    digits = study_data()
    assert np.array_equal(digits.thumbnails(), digits.train)
    x = np.arange(2 * 28 * 28, dtype=np.float64).reshape(2, 784)
    large = StudyData("large", (28, 28), x, x, np.zeros(2), np.zeros(2))
    small = large.thumbnails()
    assert small.shape == (2, 196)
    assert small[0, 0] == x[0, [0, 1, 28, 29]].mean()
    assert small[1, -1] == x[1, [754, 755, 782, 783]].mean()
    assert large.thumbnails(50).shape == (2, 49)
