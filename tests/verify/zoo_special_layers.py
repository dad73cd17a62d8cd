"""Passes after public bug reports: normalisation, convolution, losses, borders."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_special_points import POINTS
from tests.verify.zoo_tools import collection, elementwise, like, n, softmax

ZOO, entry = collection()


@entry
def layer_norm_with_var():
    def forward(x, g, b):
        s = 1 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        h = (x - x.mean(1, keepdims=True)) * s
        return like(g * h + b, x), (h, s, g)

    def back(mean, spread):
        def backward(dy, c):
            h, s, g = c
            d = dy * g
            dx = d - mean * d.mean(1, keepdims=True) - spread * h * (d * h).mean(1, keepdims=True)
            return like(s * dx, dy), like((dy * h).sum(0), dy), like(dy.sum(0), dy)

        return backward

    return (
        forward,
        back(1, 1),
        {"no_mean": back(0, 1), "no_spread": back(1, 0)},
        [n(5, 7), n(7), n(7, seed=3)],
        {},
    )


@entry
def group_norm():
    def forward(x):
        r = x.reshape(3, 2, -1)
        c = r - r.mean(-1, keepdims=True)
        s = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5)
        return like((c * s).reshape(x.shape), x), (c * s, s, x.shape)

    def back(axis):
        def backward(dy, cache):
            h, s, shape = cache
            d = dy.reshape(h.shape)
            g = s * (d - d.mean(axis, keepdims=True) - h * (d * h).mean(axis, keepdims=True))
            return like(g.reshape(shape), dy)

        return backward

    return forward, back(-1), {"other_axis": back(1)}, [n(3, 4, 5)], {}


@entry
def convolution():
    def windows(x):
        return np.stack([x[:, :, i : i + x.shape[2] - 2] for i in range(3)], -1)

    f = lambda x, w: (np.einsum("bclk,ock->bol", windows(x), w), (x, w))

    def back(flip, mean=1):
        def backward(dy, c):
            x, w = c
            dw = np.einsum("bol,bclk->ock", dy, windows(x)) / mean
            dx = np.zeros_like(x)
            for i in range(3):
                k = w[:, :, 2 - i] if flip else w[:, :, i]
                dx[:, :, i : i + dy.shape[2]] += np.einsum("bol,oc->bcl", dy, k)
            return dx, like(dw, x)

        return backward

    return (
        f,
        back(False),
        {"flipped": back(True), "mean": back(False, 8)},
        [n(2, 3, 6), n(4, 3, 3)],
        {},
    )


@entry
def average_pool():
    f = lambda x: (x.reshape(2, 3, 2).mean(-1), x)
    back = lambda k: lambda dy, x: like(np.repeat(dy, 2, 1) * k, x)
    return f, back(0.5), {"sum": back(1)}, [n(2, 6)], {}


@entry
def batch_matmul():
    f = lambda a, b: (a @ b, (a, b))
    right = lambda dy, c: (dy @ c[1].swapaxes(1, 2), c[0].swapaxes(1, 2) @ dy)
    half = lambda dy, c: (right(dy, c)[0], right(dy, c)[1] / 2)
    return f, right, {"half": half}, [n(2, 3, 4), n(2, 4, 5)], {}


@entry
def cosine_similarity():
    norm = lambda x: np.linalg.norm(x, axis=1, keepdims=True)
    f = lambda a, b: ((a * b).sum(1) / norm(a)[:, 0] / norm(b)[:, 0], (a, b))

    def back(project):
        def backward(dy, c):
            a, b = c
            u, v, d = a / norm(a), b / norm(b), dy[:, None]
            cos = (u * v).sum(1, keepdims=True) * project
            return d * (v - cos * u) / norm(a), d * (u - cos * v) / norm(b)

        return backward

    return f, back(1), {"no_projection": back(0)}, [n(4, 3), n(4, 3, seed=5)], {}


@entry
def log_sum_exp():
    f = lambda x: (np.log(np.exp(x - x.max(1, keepdims=True)).sum(1)) + x.max(1), x)
    return f, lambda dy, x: dy[:, None] * softmax(x), {
        "exp": lambda dy, x: like(dy[:, None] * np.exp(x), x)}, [n(4, 5)], {}  # fmt: skip


@entry
def stable_sigmoid():
    def f(x):
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, 1 / (1 + e), e / (1 + e))

    s = lambda x: 1 / (1 + np.exp(-x))
    return *elementwise(f, lambda x: s(x) * (1 - s(x)), no_one_minus=s), [POINTS], {}


@entry
def saturated_tanh():
    f = lambda x: (lambda t: (t, t))(np.tanh(x))
    return (
        f,
        lambda dy, t: dy * (1 - t * t),
        {"plus": lambda dy, t: dy * (1 + t * t)},
        [12 * n(4, 3)],
        {},
    )


@entry
def rotary():
    def forward(x, angle):
        a, b = x[:, :2], x[:, 2:]
        c, s = np.cos(angle), np.sin(angle)
        return np.concatenate([a * c - b * s, a * s + b * c], 1), (a, b, c, s)

    def back(k):
        def backward(dy, cache):
            a, b, c, s = cache
            p, q = dy[:, :2], dy[:, 2:]
            da = p * (-a * s - b * c) + q * (a * c - b * s)
            return np.concatenate([p * c + k * q * s, -k * p * s + q * c], 1), like(da, p)

        return backward

    return forward, back(1), {"not_transposed": back(-1)}, [n(4, 4), n(4, 2)], {}


@entry
def cross_entropy():
    def forward(x, labels):
        p = softmax(x)
        return -np.log(p[np.arange(len(x)), labels]).mean(), (p, labels)

    def back(k, mean=True):
        def backward(dy, c):
            p, labels = c
            d = p.copy()
            d[np.arange(len(p)), labels] -= k
            return like(dy * d / (len(p) if mean else 1), p)

        return backward

    return forward, back(1), {"no_label": back(0), "no_mean": back(1, False)}, [
        n(5, 3), np.array([0, 2, 1, 2, 0])], {}  # fmt: skip


@entry
def variance_unbiased():
    f = lambda x: (x.var(0, ddof=1), x)
    back = lambda k: lambda dy, x: like(2 * dy * (x - x.mean(0)) / (len(x) - k), x)
    return f, back(1), {"biased": back(0)}, [n(6, 3)], {}


@entry
def sorted_sum():
    f = lambda x, w: (np.sort(x, 1) @ w, (np.argsort(x, 1), np.sort(x, 1), w))

    def back(order):
        def backward(dy, c):
            g = np.zeros_like(c[1])
            at = c[0] if order else np.argsort(c[0], 1)
            np.put_along_axis(g, at, dy[:, None] * c[2], 1)
            return g, c[1].T @ dy

        return backward

    return f, back(True), {"inverse_order": back(False)}, [n(3, 5), n(5)], {}
