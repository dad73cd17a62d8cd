"""What figures are held against: the judge, blends, middles of codes, orders of a lookup."""

import numpy as np
import pytest

from minivae.study.baselines import Judge, blends, lookup_order, midpoints
from minivae.study.data import study_data
from minivae.study.spaces import Space, different_pairs


@pytest.fixture(scope="module")
def data():
    return study_data()


@pytest.fixture(scope="module")
def judge(data):
    return Judge(data.train, data.train_labels)


def test_data_never_seen_look_like_data_and_blends_and_noise_less_so(data, judge):
    mixed = judge(blends(data.test, data.test_labels))
    noise = judge(np.random.default_rng(0).uniform(size=(50, data.test.shape[1])))
    seen, held_out = judge(data.train[:200]), judge(data.test)
    assert seen.on_data == 1.0 and seen.distance <= 1e-6
    assert held_out.on_data >= mixed.on_data + 0.2 and noise.on_data == 0.0
    assert held_out.distance < mixed.distance < noise.distance
    assert 0 <= held_out.doubt < mixed.doubt <= np.log(10)


def test_a_third_kind_is_one_that_is_neither(data, judge):
    digit, labels = data.train[:20], data.train_labels[:20]
    assert judge.third(digit, labels, (labels + 1) % 10) <= 0.1
    assert judge.third(digit, (labels + 1) % 10, (labels + 2) % 10) >= 0.9


def test_where_the_code_is_the_picture_middles_are_blends(data):
    x, labels = data.test, data.test_labels
    same = Space("identity", lambda v: (v, None), lambda z: z, np.zeros(1), np.eye(1))
    one, other = different_pairs(labels, 300, 2)
    assert (labels[one] != labels[other]).all()
    assert np.array_equal(midpoints(same, x, labels), blends(x, labels))


def test_a_tidy_lookup_visits_everything_once_and_the_nearest_first():
    x = np.array([[0.0], [5.0], [1.0], [2.5], [9.0]])
    assert lookup_order(x).tolist() == [0, 2, 3, 1, 4]
    assert lookup_order(x, start=4).tolist() == [4, 1, 3, 2, 0]
