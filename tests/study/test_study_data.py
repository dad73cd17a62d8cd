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


def test_pictures_shrink_two_by_two_until_they_are_small_and_the_digits_not_at_all():
    digits = study_data()
    assert digits.shrunk().shape == (8, 8)
    assert np.array_equal(digits.shrunk().train, digits.train)
    x = np.arange(2 * 28 * 28, dtype=np.float64).reshape(2, 784)
    large = StudyData("large", (28, 28), x, x[::-1], np.zeros(2), np.zeros(2))
    small = large.shrunk()
    assert small.shape == (14, 14) and small.train.shape == small.test.shape == (2, 196)
    assert small.train[0, 0] == small.test[1, 0] == x[0, [0, 1, 28, 29]].mean()
    assert small.train[1, -1] == x[1, [754, 755, 782, 783]].mean()
    assert large.shrunk(30).shape == (3, 3)  # an odd row and column fall away
