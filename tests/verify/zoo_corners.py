"""Passes whose points lie on several corners at once: equal boxes, equal paths, whole places."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, like, n, put, variants

ZOO, entry = collection()


@entry
def overlap_of_equal_boxes():
    """1 - intersection over union, two of four boxes equal, or equal in a side."""

    def parts(p, q):
        low, high = np.maximum(p[:, :2], q[:, :2]), np.minimum(p[:, 2:], q[:, 2:])
        sides, own, other = np.maximum(high - low, 0), p[:, 2:] - p[:, :2], q[:, 2:] - q[:, :2]
        common = sides.prod(1)
        return low, high, sides, common, own.prod(1) + other.prod(1) - common

    def forward(p, q):
        *_, common, union = parts(p, q)
        return 1 - common / union, (p, q)

    def back(m):
        def backward(dy, c):
            p, q = c
            low, high, sides, common, union = parts(p, q)
            d_area = dy * common / union**2 * (0 if m == "no_area" else 1)
            d_common = -dy / union - dy * common / union**2
            d = (d_common[:, None] * sides[:, ::-1]) * (high > low)
            upper = np.where(p[:, 2:] == q[:, 2:], -3.0 if m == "tie" else 1.0, p[:, 2:] < q[:, 2:])
            own = (p[:, 2:] - p[:, :2])[:, ::-1] * d_area[:, None]
            left = d * (p[:, :2] >= q[:, :2]) + (-own if m == "sign" else own)
            return like(np.concatenate([-left, d * upper + own], 1), p), None

        return backward

    q = np.array([[0.0, 0, 2, 3], [1, 1, 4, 2.5], [0.5, 0.25, 1.5, 2], [0, 0, 1, 1]])
    p = q + np.array([[0.0] * 4, [0] * 4, [0.1, 0.1, 0.3, -0.2], [0, 0.2, 0, 0.1]])
    return forward, variants(back, "no_area", "sign", "tie"), [p, q], {"wrt": ["p"]}


@entry
def best_path_with_ties():
    def walk(e, A):
        best, steps = e[0], []
        for row in e[1:]:
            s = best[:, None] + A
            steps.append(s.argmax(0))
            best = s.max(0) + row
        return best, steps

    forward = lambda e, A: (walk(e, A)[0].max(), (e, A))

    def back(m):
        def backward(dy, c):
            e, A = c
            best, steps = walk(e, A)
            de, dA, j = np.zeros_like(e), np.zeros_like(A), best.argmax()
            de[-1, j] += dy
            for k in range(len(steps) - 1, -1, -1):
                i = steps[k][j]
                dA[i, j] = dy if m == "set" else dA[i, j] + dy
                de[k, i] += 0 if m == "first_forgotten" and k == 0 else dy
                j = i
            return de, dA

        return backward

    return forward, variants(back, "set", "first_forgotten"), [
        np.round(n(7, 3)), np.round(n(3, 3))]  # fmt: skip


@entry
def sampling_clamped_at_the_border():
    def forward(image, at):
        top = np.array(image.shape) - 1
        inside = np.clip(at, 0, top)
        i = np.minimum(np.floor(inside.real).astype(int), top - 1)
        a, b = (inside - i).T
        corners = [image[i[:, 0] + di, i[:, 1] + dj] for di in (0, 1) for dj in (0, 1)]
        weights = [(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b]
        y = sum(w * v for w, v in zip(weights, corners, strict=True))
        return y, (image, at, i, a, b, corners, weights)

    def back(m):
        def backward(dy, c):
            image, at, i, a, b, corners, weights = c
            d, top = np.zeros_like(image), np.array(image.shape) - 1
            places = [(di, dj) for di in (0, 1) for dj in (0, 1)]
            for (di, dj), w in zip(places, weights, strict=True):
                np.add.at(d, (i[:, 0] + di, i[:, 1] + dj), dy * w)
            down = (corners[2] - corners[0]) * (1 - b) + (corners[3] - corners[1]) * b
            along = (corners[1] - corners[0]) * (1 - a) + (corners[3] - corners[2]) * a
            free = (at >= 0) & (at <= top) | (m == "not_clamped")
            slopes = np.stack([down, -along if m == "sign" else along], 1)
            return d, like(slopes * free * dy[:, None], d)

        return backward

    at = np.array([[0.0, 1.5], [3, 4], [1, 2], [-1, 2.25], [1.75, 5], [2.25, 0]])
    return forward, variants(back, "not_clamped", "sign"), [n(4, 5), at]


@entry
def between_smallest_and_largest():
    def forward(x):
        low, high = x.min(1, keepdims=True), x.max(1, keepdims=True)
        return (x - low) / (high - low), x

    def back(m):
        def backward(dy, x):
            low, high = x.min(1, keepdims=True), x.max(1, keepdims=True)
            y, rows = (x - low) / (high - low), np.arange(len(x))
            d = dy / (high - low)
            to_low, to_high = (d * (1 - y)).sum(1), (d * y).sum(1)
            d[rows, x.argmin(1)] -= 0 if m == "no_low" else to_low
            d[rows, x.argmax(1)] -= 0 if m == "no_high" else to_high
            return d

        return backward

    x = n(4, 5)
    x[1, 2], x[3, 0] = x[1].min(), x[3].max()
    return forward, variants(back, "no_low", "no_high"), [x]


@entry
def margin_of_the_two_best():
    """The largest violation of a margin: a tie for it, one exactly at the margin, one that float32
    rounds to it."""

    def violations(s, labels):
        rows = np.arange(len(s))
        v = 1 + s - s[rows, labels][:, None]
        v[rows, labels] = 0
        return rows, v

    forward = lambda s, labels: (
        np.maximum(violations(s, labels)[1].max(1), 0).mean(), (s, labels))  # fmt: skip

    def back(m):
        def backward(dy, c):
            s, labels = c
            rows, v = violations(s, labels)
            d, active = np.zeros_like(s), v.max(1) > 0
            np.add.at(d, (rows, v.argmax(1)), active)
            np.add.at(d, (rows, labels), 0.0 if m == "no_label" else -1.0 * active)
            return like(d * dy / (1 if m == "sum" else len(s)), s), None

        return backward

    s = n(4, 4)
    s[0, 1] = s[0, 2] = s[0, 0] + 1.5
    s[1, 2] = s[1, 3] - 1
    return forward, variants(back, "no_label", "sum"), [s, np.array([0, 3, 1, 2])]


@entry
def cosine_with_a_zero_vector():
    def forward(a, b):
        size = np.sqrt((a * a).sum(1)) * np.sqrt((b * b).sum(1))
        return (a * b).sum(1) / np.where(size > 1e-8, size, a.dtype.type(1e-8)), (a, b)

    def back(m):
        def backward(dy, c):
            a, b = c
            na, nb = np.sqrt((a * a).sum(1)), np.sqrt((b * b).sum(1))
            size = np.maximum(na * nb, a.dtype.type(1e-8))
            y = np.where(na * nb > 1e-8, (a * b).sum(1) / size, 0)
            along_a = a * (y / np.where(na == 0, 1, na) ** 2)[:, None]
            along_b = b * (y / np.where(nb == 0, 1, nb) ** 2)[:, None]
            da = b / size[:, None] - (0 if m == "no_projection" else along_a)
            db = a / size[:, None] - along_b
            return like(dy[:, None] * da, a), like(dy[:, None] * (-db if m == "sign" else db), a)

        return backward

    return forward, variants(back, "no_projection", "sign"), [put(n(4, 5), 1, 0.0), n(4, 5, seed=3)]


@entry
def steep_root_at_zero():
    """sqrt(x^2 + eps): a corner rounded off at a millionth."""
    eps = 1e-12
    forward = lambda x: (np.sqrt(x * x + x.dtype.type(eps)), x)

    def back(m):
        def backward(dy, x):
            inside = x * x + x.dtype.type(1e-10 if m == "other_eps" else eps)
            return dy * (np.sign(x) if m == "sign" else x / np.sqrt(inside))

        return backward

    return forward, variants(back, "sign", "other_eps"), [[1e-6, -0.5, 1.2, 3e-6, -2.0, 0.0]]


@entry
def sorted_with_ties():
    forward = lambda x, w: (np.sort(x) @ w, (x, w))

    def back(m):
        def backward(dy, c):
            x, w = c
            order, d = np.argsort(x, kind="stable"), np.zeros_like(x)
            d[order] = dy * w
            dw = dy * (x if m == "unsorted" else np.sort(x))
            return (dy * w[order] if m == "inverse" else d), dw

        return backward

    return forward, variants(back, "inverse", "unsorted"), [
        np.array([1.0, 2.0, 1.0, 0.5, 2.0, 1.0]), n(6)]  # fmt: skip
