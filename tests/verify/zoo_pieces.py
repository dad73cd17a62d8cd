"""Pieces of functions: borders, zeros, ties, the largest ones, samples."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import (
    GRID,
    collection,
    n,
    pointwise,
    put,
    softmax,
    softmax_back,
    variants,
)

ZOO, entry = collection()


@entry
def clamp_at_border():
    inside = lambda x: 1.0 * ((x >= -1) & (x <= 1))
    return pointwise(lambda x: np.clip(x, -1, 1),
                     {"": inside, "outside": lambda x: 1 - inside(x),
                      "one_side": lambda x: 1.0 * (x <= 1),
                      "at_border": lambda x: np.where(np.abs(x) == 1, -0.5, inside(x))},
                     GRID)  # fmt: skip


@entry
def soft_shrink():
    f = lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)
    out = lambda x: 1.0 * (np.abs(x) > 0.5)
    return pointwise(f, {"": out, "everywhere": np.ones_like,
                         "at_lambda": lambda x: np.where(np.abs(x) == 0.5, 2, out(x))},
                     GRID)  # fmt: skip


@entry
def sinc_at_zero():
    def slope(x):
        safe = np.where(x == 0, 1, x)
        return np.where(x == 0, 0, (np.cos(np.pi * safe) - np.sinc(safe)) / safe)

    return pointwise(np.sinc, {"": slope, "at_zero": lambda x: np.where(x == 0, 1, slope(x)),
                               "no_second": lambda x: np.cos(np.pi * x)}, GRID * 0.8)  # fmt: skip


@entry
def root_near_zero():
    x = np.array([1e-12, 1e-6, 3e-3, 0.5, 7.0])
    return pointwise(np.sqrt, {"": lambda x: 0.5 / np.sqrt(x), "no_half": lambda x: 1 / np.sqrt(x),
                               "regularised": lambda x: 0.5 / np.sqrt(x + 1e-8)}, x)  # fmt: skip


@entry
def row_norms_with_a_zero_row():
    x = put(n(5, 3), 2, 0.0)
    forward = lambda x: (np.sqrt((x * x).sum(1)), x)

    def back(m):
        def backward(dy, x):
            norm = np.sqrt((x * x).sum(1, keepdims=True))
            g = dy[:, None] * x / np.where(norm == 0, 1, norm)
            if m == "at_zero":
                g[2] = 3 * dy[2]
            return {"no_norm": dy[:, None] * x, "twice": 2 * g}.get(m, g)

        return backward

    return forward, variants(back, "at_zero", "no_norm", "twice"), [x]


@entry
def power_of_both():
    forward = lambda x, p: (x**p, (x, p))

    def back(m):
        def backward(dy, c):
            x, p = c
            dp = dy * x**p * (1 if m == "no_log" else np.log(x))
            return dy * p * x ** (p if m == "same_power" else p - 1), dp.sum(0)

        return backward

    return forward, variants(back, "no_log", "same_power"), [
        np.abs(n(4, 3)) + 0.2, np.array([0.5, 2.0, -1.3])]  # fmt: skip


@entry
def angle():
    forward = lambda y, x: (np.arctan2(y, x), (y, x))

    def back(m):
        def backward(dy, c):
            y, x = c
            r = 1 if m == "no_radius" else x * x + y * y
            return dy * x / r, (dy * y / r if m == "sign" else -dy * y / r)

        return backward

    return forward, variants(back, "no_radius", "sign"), [n(7), n(7, seed=1)]


@entry
def linear_quantile():
    def forward(x):
        order = np.argsort(x, 0)
        place = 0.25 * (len(x) - 1)
        low, share = int(place), x.dtype.type(place - int(place))
        row = np.take_along_axis(x, order, 0)
        return row[low] * (1 - share) + row[low + 1] * share, (x, order, low, share)

    def back(m):
        def backward(dy, c):
            x, order, low, share = c
            g = np.zeros_like(x)
            cols = np.arange(x.shape[1])
            first = 1 if m == "nearest" else share if m == "swapped" else 1 - share
            second = 0 if m == "nearest" else 1 - share if m == "swapped" else share
            g[order[low], cols] += dy * first
            g[order[low + 1], cols] += dy * second
            return g

        return backward

    return forward, variants(back, "nearest", "swapped"), [n(6, 4)]


@entry
def top_k():
    forward = lambda x: (np.sort(x, 1)[:, ::-1][:, :3].copy(), x)

    def back(m):
        def backward(dy, x):
            g, at = np.zeros_like(x), np.argsort(-x, 1)[:, :3]
            if m == "unsorted":
                at = np.sort(at, 1)
            np.put_along_axis(g, at, dy.mean(1, keepdims=True) if m == "mean" else dy, 1)
            return g

        return backward

    return forward, variants(back, "unsorted", "mean"), [n(4, 7)]


@entry
def largest_along_an_axis():
    """Three equal entries in a row: even shares are right, so is all to the first."""
    x = put(n(4, 5), (1, [0, 2, 3]), 2.0)
    forward = lambda x: (x.max(1), x)

    def back(m):
        def backward(dy, x):
            hit = (x == x.max(1, keepdims=True)) * np.ones_like(x)
            share = 1 if m == "every" else hit.sum(1, keepdims=True)
            return dy[:, None] * hit / (2 * share if m == "half" else share)

        return backward

    return forward, variants(back, "every", "half"), [x]


@entry
def piecewise_linear():
    """np.interp by hand; one query stands on a knot."""
    knots = np.array([0.0, 0.5, 1.25, 2.0, 4.0])
    x = np.array([0.2, 1.25, 3.1, 0.7, 1.9])

    def forward(x, f):
        at = np.clip(np.searchsorted(knots, x.real, side="right") - 1, 0, 3)
        share = (x - knots[at]) / (knots[at + 1] - knots[at])
        return (f[at] * (1 - share) + f[at + 1] * share).astype(np.result_type(x, f)), (
            f, at, share)  # fmt: skip

    def back(m):
        def backward(dy, c):
            f, at, share = c
            g = np.zeros_like(f)
            if m == "overwritten":
                g[at] = dy * (1 - share)
                g[at + 1] = dy * share
            else:
                np.add.at(g, at, dy * (1 - share))
                np.add.at(g, at + 1, dy * share)
            slope = (f[at + 1] - f[at]) / (1 if m == "no_width" else knots[at + 1] - knots[at])
            if m == "at_knot":
                slope[1] = 5.0
            return (dy * slope).astype(f.dtype), g.astype(f.dtype)

        return backward

    return forward, variants(back, "overwritten", "no_width", "at_knot"), [x, n(5)]


@entry
def gumbel_softmax():
    noise = -np.log(-np.log(np.random.default_rng(2).uniform(0.05, 0.95, (4, 5))))
    forward = lambda x, noise: ((p := softmax((x + noise) / x.dtype.type(0.7))), p)

    def back(m):
        def backward(dy, p):
            d = p * dy if m == "diagonal" else softmax_back(dy, p, 0 if m == "axis" else -1)
            return (d if m == "no_temperature" else d / p.dtype.type(0.7)), None

        return backward

    return forward, variants(back, "diagonal", "axis", "no_temperature"), [
        n(4, 5), noise], {"wrt": ["x"]}  # fmt: skip
