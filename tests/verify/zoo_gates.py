"""Gates, activations and look-ups as people write them by hand."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, n, put, sigmoid, variants

ZOO, entry = collection()


@entry
def dropout_by_mask():
    mask = np.random.default_rng(3).random((4, 6)) < 0.7
    forward = lambda x, mask: (x * mask / x.dtype.type(0.7), mask)
    factor = {"": 1 / 0.7, "no_scale": 1.0, "squared": 1 / 0.49}
    keep = lambda m, mask: (~mask if m == "inverted" else mask) * factor.get(m, 1 / 0.7)
    back = lambda m: lambda dy, mask: (dy * keep(m, mask)).astype(dy.dtype)
    return forward, variants(back, "no_scale", "squared", "inverted"), [n(4, 6), mask]


@entry
def prelu():
    x = put(n(3, 4, 5), (0, 1, slice(0, 3)), 0.0)
    forward = lambda x, a: (np.where(x > 0, x, a[:, None] * x), (x, a))

    def back(m):
        def backward(dy, c):
            x, a = c
            slope = np.where(x > 0, 1, a[:, None]).astype(x.dtype)
            slope[x == 0] = 3 if m == "at_zero" else a.flat[0]
            da = np.where((x < 0) | (m == "positive_too"), x * dy, 0)
            return dy * slope, da.mean((0, 2)) if m == "mean" else da.sum((0, 2))

        return backward

    return forward, variants(back, "at_zero", "positive_too", "mean"), [
        x, np.array([0.25, 0.2, 0.1, 0.3])]  # fmt: skip


@entry
def gated_linear_unit():
    def forward(x, W, V):
        a, s = x @ W, sigmoid(x @ V)
        return a * s, (x, W, V, a, s)

    def back(m):
        def backward(dy, c):
            x, W, V, a, s = c
            da, db = dy * s, dy * a * s * (1 - s)
            if m == "no_derivative":
                db = dy * a * s
            dx = da @ W.T + db @ V.T
            if m == "one_path":
                dx = da @ W.T
            return dx, x.T @ (db if m == "swapped" else da), x.T @ (da if m == "swapped" else db)

        return backward

    return forward, variants(back, "no_derivative", "one_path", "swapped"), [
        n(5, 4), n(4, 3), n(4, 3, seed=1)]  # fmt: skip


@entry
def squeeze_and_excite():
    def forward(x, W):
        s = sigmoid(x.mean(2) @ W)
        return x * s[:, :, None], (x, W, s)

    def back(m):
        def backward(dy, c):
            x, W, s = c
            ds = (dy * x).sum(2) * s * (1 - s)
            dx = dy * s[:, :, None]
            if m != "one_path":
                dx = dx + (ds @ (W if m == "not_transposed" else W.T))[:, :, None] / x.shape[2]
            return dx, x.mean(2).T @ ds

        return backward

    return forward, variants(back, "one_path", "not_transposed"), [n(4, 3, 6), n(3, 3)]


@entry
def pixel_shuffle():
    def forward(x):
        b, c, h, w = x.shape
        y = x.reshape(b, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
        return y.reshape(b, c // 4, 2 * h, 2 * w), x.shape

    def back(m):
        def backward(dy, shape):
            b, c, h, w = shape
            d = dy.reshape(b, c // 4, h, 2, w, 2)
            order = (0, 1, 5, 3, 2, 4) if m == "axes" else (0, 1, 3, 5, 2, 4)
            return d.transpose(order).reshape(shape)

        return backward

    return forward, variants(back, "axes"), [n(2, 8, 3, 2)]


@entry
def nearest_upsampling():
    forward = lambda x: (x.repeat(2, 1).repeat(3, 2), x.shape)

    def back(m):
        def backward(dy, shape):
            d = dy.reshape(shape[0], shape[1], 2, shape[2], 3)
            return {"": d.sum((2, 4)), "mean": d.mean((2, 4)), "first": d[:, :, 0, :, 0]}[m]

        return backward

    return forward, variants(back, "mean", "first"), [n(2, 3, 4)]


@entry
def embedding_bag():
    bags = np.array([[0, 1, 1], [4, 0, 2], [1, 1, 1], [5, 4, 0]])
    forward = lambda E, bags: (E[bags].mean(1), (E, bags))

    def back(m):
        def backward(dy, c):
            E, bags = c
            g, d = np.zeros_like(E), np.repeat(dy[:, None] / (1 if m == "sum" else 3), 3, 1)
            if m == "overwritten":
                g[bags] = d
            elif m == "added_once":
                g[bags] += d
            else:
                np.add.at(g, bags, d)
            return g

        return backward

    return forward, variants(back, "overwritten", "added_once", "sum"), [n(6, 4), bags]


@entry
def bias_on_the_middle_axis():
    forward = lambda x, b: (np.tanh(x + b[None, :, None]), np.tanh(x + b[None, :, None]))

    def back(m):
        def backward(dy, y):
            d = dy * (1 - y * y)
            return d, {"": d.sum((0, 2)), "batch_mean": d.sum(2).mean(0), "first": d[0].sum(1)}[m]

        return backward

    return forward, variants(back, "batch_mean", "first"), [n(4, 3, 5), n(3)]


@entry
def mish():
    soft = lambda x: np.logaddexp(0, x)
    forward = lambda x: (x * np.tanh(soft(x)), x)

    def back(m):
        def backward(dy, x):
            t = np.tanh(soft(x))
            inner = x * (1 - t * t) * sigmoid(x)
            return dy * (t + {"": inner, "no_inner": 0, "no_sigmoid": x * (1 - t * t)}[m])

        return backward

    return forward, variants(back, "no_inner", "no_sigmoid"), [n(4, 5, scale=2.0)]


@entry
def selu():
    x = put(n(4, 5), (1, slice(0, 2)), 0.0)
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    forward = lambda x: ((scale * np.where(x > 0, x, alpha * np.expm1(x))).astype(x.dtype), x)

    def back(m):
        def backward(dy, x):
            g = scale * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))
            if m == "at_zero":
                g = np.where(x == 0, 0, g)
            return (dy * (g / scale if m == "no_scale" else g)).astype(x.dtype)

        return backward

    return forward, variants(back, "at_zero", "no_scale"), [x]
