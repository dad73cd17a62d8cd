"""The adapters that need NumPy only: layers of classes, kernels, second derivatives, assertions."""

import ctypes
from collections import namedtuple

import numpy as np
import pytest

from minivae.adapters import assert_gradients, check_hvp, check_kernel, check_layer
from minivae.verify import GradientError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3))


class Attributes:
    """Parameters and gradients as attributes: W and dW."""

    factor = 1.0

    def __init__(self):
        self.W, self.b = RNG.normal(size=(3, 5)), RNG.normal(size=5)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.factor * self.x.T @ dy, dy.sum(0)
        return dy @ self.W.T


class Dicts:
    """params and grads as dicts of the same keys."""

    factor = 1.0

    def __init__(self):
        self.params = {"W": RNG.normal(size=(3, 5)), "b": RNG.normal(size=5)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return np.tanh(x @ self.params["W"] + self.params["b"])

    def backward(self, dy):
        da = dy * (1 - np.tanh(self.x @ self.params["W"] + self.params["b"]) ** 2)
        self.grads = {"W": self.factor * self.x.T @ da, "b": da.sum(0)}
        return da @ self.params["W"].T


class Lists:
    """params and grads as lists, the gradients written in place."""

    factor = 1.0

    def __init__(self):
        self.params = [RNG.normal(size=(3, 5)), RNG.normal(size=5)]
        self.grads = [np.zeros((3, 5)), np.zeros(5)]

    def forward(self, x):
        W, b = self.params
        self.x = x
        return x @ W + b

    def backward(self, dy):
        self.grads[0][...] = self.factor * self.x.T @ dy
        self.grads[1][...] = dy.sum(0)
        return dy @ self.params[0].T


@pytest.mark.parametrize("style", [Attributes, Dicts, Lists])
def test_layers_of_three_styles(style):
    layer = style()
    right = check_layer(layer, X)
    assert right.ok and len(right.rows) == 3, right
    layer.factor = 2.0
    wrong = check_layer(layer, X)
    name = "params[0]" if style is Lists else "W"
    assert [(f.kind, f.tensor) for f in wrong.faults] == [("factor", name)]
    assert not hasattr(layer, "x")  # the layer itself was not touched


class DropoutWithStatistics:
    def __init__(self):
        self.mean = np.zeros(3)

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.real.mean(0)
        self.mask = np.random.random(x.shape) > 0.3  # noqa: NPY002
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


def test_masks_are_fixed_and_running_statistics_named():
    report = check_layer(DropoutWithStatistics(), X)
    assert report.ok, report
    assert any("mean" in note and "state between calls" in note for note in report.notes)


def test_a_float32_gradient_kernel_against_a_float64_forward():
    def kernel(dy, x, W, factor=1.0):
        if not dy.dtype == x.dtype == W.dtype == np.float32:
            raise TypeError("float32 only")
        buffer = (ctypes.c_float * 1)(factor)
        return np.float32(buffer[0]) * (dy @ W.T), x.T @ dy

    point = X.astype(np.float32), RNG.normal(size=(3, 5)).astype(np.float32)
    maths = lambda x, W: x @ W  # noqa: E731
    assert check_kernel(kernel, *point, reference=maths).ok
    wrong = check_kernel(lambda dy, x, W: kernel(dy, x, W, 1.001), *point, reference=maths)
    assert [f.kind for f in wrong.faults] == ["factor"]


def test_a_numba_pair_against_a_float64_forward():
    numba = pytest.importorskip("numba")
    f = numba.njit("f4[:,:](f4[:,:])", cache=False)(lambda x: x * x)
    b = numba.njit("f4[:,:](f4[:,:],f4[:,:])", cache=False)(lambda dy, x: np.float32(2) * x * dy)
    x = np.ascontiguousarray(X, np.float32)
    pair = (lambda x: (f(x), x), lambda dy, x: b(dy, x))
    assert check_kernel(pair, x, reference=lambda x: x * x).ok
    half = (pair[0], lambda dy, x: b(dy, x) / np.float32(2))
    assert not check_kernel(half, x, reference=lambda x: x * x).ok


def test_a_second_derivative_by_hand():
    A = RNG.normal(size=(4, 4))
    gradient = lambda x: (A + A.T) @ x + 4 * x**3  # noqa: E731
    assert check_hvp(gradient, lambda x, v: (A + A.T) @ v + 12 * x * x * v, RNG.normal(size=4)).ok
    assert not check_hvp(gradient, lambda x, v: A @ v + 12 * x * x * v, RNG.normal(size=4)).ok


def test_assertions_name_what_is_wrong():
    assert assert_gradients(lambda x: (x * x, x), lambda dy, x: 2 * x * dy, [X]).ok
    with pytest.raises(GradientError, match="sign is flipped"):
        assert_gradients(lambda x: (x * x, x), lambda dy, x: -2 * x * dy, [X])


def test_a_gradient_that_backward_forgets_is_a_note():
    note = "b holds floats and has no gradient: taken as a constant"

    class Forgets(Attributes):
        def backward(self, dy):
            self.dW = self.x.T @ dy
            return dy @ self.W.T

    report = check_layer(Forgets(), X)
    assert report.ok and report.notes == [note], report
    assert check_layer(Attributes(), X).notes == []
    used = Attributes()
    used.backward(used.forward(X))  # what earlier calls left is neither parameter nor constant
    assert check_layer(used, X).notes == []


def test_an_array_beside_params_is_a_note():
    layer = Dicts()
    layer.gain = np.full(5, 1.7)
    report = check_layer(layer, X)
    assert report.ok and report.notes == [
        "gain holds floats and stands not in params: taken as a constant"
    ]


class OnDevice:
    """An array as CuPy's looks from outside."""

    __cuda_array_interface__ = True

    def __init__(self, array):
        self.array = array

    def get(self):
        return self.array


def test_kernels_may_return_any_container_of_device_arrays():
    Pair = namedtuple("Pair", "x W")
    point = X.astype(np.float32), RNG.normal(size=(3, 5)).astype(np.float32)
    maths = lambda x, W: x @ W  # noqa: E731

    def kernel(form):
        return lambda dy, x, W: form(OnDevice(dy @ W.T), OnDevice(x.T @ dy))

    for form in (Pair, lambda x, W: {"x": x, "W": W}, lambda x, W: [x, W], lambda *both: both):
        report = check_kernel(kernel(form), *point, reference=maths, names=["x", "W"])
        assert report.ok, report


def test_a_kernel_without_floats_is_told_so():
    report = check_kernel(lambda dy, i: dy, np.arange(3), reference=lambda i: i * 1.0)
    assert "integer array" in str(report)
