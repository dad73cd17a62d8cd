"""Many exact kinks, ties within a tensor and across tensors."""

# ruff: noqa: E501, E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, like, n, put

ZOO, entry = collection()


ZEROS = n(30, 30) * (np.random.default_rng(1).random((30, 30)) > 0.6)


@entry
def rectified_layer():
    def forward(x, W):
        y = np.tanh(np.maximum(x, 0) @ W)
        return y, (x, W, y)

    def back(mask, k=1.0):
        def backward(dy, c):
            x, W, y = c
            da = dy * (1 - y * y)
            return like((da @ W.T) * mask(x) * k, x), like(np.maximum(x, 0).T @ da, x)

        return backward

    return forward, back(lambda x: x > 0), {
        "at_kinks": back(lambda x: np.where(x == 0, 2.0, x > 0)),
        "no_mask": back(lambda x: 1.0 + 0 * x),
        "factor": back(lambda x: x > 0, 1.01),
    }, [ZEROS[:12], n(30, 7) / 6], {}  # fmt: skip


def hidden_layer(x, W):
    def forward(x, W, b, V):
        a = x @ W + b
        h = np.maximum(a, 0)
        return h @ V, (x, W, V, a, h)

    def back(mask):
        def backward(dy, c):
            x, W, V, a, h = c
            da = like((dy @ V.T) * mask(a), x)
            return da @ W.T, x.T @ da, da.sum(0), h.T @ dy

        return backward

    wrong = {"at_zero": back(lambda a: np.where(a == 0, 3.0, a > 0)), "no_mask": back(np.ones_like)}
    inputs = [x, W, np.zeros(W.shape[1]), n(W.shape[1], 2)]
    return forward, back(lambda a: a > 0), wrong, inputs, {}


@entry
def padded_rows():
    return hidden_layer(put(n(5, 3), slice(0, 2), 0.0), n(3, 6))


@entry
def whole_numbers():
    return hidden_layer(np.round(2 * n(6, 3, seed=2)), np.round(n(3, 5)))


@entry
def many_units_at_zero():
    forward, right, wrong, inputs, options = hidden_layer(put(n(4, 3), 1, 0.0), n(3, 60))
    return forward, right, {"no_mask": wrong["no_mask"]}, inputs, options


@entry
def even_split():
    f = lambda x: (x.max(), x)
    share = lambda dy, x: like(dy * (x == x.max()) / (x == x.max()).sum(), x)
    return f, share, {"all": lambda dy, x: like(dy * (x == x.max()), x),
                      "none": lambda dy, x: np.zeros_like(x)}, [np.full(300, 1.5)], {}  # fmt: skip


@entry
def first_of_ties():
    f = lambda x: (x.max(1), x)

    def first(dy, x):
        d = np.zeros_like(x)
        d[np.arange(len(x)), x.argmax(1)] = dy
        return d

    return (
        f,
        first,
        {"all": lambda dy, x: like(dy[:, None] * (x == x.max(1, keepdims=True)), x)},
        [np.round(n(5, 9))],
        {},
    )


A, C = np.array([1.0, 2.0, 3.0, -1.0, 0.0]), np.array([1.0, 5.0, 3.0, -2.0, 0.0])


@entry
def minimum_of_two():
    back = lambda at, bt: lambda dy, c: (like(dy * ((c[0] < c[1]) + at * (c[0] == c[1])), c[0]),
                                         like(dy * ((c[1] < c[0]) + bt * (c[0] == c[1])), c[0]))  # fmt: skip
    return lambda a, b: (np.minimum(a, b), (a, b)), back(0.5, 0.5), {
        "none": back(0, 0), "both": back(1, 1),
    }, [A, C], {}  # fmt: skip


@entry
def maximum_first_takes():
    back = lambda at, bt: lambda dy, c: (like(dy * ((c[0] > c[1]) + at * (c[0] == c[1])), c[0]),
                                         like(dy * ((c[1] > c[0]) + bt * (c[0] == c[1])), c[0]))  # fmt: skip
    return lambda a, b: (np.where(a >= b, a, b), (a, b)), back(1, 0), {
        "none": back(0, 0), "half_and_all": back(0.5, 1),
    }, [A, C], {}  # fmt: skip


@entry
def max_pool():
    x = np.round(2 * n(2, 3, 4, 6)) / 2

    def forward(x):
        r = x.reshape(2, 3, 2, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 2, 3, 4)
        return r.max(-1), (r, x.shape)

    def spread(g):
        return g.reshape(2, 3, 2, 3, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 4, 6)

    def first(dy, c):
        d = np.zeros_like(c[0])
        np.put_along_axis(d, c[0].argmax(-1)[..., None], dy[..., None], -1)
        return spread(d)

    def every(dy, c):
        return spread(like(dy[..., None] * (c[0] == c[0].max(-1, keepdims=True)), c[0]))

    return forward, first, {"all_ties": every, "half": lambda dy, c: first(dy, c) / 2}, [x], {}


@entry
def total_variation():
    x = np.round(n(5, 6))
    f = lambda x: (np.abs(np.diff(x, axis=1)).sum(1), x)

    def back(zero):
        def backward(dy, x):
            s = np.sign(np.diff(x, axis=1)) + zero * (np.diff(x, axis=1) == 0)
            g = np.zeros_like(x)
            g[:, 1:] += dy[:, None] * s
            g[:, :-1] -= dy[:, None] * s
            return like(g, x)

        return backward

    return f, back(0.0), {"at_ties": back(5.0)}, [x], {}
