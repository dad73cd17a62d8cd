"""What only a second call shows: buffers used again, and how backward takes its upstream."""

import numpy as np
import pytest

from minivae.verify import check

X = np.array([0.3, -0.5, 1.1])


def hinge(buffer):
    """max(x, 0.1)²; with a buffer, its cache is the same array in every call."""

    def forward(x):
        h = np.maximum(x, 0.1, out=None if np.iscomplexobj(x) else buffer)
        return h * h, (x, h)

    return forward


def hinge_backward(dy, cache):
    x, h = cache
    return 2 * h * dy * (x > 0.1)


def test_a_cache_that_the_next_forward_writes_over():
    assert check(hinge(None), hinge_backward, [X]).ok
    report = check(hinge(np.zeros(3)), hinge_backward, [X])
    assert [f.kind for f in report.faults] == ["view"]
    assert "writes over what the first returned (cache[1])" in str(report)


def test_an_output_that_the_next_forward_writes_over():
    buffer = np.zeros(3)

    def forward(x):
        return np.multiply(x, x, out=None if np.iscomplexobj(x) else buffer), x

    report = check(forward, lambda dy, x: 2 * x * dy, [X])
    assert [f.kind for f in report.faults] == ["view"] and "returned (output)" in str(report)


def test_a_cache_that_changes_without_effect_is_no_fault():
    state = {"calls": np.zeros(1)}

    def forward(x):
        state["calls"] = state["calls"] + 1
        return x * x, (x, state)

    report = check(forward, lambda dy, c: 2 * c[0] * dy, [X])
    assert report.ok and report.notes == []


class Keeps:
    """A layer that keeps what backward needs on itself."""

    def forward(self, x):
        self.x = x
        return x * x, None

    def backward(self, dy, _):
        return 2 * self.x * dy


def test_state_beside_the_cache_is_a_note():
    layer = Keeps()
    report = check(layer.forward, layer.backward, [X])
    assert report.ok and report.notes == [
        "backward takes what forward keeps elsewhere than in its cache: it can only follow the"
        " latest forward"
    ]


def test_an_input_in_the_cache_is_no_buffer():
    assert check(lambda x: (x * x, (x, x)), lambda dy, c: 2 * c[0] * dy, [X]).ok


@pytest.mark.parametrize("seed", range(4))
def test_the_sign_of_the_upstream_is_kept(seed):
    report = check(lambda x: ((x**2).sum(), x), lambda dy, x: 2 * x * abs(dy), [X], seed=seed)
    assert report.faults[0].kind == "not-linear" and "dy's sign lost" in str(report)


@pytest.mark.parametrize("seed", range(4))
def test_an_upstream_rounded_to_float32(seed):
    rounded = lambda dy, x: 2 * x * dy.astype(np.float32)  # noqa: E731
    report = check(lambda x: (x**2, x), rounded, [X], seed=seed)
    assert [f.kind for f in report.faults] == ["precision"]
    assert check(lambda x: (x**2, x), rounded, [X.astype(np.float32)], seed=seed).ok


def test_a_gradient_of_a_python_float_is_a_note():
    forward = lambda x, s: (s * x, (x, s))  # noqa: E731
    note = "s is a Python float, taken as a constant: pass np.float64(s) to check its gradient"
    for backward, notes in (
        (lambda dy, c: (c[1] * dy, 999.0), [note]),
        (lambda dy, c: {"x": c[1] * dy, "s": 999.0}, [note]),
        (lambda dy, c: (c[1] * dy, None), []),
        (lambda dy, c: c[1] * dy, []),
    ):
        report = check(forward, backward, [X, 2.0])
        assert report.ok and report.notes == notes


def test_a_gradient_of_a_python_number_inside_a_dict():
    p = {"W": X, "scale": 2}
    forward = lambda p: (p["W"] * p["scale"], p)  # noqa: E731
    backward = lambda dy, p: {"W": dy * p["scale"], "scale": 999.0}  # noqa: E731
    report = check(forward, backward, [p])
    assert report.ok and "p.scale is a Python int, taken as a constant" in report.notes[0]


def test_a_cache_that_holds_itself():
    def forward(x):
        node = {"x": x}
        node["self"] = node
        return x * x, node

    report = check(forward, lambda dy, node: 2 * node["x"] * dy, [X])
    assert report.ok and not report.notes, report
    assert not check(forward, lambda dy, node: 3 * node["x"] * dy, [X]).ok


def test_an_int_may_be_no_number_to_learn():
    report = check(lambda x, n: (np.roll(x, n), n), lambda dy, n: (np.roll(dy, -n), 0.0), [X, 1])
    assert report.ok and "if it is a number to learn, pass np.float64(" in report.notes[0]
