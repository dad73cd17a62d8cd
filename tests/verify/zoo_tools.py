"""What the zoos share: inputs, a softmax, and the way a pass is entered with its wrong variants."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

GRID = np.array([[1.0, -1.0, 0.5], [0.0, 2.5, -0.3], [-2.0, 1.7, 0.25]])


def collection():
    """A list of passes, and the decorator that enters a function which makes one."""
    zoo = []

    def entry(function):
        zoo.append(function)
        return function

    return zoo, entry


def n(*shape, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed + sum(shape)).normal(size=shape)


def put(array, where, value):
    out = np.array(array)
    out[where] = value
    return out


def like(g, x):
    return np.asarray(g, dtype=x.dtype)


def centred_covariance(x):
    """The covariance of the columns, and the centred x as cache."""
    z = x - x.mean(0)
    return z.T @ z / (len(x) - 1), z


def softmax(s, axis=-1):
    e = np.exp(s - s.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_back(dp, p, axis=-1):
    return p * (dp - (dp * p).sum(axis, keepdims=True))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def variants(back, *mistakes):
    """The right backward, back(""), and the wrong ones by the name of their mistake."""
    return back(""), {mistake: back(mistake) for mistake in mistakes}


def elementwise(f, slope, **wrong):
    """A pass y = f(x), x' = dy * slope(x), and the wrong slopes."""

    def turned(s):
        return lambda dy, x: like(dy * s(x), x)

    return lambda x: (like(f(x), x), x), turned(slope), {k: turned(s) for k, s in wrong.items()}


def pointwise(f, slopes, x):
    """y = f(x); `slopes`: the right slope under "", wrong ones under the name of their mistake."""
    back = lambda m: lambda dy, x: (dy * slopes[m](x)).astype(x.dtype)  # noqa: E731
    forward = lambda x: (f(x).astype(x.dtype), x)  # noqa: E731
    return forward, variants(back, *[m for m in slopes if m]), [np.asarray(x)]


def passes(zoo, dtype=np.float64, contiguous=True):
    """name -> (forward, right, wrong ones, inputs, options), in a precision and memory order.

    A function gives (forward, (right, {mistake: wrong}), inputs[, options of `check`]), or the
    right one and the wrong ones as two. Every pass keeps the precision it is handed.
    """
    found = {}
    for function in zoo:
        forward, right, *rest = function()
        if isinstance(right, tuple):
            right, wrong = right
        else:
            wrong, *rest = rest
        inputs, *options = rest
        arrays = [np.asarray(v) for v in inputs]
        cast = [v.astype(dtype) if v.dtype.kind == "f" and v.itemsize > 2 else v for v in arrays]
        if not contiguous:
            cast = [strided(v) for v in cast]
        found[function.__name__] = SimpleNamespace(
            forward=forward, right=right, wrong=wrong, inputs=cast, options=dict(*options)
        )
    return found


def strided(value):
    """The same numbers in an array that is neither C- nor Fortran-contiguous."""
    wide = np.zeros((*value.shape, 2), value.dtype)
    wide[..., 0] = value
    return wide[..., 0]
