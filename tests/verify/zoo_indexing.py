"""Indexing, sums over repeats, and shapes at their limits."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, n, put, variants

ZOO, entry = collection()


@entry
def gather_repeated():
    at = np.array([[0, 0, 2], [1, 1, 1], [3, 0, 3]])
    forward = lambda x, at: (np.take_along_axis(x, at, 1), (x, at))

    def back(m):
        def backward(dy, c):
            x, at = c
            g = np.zeros_like(x)
            if m == "overwritten":
                np.put_along_axis(g, at, dy, 1)
            else:
                np.add.at(g, (np.arange(len(x))[:, None], at), dy)
            return g[:, ::-1].copy() if m == "flipped" else g

        return backward

    return forward, variants(back, "overwritten", "flipped"), [n(3, 4), at]


@entry
def scatter_add():
    at = np.array([2, 0, 2, 1, 2])

    def forward(src, base, at):
        y = base.astype(np.result_type(src, base))
        np.add.at(y, at, src)
        return y, at

    back = lambda m: lambda dy, at: (
        dy[np.sort(at)] if m == "order" else dy[at], 0 * dy if m == "no_base" else dy)  # fmt: skip
    return forward, variants(back, "order", "no_base"), [n(5, 2), n(4, 2), at]


@entry
def overwritten_rows():
    """y = base with some rows replaced: the base must not get those rows' gradient."""
    at = np.array([1, 3])

    def forward(base, rows, at):
        y = base.astype(np.result_type(base, rows))
        y[at] = rows
        return y, at

    back = lambda m: lambda dy, at: (
        dy.copy() if m == "not_cut" else put(dy, at, 0.0),
        dy[:2] if m == "wrong_rows" else dy[at])  # fmt: skip
    return forward, variants(back, "not_cut", "wrong_rows"), [n(5, 3), n(2, 3), at]


@entry
def shifted():
    forward = lambda x: (np.roll(x, 2, 1) - x, None)
    back = lambda m: lambda dy, _: np.roll(dy, 2 if m == "direction" else -2, 1) - (
        0 if m == "one_term" else dy)  # fmt: skip
    return forward, variants(back, "direction", "one_term"), [n(3, 7)]


@entry
def finite_gradient():
    """np.diff twice, as in a smoothness penalty."""
    forward = lambda x: ((np.diff(x, 2, axis=0) ** 2).sum(), np.diff(x, 2, axis=0))

    def back(m):
        def backward(dy, d):
            g = np.zeros((len(d) + 2, d.shape[1]), d.dtype)
            k = d * d.dtype.type((1 if m == "no_two" else 2) * dy)
            g[:-2] += k
            g[1:-1] -= k if m == "inner" else 2 * k
            g[2:] += k
            return g

        return backward

    return forward, variants(back, "no_two", "inner"), [n(7, 2)]


@entry
def product_along_an_axis():
    """Zeros: one in the first row, two in the second."""
    x = put(put(n(4, 3), (0, 1), 0.0), (1, [0, 2]), 0.0)
    forward = lambda x: (x.prod(1), x)

    def back(m):
        def backward(dy, x):
            g = np.stack([np.delete(x, j, 1).prod(1) for j in range(x.shape[1])], 1)
            if m == "by_division":
                g = np.where(x == 0, 0, x.prod(1, keepdims=True) / np.where(x == 0, 1, x))
            return dy[:, None] * (g[:, ::-1] if m == "flipped" else g)

        return backward

    return forward, variants(back, "by_division", "flipped"), [x]


@entry
def polynomial():
    def forward(x, c):
        y = np.zeros_like(x) + 0 * c[0]
        for k in range(len(c)):
            y = y * x + c[k]
        return y, (x, c)

    def back(m):
        def backward(dy, cache):
            x, c = cache
            p = range(len(c) - 1, -1, -1)
            dx = sum(c[i] * p[i] * x ** max(p[i] - 1, 0) for i in range(len(c)))
            dc = np.array([(dy * x ** p[i]).sum() for i in range(len(c))], c.dtype)
            return dy * dx, dc[::-1].copy() if m == "order" else dc / len(x) if m == "mean" else dc

        return backward

    return forward, variants(back, "order", "mean"), [n(6), n(4)]


@entry
def zero_dimensional():
    forward = lambda a, b: (a * np.sin(b), (a, b))
    back = lambda m: lambda dy, c: (
        np.asarray(dy * np.sin(c[1])),
        np.asarray(dy * (1 if m == "no_a" else c[0]) * np.cos(c[1])))  # fmt: skip
    return forward, variants(back, "no_a"), [np.array(1.3), np.array(-0.4)]


@entry
def one_of_sixty_thousand():
    forward = lambda x, w: ((x * w).sum(1), (x, w))

    def back(m):
        def backward(dy, c):
            x, w = c
            dx = dy[:, None] * w
            if m == "one_entry":
                dx[117, 90] *= x.dtype.type(1.1)
            return dx, ((x.T @ dy) / len(x) if m == "mean" else x.T @ dy)

        return backward

    return forward, variants(back, "one_entry", "mean"), [n(300, 200), n(200)]
