"""Layers as people write them by hand: normalisation, convolution, pooling, gates, look-ups."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import n, put, sigmoid, variants

ZOO: list = []


def entry(function):
    ZOO.append(function)
    return function


def normalise(x, axes, eps=1e-5):
    gap = x - x.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt((gap * gap).mean(axes, keepdims=True) + x.dtype.type(eps))
    return gap * inverse, inverse


def normalise_back(d, z, inverse, axes, mistake=""):
    mean = 0 if mistake == "no_mean" else d.mean(axes, keepdims=True)
    along = 0 if mistake == "no_projection" else z * (d * z).mean(axes, keepdims=True)
    return (d - mean - along) * (1 if mistake == "no_scale" else inverse)


@entry
def instance_norm():
    forward = lambda x: ((c := normalise(x, (2, 3)))[0], c)
    back = lambda m: lambda dy, c: normalise_back(
        dy, *c, (0, 2, 3) if m == "axes" else (2, 3), m)  # fmt: skip
    return forward, variants(back, "no_mean", "no_projection", "axes"), [n(3, 2, 4, 5)]


@entry
def batch_norm_image():
    def forward(x, gamma, beta):
        z, inverse = normalise(x, (0, 2, 3))
        return gamma[:, None, None] * z + beta[:, None, None], (z, inverse, gamma)

    def back(m):
        def backward(dy, c):
            z, inverse, gamma = c
            dx = normalise_back(dy * gamma[:, None, None], z, inverse, (0, 2, 3), m)
            over = (0, 2) if m == "mean" else (0, 2, 3)
            dg = (dy * z).mean((0, 2, 3)) if m == "mean" else (dy * z).sum(over)
            return dx, dg, dy.sum((0, 2, 3))

        return backward

    return forward, variants(back, "no_mean", "mean", "no_scale"), [n(4, 3, 2, 5), n(3), n(3)]


@entry
def rms_norm():
    def forward(x, g):
        r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + x.dtype.type(1e-6))
        return x * r * g, (x, r, g)

    def back(m):
        def backward(dy, c):
            x, r, g = c
            d = dy * g
            dot = (d * x).sum(-1, keepdims=True) if m == "sum" else (d * x).mean(-1, keepdims=True)
            dx = r * d if m == "no_projection" else r * d - r**3 * x * dot
            return dx, (dy * x * (1 if m == "stale" else r)).sum((0, 1))

        return backward

    return forward, variants(back, "no_projection", "sum", "stale"), [n(2, 3, 6), n(6)]


@entry
def weight_norm():
    def forward(x, v, g):
        norm = np.sqrt((v * v).sum(0))
        return x @ (v * (g / norm)), (x, v, g, norm)

    def back(m):
        def backward(dy, c):
            x, v, g, norm = c
            dW = x.T @ dy
            dg = (dW * v).sum(0) / norm
            dv = dW * g / norm - (0 if m == "no_projection" else v * (g * dg / norm**2))
            return dy @ (v * (g / norm)).T, dv, dg * (norm if m == "dg" else 1)

        return backward

    return forward, variants(back, "no_projection", "dg"), [n(5, 4), n(4, 3), n(3)]


def windows(length, width, stride, dilation=1):
    starts = np.arange(0, length - dilation * (width - 1), stride)
    return starts[:, None] + dilation * np.arange(width)


@entry
def conv1d_stride_padding():
    def forward(x, W, b):
        padded = np.pad(x, ((0, 0), (0, 0), (2, 2)))
        at = windows(padded.shape[2], W.shape[2], 2)
        cols = padded[:, :, at]
        return np.einsum("bclk,ock->bol", cols, W) + b[:, None], (x, W, at, cols)

    def back(m):
        def backward(dy, c):
            x, W, at, cols = c
            dcols = np.einsum("bol,ock->bclk", dy, W[:, :, ::-1] if m == "flipped" else W)
            dx = np.zeros((*x.shape[:2], x.shape[2] + 4), x.dtype)
            if m == "overwritten":
                dx[:, :, at] = dcols
            else:
                np.add.at(dx, (slice(None), slice(None), at), dcols)
            cut = slice(1, -3) if m == "shifted" else slice(2, -2)
            db = dy.mean((0, 2)) if m == "mean" else dy.sum((0, 2))
            return dx[:, :, cut], np.einsum("bol,bclk->ock", dy, cols), db

        return backward

    return forward, variants(back, "flipped", "overwritten", "shifted", "mean"), [
        n(2, 3, 9), n(4, 3, 3), n(4)]  # fmt: skip


@entry
def conv1d_transposed():
    def forward(x, W):
        y = np.zeros((x.shape[0], W.shape[1], 2 * (x.shape[2] - 1) + W.shape[2]),
                     np.result_type(x, W))  # fmt: skip
        for k in range(W.shape[2]):
            y[:, :, k : k + 2 * x.shape[2] - 1 : 2] += np.einsum("bcl,co->bol", x, W[:, :, k])
        return y, (x, W)

    def back(m):
        def backward(dy, c):
            x, W = c
            taps = range(W.shape[2])
            cut = [dy[:, :, k : k + 2 * x.shape[2] - 1 : 2] for k in taps]
            if m == "last_tap":
                cut[-1] = 0 * cut[-1]
            dx = sum(np.einsum("bol,co->bcl", cut[k], W[:, :, k]) for k in taps)
            dW = np.stack([np.einsum("bcl,bol->co", x, piece) for piece in cut], -1)
            return dx, dW / len(x) if m == "mean" else dW

        return backward

    return forward, variants(back, "last_tap", "mean"), [n(2, 3, 5), n(3, 4, 3)]


@entry
def depthwise_dilated():
    def forward(x, W):
        at = windows(x.shape[2], W.shape[1], 1, 2)
        return np.einsum("bclk,ck->bcl", x[:, :, at], W), (x, W, at)

    def back(m):
        def backward(dy, c):
            x, W, at = c
            dx = np.zeros_like(x)
            taps = at if m != "dilation" else at[:, :1] + np.arange(at.shape[1])
            np.add.at(dx, (slice(None), slice(None), taps), dy[..., None] * W[:, None, :])
            return dx, np.einsum("bcl,bclk->ck", dy, x[:, :, at])

        return backward

    return forward, variants(back, "dilation"), [n(2, 3, 8), n(3, 3)]


@entry
def overlapping_max_pool():
    """Windows of three at stride one; the first of equal entries takes the gradient."""
    x = put(n(2, 9), (0, slice(2, 5)), 1.5)

    def forward(x):
        at = windows(x.shape[1], 3, 1)
        best = x[:, at].argmax(2)
        return np.take_along_axis(x[:, at], best[..., None], 2)[..., 0], (x, at, best)

    def back(m):
        def backward(dy, c):
            x, at, best = c
            dx, where = np.zeros_like(x), np.arange(len(at)) + best
            for b in range(len(x)):
                if m == "overwritten":
                    dx[b, where[b]] = dy[b]
                elif m == "every_tie":
                    for l, window in enumerate(at):
                        dx[b, window] += dy[b, l] * (x[b, window] == x[b, window].max())
                else:
                    np.add.at(dx[b], where[b], dy[b])
            return dx

        return backward

    return forward, variants(back, "overwritten", "every_tie"), [x]


@entry
def average_pool_without_padding():
    """Borders are averaged over the entries there are."""

    def forward(x):
        counts = np.array([2, *[3] * (x.shape[1] - 2), 2], x.dtype)
        p = np.pad(x, ((0, 0), (1, 1)))
        return (p[:, :-2] + p[:, 1:-1] + p[:, 2:]) / counts, counts

    def back(m):
        def backward(dy, counts):
            d = dy / (3 if m == "border" else counts)
            p = np.pad(d.astype(dy.dtype), ((0, 0), (1, 1)))
            return p[:, :-2] + p[:, 1:-1] + p[:, 2:]

        return backward

    return forward, variants(back, "border"), [n(3, 7)]


@entry
def global_average_pool():
    forward = lambda x: (x.mean((2, 3)), x.shape)

    def back(m):
        def backward(dy, shape):
            count = {"": shape[2] * shape[3], "width": shape[3], "batch": shape[0]}[m]
            return np.broadcast_to(dy[:, :, None, None] / count, shape).astype(dy.dtype)

        return backward

    return forward, variants(back, "width", "batch"), [n(2, 3, 4, 5)]


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
