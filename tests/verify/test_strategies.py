"""Test points drawn at random; thousands of right passes without a false alarm.

`minivae verify --figures` tries ten thousand, as MINIVAE_RIGHT_PASSES=10000 does here.
Other points: `pytest --hypothesis-profile=default --hypothesis-seed=1`.
"""

import os

import numpy as np
import pytest

from minivae.proof.right_passes import RIGHT
from minivae.verify import check
from minivae.verify.passes import Pass
from minivae.verify.strategies import draw_point, point_notes, points

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

MANY = int(os.environ.get("MINIVAE_RIGHT_PASSES", "3000"))
SPEC = {"x": "B D", "W": "D H", "labels": "int: B < H"}


@settings(max_examples=30, deadline=None)
@given(points(SPEC))
def test_points_are_linted(point):
    job = Pass(lambda *a: (a, None), lambda dy, _: dy, list(point.values()), list(point))
    assert point_notes(job) == []
    x, W, labels = point.values()
    assert x.shape[1] == W.shape[0] and labels.shape == x.shape[:1]
    assert labels.max() < W.shape[1] and labels.dtype.kind == "i"
    assert len({*x.shape, *W.shape}) == 3


def test_a_number_is_its_own_size():
    point = draw_point({"x": "B 3", "W": "3 K", "b": "2"}, np.random.default_rng(0))
    assert point["x"].shape[1] == point["W"].shape[0] == 3 and point["b"].shape == (2,)


def test_too_many_dims_say_so():
    with pytest.raises(ValueError, match="can all differ"):
        draw_point({"x": "A B C D E F G"}, np.random.default_rng(0))


def test_whole_numbers_are_drawn_below_a_size():
    rng = np.random.default_rng(0)
    point = draw_point({"x": "B 9", "labels": "int: B < C", "W": "C"}, rng)
    assert point["labels"].dtype.kind == "i" and (point["labels"] < len(point["W"])).all()
    assert point["x"].shape == (*point["labels"].shape, 9)
    with pytest.raises(ValueError, match="labels: whole numbers below C are written int: B < C"):
        draw_point({"labels": "int: B < "}, rng)


@st.composite
def right_passes(draw):
    """(name, point, seed) over passes, sizes, scales and precisions."""
    name = draw(st.sampled_from(sorted(RIGHT)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = 10.0 ** draw(st.integers(-3, 3))
    dtype = draw(st.sampled_from([np.float64, np.float64, np.float32]))
    return name, draw_point(RIGHT[name][2], rng, scale, dtype), draw(st.integers(0, 2**16))


def no_alarm(case):
    name, point, seed = case
    forward, backward, _ = RIGHT[name]
    check(
        forward, backward, list(point.values()), name=name, seed=seed, seconds=0.2
    ).raise_if_failed()


@settings(max_examples=150, deadline=None)
@given(right_passes())
def test_no_false_alarm(case):
    no_alarm(case)


@pytest.mark.slow
@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(right_passes())
def test_no_false_alarm_in_thousands(case):
    no_alarm(case)


def test_what_float32_cannot_hold_is_no_fault():
    """Attention so saturated that a gradient of 1e-309 in float64 is zero in float32."""
    point = draw_point(RIGHT["attention"][2], np.random.default_rng(366), 1e2, np.float32)
    no_alarm(("attention", point, 366))


@settings(max_examples=60, deadline=None)
@given(right_passes(), st.sampled_from([-1.0, 0.5, 1.01]))
def test_one_spoilt_entry_is_found_at_any_point(case, factor):
    name, point, seed = case
    forward, backward, _ = RIGHT[name]
    y, cache = forward(*point.values())
    right = backward(np.ones_like(y), cache)
    first = right[0] if isinstance(right, tuple) else right
    place = int(np.argmax(np.abs(first)))
    # where it is saturated, what is left of this gradient is rounding
    hypothesis.assume(np.abs(first.flat[place]) > 1e-3)

    def spoilt(dy, cache):
        grads = backward(dy, cache)
        first = np.array(grads[0] if isinstance(grads, tuple) else grads)
        first.flat[place] *= np.asarray(factor, first.dtype)
        return (first, *grads[1:]) if isinstance(grads, tuple) else first

    assert not check(forward, spoilt, list(point.values()), seed=seed, seconds=0.2).ok
