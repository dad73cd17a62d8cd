"""Losses: margins, ignored rows, smoothing, likelihoods."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import GRID, collection, n, pointwise, sigmoid, softmax, variants

ZOO, entry = collection()


@entry
def ignored_labels():
    def forward(s, labels):
        keep = labels >= 0
        p, rows = softmax(s), np.arange(len(s))
        return -np.log(p[rows, labels])[keep].mean(), (p, labels, keep)

    def back(m):
        def backward(dy, c):
            p, labels, keep = c
            d = p.copy()
            d[np.arange(len(p)), labels] -= 1
            if m != "not_ignored":
                d[~keep] = 0
            return d * p.dtype.type(dy / (len(p) if m == "mean_over_all" else keep.sum()))

        return backward

    return forward, variants(back, "not_ignored", "mean_over_all"), [
        n(6, 4), np.array([1, -1, 3, 0, -1, 2])]  # fmt: skip


@entry
def label_smoothing():
    target = lambda p, labels: (
        0.9 * np.eye(p.shape[1])[labels] + 0.1 / p.shape[1]).astype(p.dtype)  # fmt: skip

    def forward(s, labels):
        p = softmax(s)
        return -(target(p, labels) * np.log(p)).sum(1), (p, labels)

    def back(m):
        def backward(dy, c):
            p, labels = c
            t = np.eye(p.shape[1], dtype=p.dtype)[labels] if m == "hard" else target(p, labels)
            return (t - p if m == "sign" else p - t) * dy[:, None]

        return backward

    return forward, variants(back, "hard", "sign"), [n(5, 4), np.array([0, 3, 1, 1, 2])]


@entry
def weighted_bce():
    t = (np.random.default_rng(1).random((4, 3)) < 0.5) * 1
    soft = lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    forward = lambda x, w, t: ((w * t * soft(-x) + (1 - t) * soft(x)).sum(), (x, w, t))

    def back(m):
        def backward(dy, c):
            x, w, t = c
            s = sigmoid(x)
            dx = (1 - t) * s - (t * (1 - s) if m == "no_weight" else w * t * (1 - s))
            dw = (t * soft(-x)).mean(0) if m == "mean" else (t * soft(-x)).sum(0)
            return dy * dx, dy * dw

        return backward

    return forward, variants(back, "no_weight", "mean"), [n(4, 3, scale=3.0), np.abs(n(3)) + 1, t]


@entry
def huber_at_delta():
    def f(x):
        return np.where(np.abs(x) <= 1, x * x / 2, np.abs(x) - 0.5)

    right = lambda x: np.clip(x, -1, 1)
    return pointwise(f, {"": right, "at_border": lambda x: np.where(np.abs(x) == 1, 0, right(x)),
                         "no_clip": lambda x: x}, GRID)  # fmt: skip


@entry
def triplet_margin():
    """Squared distances; the second triplet stands exactly on the margin, the third is at rest."""
    a = np.array([[0.5, -1.0], [0.0, 0.0], [1.0, 1.0], [0.3, 0.8]])
    p = np.array([[1.5, 0.25], [1.0, 0.0], [1.0, 1.5], [-0.4, 0.1]])
    q = np.array([[0.25, -2.0], [1.0, 1.0], [4.0, -3.0], [0.5, 0.5]])

    def forward(a, p, q):
        gap = ((a - p) ** 2).sum(1) - ((a - q) ** 2).sum(1) + 1
        return np.maximum(gap, 0), (a, p, q, gap)

    def back(m):
        def backward(dy, c):
            a, p, q, gap = c
            on = dy * (gap > 0)
            if m == "at_margin":
                on = dy * np.where(gap == 0, 4, gap > 0)
            d = 2 * (dy if m == "no_margin" else on)[:, None].astype(a.dtype)
            da = d * (q - p) if m != "half_anchor" else d * (a - p)
            return da, d * (p - a), d * (a - q)

        return backward

    return forward, variants(back, "at_margin", "no_margin", "half_anchor"), [a, p, q]


@entry
def info_nce():
    def forward(u, v):
        p = softmax(u @ v.T / u.dtype.type(0.3))
        return -np.log(np.diagonal(p)).mean(), (u, v, p)

    def back(m):
        def backward(dy, c):
            u, v, p = c
            d = (p - np.eye(len(p), dtype=p.dtype)) * p.dtype.type(dy / len(p))
            d = d if m == "no_temperature" else d / p.dtype.type(0.3)
            return d @ v, (d @ u if m == "not_transposed" else d.T @ u)

        return backward

    return forward, variants(back, "no_temperature", "not_transposed"), [n(5, 3), n(5, 3, seed=1)]


@entry
def kl_of_gaussians():
    forward = lambda m, s: (0.5 * (np.exp(s) + m * m - 1 - s).sum(1), (m, s))
    back = lambda k: lambda dy, c: (
        dy[:, None] * c[0] * (2 if k == "no_half" else 1),
        dy[:, None] * (np.exp(c[1]) - (0 if k == "no_one" else 1))
        * (0.5 if k != "deviation" else 1))  # fmt: skip
    return forward, variants(back, "no_half", "no_one", "deviation"), [n(4, 3), n(4, 3, seed=1)]


@entry
def dice():
    t = (n(3, 7) > 0) * 1.0

    def forward(x, t):
        p = sigmoid(x)
        top, low = 2 * (p * t).sum(1) + 1, p.sum(1) + t.sum(1) + 1
        return 1 - top / low, (p, t, top, low)

    def back(m):
        def backward(dy, c):
            p, t, top, low = (v if v.ndim == 2 else v[:, None] for v in c)
            dp = -(2 * t / low - (0 if m == "no_bottom" else top / low**2))
            return dy[:, None] * dp * (1 if m == "no_sigmoid" else p * (1 - p))

        return backward

    return forward, variants(back, "no_bottom", "no_sigmoid"), [n(3, 7, seed=2), t], {"wrt": ["x"]}


@entry
def gaussian_likelihood():
    def forward(mean, s, x):
        r = (x - mean) * np.exp(-s)
        return (0.5 * r * r + s).mean(), (r, s)

    def back(m):
        def backward(dy, c):
            r, s = c
            k = r.dtype.type(dy / (1 if m == "no_mean" else r.size))
            ds = (-r * r if m == "no_one" else 1 - r * r).sum(0) * k
            dm = -k * r * np.exp(-s)
            return dm, ds, dm if m == "sign_x" else -dm

        return backward

    return forward, variants(back, "no_mean", "no_one", "sign_x"), [n(5, 3), n(3), n(5, 3, seed=1)]
