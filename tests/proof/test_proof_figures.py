"""The ladder's figures: NaN is never reached, and each name says what was covered."""

from types import SimpleNamespace

import numpy as np
import pytest

from minivae import ops
from minivae.proof import figures
from minivae.proof.op_cases import op_cases
from minivae.verify import check

RELU = next(case for case in op_cases() if case.name == "relu")


def test_nan_in_fifty_digits_is_missed(monkeypatch):
    """A plain max would let it pass: max(0.0, nan) is 0.0."""
    monkeypatch.setattr(figures, "find", lambda: [RELU, RELU])
    found = iter([{"x": 1e-40}, {"x": float("nan"), "W": 1e-40}])
    monkeypatch.setattr(figures.fifty_digits, "errors", lambda *_, **__: next(found))
    figure = figures.precise()
    assert not figure.ok and figure.name == "50 digits, 2 of 2 passes"


def test_a_gradient_of_nan_is_nan_in_fifty_digits():
    pytest.importorskip("mpmath")
    K = SimpleNamespace(**{name: getattr(ops, name) for name in ops.OPS})
    K.relu_backward = lambda dy, x: dy * float("nan")
    for entries in (100, 1):  # entry by entry, and along a direction
        assert np.isnan(figures.fifty_digits.errors(RELU, K, entries=entries)["x"])


def test_nan_in_float32_is_missed(monkeypatch):
    monkeypatch.setattr(figures, "op_cases", lambda: [RELU, RELU])
    found = iter([[1e-9], [1e-9, float("nan")]])
    monkeypatch.setattr(figures, "float32_gaps", lambda case: next(found))
    assert not figures.adjoint32().ok


def test_a_pass_that_differences_call_wrong_is_missed_first():
    """Where forward takes no complex numbers there is no complex step to show it."""
    x = np.linspace(-1.3, 2.1, 12).reshape(3, 4)
    wrong = check(lambda x: (np.tanh(x.astype(float)), x), lambda dy, x: 2 * dy, [x])
    assert not wrong.ok
    first = figures.ladder([RELU.run(), wrong])[0]
    assert not first.ok and first.value == 1 and first.name == "passes that are not right, of 2"
    assert figures.ladder([RELU.run()])[0].ok


def test_a_slope_of_nan_is_missed():
    report = RELU.run()
    report.rows[0].taylor = float("nan")
    assert not next(f for f in figures.ladder([report]) if "slope" in f.name).ok
