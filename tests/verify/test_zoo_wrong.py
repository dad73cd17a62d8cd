"""Wrong passes: the tensor, the kind and (where one entry is wrong) the entry must come out."""

import numpy as np
import pytest

from minivae.verify import GradientError, check
from tests.verify.zoo_wrong import CASES


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_pass_is_named(name):
    forward, backward, inputs, tensor, kinds, index = CASES[name]
    report = check(forward, backward, inputs, name=name)
    assert not report.ok
    with pytest.raises(GradientError):
        report.raise_if_failed()
    fault = report.faults[0]
    assert fault.tensor == tensor and fault.kind in kinds, [str(f) for f in report.faults]
    assert all("\n" not in fault.message for fault in report.faults)
    if index is not None:
        assert fault.index == index, fault
    at_fault = {f.tensor for f in report.faults if f.true is not None}
    assert all(row.ok == (row.tensor not in at_fault) for row in report.rows if row.checked)


def test_there_are_enough_wrong_passes():
    assert len(CASES) >= 60


def test_the_sample_is_named():
    report = check(*CASES["one_sample_weighs_thrice"][:3])
    assert report.faults[0].sample == 2 and "sample 2 alone" in report.faults[0].message
    report = check(*CASES["one_entry_x"][:3])
    assert report.faults[0].sample == 3 and report.faults[0].tensor == "x"


def test_inputs_by_name_and_by_keyword_only():
    x, w = np.array([[0.3, -1.2], [2.0, 0.7], [1.1, 0.4]]), np.array([0.5, -0.8])

    def forward(*, x, w):
        return x * w, (x, w)

    def backward(dy, cache):
        return {"x": dy * cache[1], "w": (dy * cache[0]).sum(0)}

    assert check(forward, backward, {"x": x, "w": w}).ok
    assert check(lambda x, w: forward(x=x, w=w), backward, {"w": w, "x": x}).ok
    in_order = lambda dy, c: (dy * c[1], (dy * c[0]).sum(0))  # noqa: E731
    by_name = check(lambda x, w: forward(x=x, w=w), in_order, {"w": w, "x": x}, names=["w", "x"])
    assert by_name.ok and [row.tensor for row in by_name.rows] == ["x", "w"]
    with_default = check(lambda x, k=1, w=0: forward(x=k * x, w=w), backward, {"w": w, "x": x})
    assert with_default.ok
    wrong = check(forward, lambda dy, c: {"x": dy * c[1], "w": dy.sum(0)}, {"x": x, "w": w})
    assert [f.tensor for f in wrong.faults] == ["w"]


def test_wrong_use_says_so():
    x = np.array([0.3, -1.2])
    with pytest.raises(ValueError, match="names has 2"):
        check(lambda x: (x, None), lambda dy, _: dy, [x], names=["x", "y"])
    with pytest.raises(ValueError, match="'z'"):
        check(lambda x: (x, None), lambda dy, _: dy, [x], wrt=["z"])


def test_none_for_several_gradients_is_said_to_be_none():
    report = check(lambda x, w: (x * w, None), lambda dy, _: None, [np.ones(2), np.arange(2.0)])
    assert [f.kind for f in report.faults] == ["none"]
    assert "returned None where 2 gradients are due (x, w)" in str(report)


def test_a_report_without_a_row_is_its_line_alone():
    text = str(check(lambda x: None, lambda dy, _: None, [np.arange(2.0)]))
    assert text == "forward returned None where a pair (y, cache) is due"


def test_a_random_backward_is_not_said_to_be_wrong_at_a_tie():
    forward, backward, inputs = CASES["random_backward"][:3]
    assert [f.kind for f in check(forward, backward, inputs).faults] == ["random"]


def test_an_array_that_is_due():
    report = check(
        lambda x: (x.sum(), x), lambda dy, x: dy * np.ones(3), [np.arange(3.0)], out_shape=(3,)
    )
    assert [f.kind for f in report.faults] == ["scalar"]


def test_a_name_or_an_address_stands_once():
    a, b = np.array([0.3, -1.2]), np.array([1.2, 0.7])
    pair = (lambda a, b: (a * b, (a, b)), lambda dy, c: (dy * c[1], 99 * dy * c[0]))
    with pytest.raises(ValueError, match="a name twice: x, x"):
        check(*pair, [a, b], names=["x", "x"])
    forward = lambda p: (p["a.b"] * p["a"]["b"], p)  # noqa: E731
    backward = lambda dy, p: {"a.b": dy * p["a"]["b"], "a": {"b": 99 * dy}}  # noqa: E731
    report = check(forward, backward, [{"a.b": a, "a": {"b": b}}])
    assert [f.kind for f in report.faults] == ["structure"]
    assert "two inputs stand at the same address, p.a.b" in str(report)


@pytest.mark.parametrize("which", range(1, 60, 3))
def test_what_a_later_call_raises_is_in_the_report(which):
    calls = []

    def forward(x):
        calls.append(1)
        if len(calls) > which:
            raise KeyError("used up")
        return np.tanh(x), x

    def backward(dy, x):
        calls.append(1)
        return 3 * dy / np.cosh(x) ** 2

    assert not check(forward, backward, [np.arange(3.0)]).ok


def test_what_a_second_forward_raises_is_in_the_report():
    calls = []

    def forward(x):
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("used up")
        return x * x, x

    report = check(forward, lambda dy, x: 2 * x * dy, [np.arange(3.0)])
    assert "raised KeyError: 'used up' when called again" in str(report)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_seconds_are_above_0(seconds):
    with pytest.raises(ValueError, match=f"seconds is {seconds}"):
        check(lambda x: (x, None), lambda dy, _: dy, [np.ones(2)], seconds=seconds)


@pytest.mark.parametrize("factor", [2, 3])
def test_time_without_end(factor):
    pair = lambda x: (x * x, x), lambda dy, x: factor * x * dy
    assert check(*pair, [np.arange(3.0)], seconds=float("inf")).ok == (factor == 2)


def test_inputs_that_hold_themselves():
    point = {"x": np.ones(2)}
    point["self"] = point
    with pytest.raises(ValueError, match="inputs hold themselves"):
        check(lambda p: (p["x"], None), lambda dy, _: {"x": dy}, [point])


def test_constants_that_need_no_gradient():
    """An empty list of labels is none; a complex array may be meant to be learnt, and -inf too."""
    x, double = np.arange(3.0), lambda dy, c: 2 * dy * c
    assert check(lambda x, i: (x * x, x), double, [x, np.zeros(0, int)]).ok
    for constant, kind in ((np.array([1j]), "complex"), (np.array([-np.inf]), "nan")):
        pair = (lambda x, c: (x * x, x), double)
        assert [f.kind for f in check(*pair, [x, constant]).faults] == [kind]
        assert check(*pair, [x, constant], wrt=["x"]).ok
    with pytest.raises(ValueError, match="wrt names no input"):
        check(lambda x: (x * x, x), double, [x], wrt=[])
