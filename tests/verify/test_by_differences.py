"""Forwards that take one precision and no complex numbers: differences alone decide, of right and
wrong as where a complex step can be taken."""

import numpy as np
import pytest

from minivae.verify import check

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def alone(f, dtype):
    """A forward that takes one precision only, and no complex numbers."""

    def forward(*arrays):
        if any(a.dtype != dtype for a in arrays):
            raise TypeError("another dtype")
        return f(*arrays), arrays

    return forward


def square_backward(dy, cache):
    return 2 * cache[0] * dy


# Each with a point at which little is to be seen: f, its backward, the point of normal numbers.
HARD = {
    "at a minimum": (lambda x: (x * x).sum(), square_backward, lambda x: 0 * x),
    "rounded": (lambda x: x * x + np.round(x), square_backward, lambda x: x),
    "floor": (lambda x: x * x + np.floor(x), square_backward, lambda x: np.round(3 * x)),
    "sign at 0": (lambda x: x * x + np.sign(x), square_backward, lambda x: np.round(x)),
    "abs at 0": (np.abs, lambda dy, c: dy * np.sign(c[0]), lambda x: np.round(x)),
    "constant": (lambda x: 0 * x, lambda dy, c: 0 * dy, lambda x: x),
    "log near 0": (np.log, lambda dy, c: dy / c[0], lambda x: np.exp(5 * x)),
    "saturated": (np.tanh, lambda dy, c: dy * (1 - np.tanh(c[0]) ** 2), lambda x: 30 * x),
}


@DTYPES
@pytest.mark.parametrize("name", HARD)
def test_no_alarm_where_little_is_seen(name, dtype):
    f, backward, place = HARD[name]
    x = place(np.random.default_rng(0).normal(size=(5, 4))).astype(dtype)
    report = check(alone(f, dtype), backward, [x])
    assert report.ok, report


def test_float32_inputs_and_float64_outputs_at_a_kink():
    """Whole numbers of 64 bits make the output float64; steps of 1e-6 move no float32 input."""
    x, y = np.array([1, 0.5, -2, 0.2, 3], np.float32), np.array([1, 1, -1, -1, 1])

    def forward(x, y):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return np.maximum(0, 1 - x * y), (x, y)

    def backward(dy, cache):
        x, y = cache
        return (dy * -y * (x * y < 1)).astype(np.float32)

    for seed in range(4):
        report = check(forward, backward, [x, y], seed=seed)
        assert report.ok, report


MISTAKES = {
    "": lambda d, x, W: (d @ W.T, x.T @ d),
    "sign": lambda d, x, W: (-d @ W.T, x.T @ d),
    "transposed": lambda d, x, W: (d @ W.T, (d.T @ x).reshape(W.shape)),
    "at padding": lambda d, x, W: (d @ W.T + 5 * (x == 0), x.T @ d),
    "one row": lambda d, x, W: ((d @ W.T) * (np.arange(len(x)) != 2)[:, None], x.T @ d),
}


@DTYPES
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mistake", MISTAKES)
def test_rows_of_padding_before_a_relu(mistake, seed, dtype):
    """All units of a row of zeros are at their corner at once, and each may take its own side."""
    rng = np.random.default_rng(seed)
    x, W = (rng.normal(size=shape).astype(dtype) for shape in ((5, 4), (4, 6)))
    x[[1, 3]] = 0

    def backward(dy, cache):
        x, W = cache
        return MISTAKES[mistake](dy * (x @ W > 0), x, W)

    report = check(alone(lambda x, W: np.maximum(x @ W, 0), dtype), backward, [x, W], seed=seed)
    assert report.ok == (mistake == ""), report
