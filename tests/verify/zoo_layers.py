"""Layers as people write them by hand: normalisation, convolution, pooling."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, n, put, variants

ZOO, entry = collection()


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
