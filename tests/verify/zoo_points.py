"""Passes at ties, corners, borders and zeros."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, like, n, put, softmax, variants

ZOO, entry = collection()


@entry
def sorted_rows():
    forward = lambda x, w: (np.sort(x, 1) * w, (x, np.argsort(x, 1, kind="stable"), w))

    def back(m):
        def backward(dy, c):
            x, order, w = c
            dx = np.zeros_like(x)
            if m == "inverse":
                dx = np.take_along_axis(dy * w, order, 1)
            else:
                np.put_along_axis(dx, order, dy if m == "no_weight" else dy * w, 1)
            return dx, (dy * (x if m == "unsorted" else np.sort(x, 1))).sum(0)

        return backward

    return forward, variants(back, "inverse", "no_weight", "unsorted"), [n(4, 6), n(6)]


@entry
def median_of_even_many():
    forward = lambda x: (np.median(x, 1), x) if not np.iscomplexobj(x) else (
        np.sort(x, 1)[:, 2:4].mean(1), x)  # fmt: skip

    def back(m):
        def backward(dy, x):
            order, dx = np.argsort(x, 1), np.zeros_like(x)
            for k in (2,) if m == "one" else (2, 3):
                share = 1 if m == "not_halved" else 0.5
                np.put_along_axis(dx, order[:, k : k + 1], share * dy[:, None], 1)
            return dx

        return backward

    return forward, variants(back, "one", "not_halved"), [n(4, 6)]


@entry
def largest_modulus_with_ties():
    forward = lambda x: (np.abs(x).max(), x)

    def back(m):
        def backward(dy, x):
            top = np.abs(x) == np.abs(x).max()
            share = 1 if m == "all" else top.sum()
            return like(dy * top / share * (1 if m == "no_sign" else np.sign(x)), x)

        return backward

    x = np.array([[0.5, -2.0, 1.0], [2.0, -0.3, 1.5]])
    return forward, variants(back, "all", "no_sign"), [x]


@entry
def maximum_of_three():
    forward = lambda a, b, c: (np.maximum(np.maximum(a, b), c), (a, b, c))

    def back(m):
        def backward(dy, abc):
            top = np.maximum(np.maximum(abc[0], abc[1]), abc[2])
            hits = [(v == top) for v in abc]
            total = sum(h.astype(float) for h in hits)
            if m == "nobody":
                hits = [h & (total == 1) for h in hits]
            return tuple(like(dy * h / (1 if m == "everybody" else total), dy) for h in hits)

        return backward

    a, b, c = (
        np.array(v) for v in ([1.0, 2.0, -0.5, 0.3], [1.0, 1.0, -0.5, 2.0], [0.2, 2.0, -0.5, 1])
    )
    return forward, variants(back, "nobody", "everybody"), [a, b, c]


@entry
def clip_between_tensors():
    forward = lambda x, lo, hi: (np.minimum(np.maximum(x, lo), hi), (x, lo, hi))

    def back(m):
        def backward(dy, c):
            x, lo, hi = c
            inside, low = (x >= lo) & (x <= hi), x < lo
            high = x > hi
            if m == "border_lost":
                inside = (x > lo) & (x < hi)
            if m == "border_twice":
                low, high = x <= lo, x >= hi
            return tuple(like(dy * k, dy) for k in (inside, low, high))

        return backward

    x, lo = np.array([0.5, -1.0, 2.0, 0.1, 1.0]), np.array([-1.0, -1.0, -0.5, 0.4, -2.0])
    return forward, variants(back, "border_lost", "border_twice"), [
        x, lo, np.array([1.0, 2.0, 1.5, 0.9, 1.0])]  # fmt: skip


@entry
def l1_loss_with_exact_matches():
    forward = lambda a, b: (np.abs(a - b).mean(), (a, b))

    def back(m):
        def backward(dy, c):
            sign = np.sign(c[0] - c[1])
            if m == "ones_at_zero":
                sign = np.where(c[0] == c[1], 3.0, sign)
            d = like(dy * sign / (1 if m == "sum" else sign.size), c[0])
            return d, (d if m == "same_sign" else -d)

        return backward

    a = n(4, 5)
    return forward, variants(back, "sum", "same_sign", "ones_at_zero"), [
        a, put(n(4, 5, seed=1), (slice(None), 2), a[:, 2])]  # fmt: skip


@entry
def ranking_at_the_margin():
    forward = lambda a, b: (np.maximum(0.5 - (a - b), 0).sum(), (a, b))

    def back(m):
        def backward(dy, c):
            active = (c[0] - c[1]) < 0.5
            if m == "at_margin":
                active = np.where(c[0] - c[1] == 0.5, -2.0, active)
            d = like(-dy * active, c[0])
            return d, (d if m == "same_sign" else -d)

        return backward

    a, b = np.array([1.0, 0.25, 2.0, -1.0]), np.array([0.5, 0.75, 0.25, -1.5])
    return forward, variants(back, "at_margin", "same_sign"), [a, b]


@entry
def concatenated_relu():
    forward = lambda x: (np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], 1), x)

    def back(m):
        def backward(dy, x):
            up, down = np.split(dy, 2, 1)
            sign = 1 if m == "sign" else -1
            dx = up * (x > 0) + sign * down * (x < 0)
            return like(put(dx, x == 0, 7.0) if m == "at_zero" else dx, x)

        return backward

    return forward, variants(back, "sign", "at_zero"), [put(n(4, 5), (1, slice(0, 3)), 0.0)]


@entry
def remainder_at_whole_numbers():
    forward = lambda x: ((x - np.floor(x)) ** 2, x)

    def back(m):
        def backward(dy, x):
            d = 2 * (x - np.floor(x))
            if m == "whole":
                d = np.where(x == np.floor(x), 5.0, d)
            return like(dy * (2 * x if m == "no_floor" else d), x)

        return backward

    return forward, variants(back, "no_floor", "whole"), [np.array([0.3, 2.0, -1.0, 1.75, -0.4])]


@entry
def softplus_with_a_threshold():
    def forward(x):
        return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))), x

    def back(m):
        def backward(dy, x):
            s = 1 / (1 + np.exp(-x))
            if m == "at_threshold":
                s = np.where(x == 20, 0.0, s)
            return like(dy * (1 - s if m == "mirrored" else s), x)

        return backward

    return forward, variants(back, "mirrored", "at_threshold"), [
        np.array([[20.0, -3.0, 0.0], [25.0, 1.5, -20.0]])]  # fmt: skip


@entry
def clip_by_norm():
    def forward(x):
        size = np.sqrt((x * x).sum(1, keepdims=True))
        return np.where(size > 2, x * (2 / size), x), x

    def back(m):
        def backward(dy, x):
            size = np.sqrt((x * x).sum(1, keepdims=True))
            along = 0 if m == "constant_norm" else x * (dy * x).sum(1, keepdims=True) / size**2
            return like(np.where((size > 2) | (m == "always"), (dy - along) * 2 / size, dy), x)

        return backward

    return forward, variants(back, "constant_norm", "always"), [
        n(6, 5) * np.array([[0.1], [3], [1], [0.3], [2], [0.5]])]  # fmt: skip


@entry
def group_lasso():
    def forward(W):
        return np.sqrt((W * W).sum(0)).sum(), W

    def back(m):
        def backward(dy, W):
            size = np.sqrt((W * W).sum(0))
            d = W / np.where(size == 0, 1, size)
            if m == "zero_group":
                d = np.where(size == 0, 2.0, d)
            return like(dy * (d * size if m == "squared" else d), W)

        return backward

    return forward, variants(back, "zero_group", "squared"), [put(n(4, 5), (slice(None), 2), 0.0)]


@entry
def masked_log_sum_exp():
    def forward(x, mask):
        s = np.where(mask, x, -np.inf)
        top = np.where(mask, x.real, -np.inf).max(1, keepdims=True)
        return (top + np.log(np.exp(s - top).sum(1, keepdims=True)))[:, 0], (x, mask)

    def back(m):
        def backward(dy, c):
            x, mask = c
            p = softmax(np.where(mask, x, -np.inf) if m != "unmasked" else x, 1)
            return like(dy[:, None] * (p * p if m == "twice" else p), x), None

        return backward

    mask = np.random.default_rng(3).random((4, 6)) > 0.3
    return forward, variants(back, "unmasked", "twice"), [n(4, 6), mask]


@entry
def chamfer_with_duplicates():
    def forward(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(2).min(1).mean(), (a, b)

    def back(m):
        def backward(dy, c):
            a, b = c
            near, db = ((a[:, None] - b[None]) ** 2).sum(2).argmin(1), np.zeros_like(b)
            d = like(2 * dy * (a - b[near]) / (1 if m == "sum" else len(a)), a)
            if m == "overwritten":
                db[near] = -d
            else:
                np.add.at(db, near, -d)
            return d, db

        return backward

    b = n(3, 2)
    return forward, variants(back, "sum", "overwritten"), [n(8, 2), np.vstack([b, b[:1]])]
