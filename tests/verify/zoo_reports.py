"""Passes after reports to other projects: guards at zero, borders, what a mask leaves out."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, like, n, put, sigmoid, softmax, variants

ZOO, entry = collection()


@entry
def normalised_with_a_zero_row():
    eps = 1e-12

    def forward(x):
        size = np.sqrt((x * x).sum(1, keepdims=True))
        return x / np.where(size > eps, size, x.dtype.type(eps)), x

    def back(m):
        def backward(dy, x):
            size = np.sqrt((x * x).sum(1, keepdims=True))
            safe = np.maximum(size, x.dtype.type(eps))
            along = x * (x * dy).sum(1, keepdims=True) / safe**3
            if m == "zero_row":
                return like(np.where(size == 0, 0, dy / safe - along), x)
            return like(dy / safe - (0 if m == "no_projection" else along), x)

        return backward

    return forward, variants(back, "no_projection", "zero_row"), [put(n(5, 4), 2, 0.0)]


@entry
def rectified_batch_norm():
    """A constant column: all of it stands on the kink."""

    def forward(x, gamma):
        z = x - x.mean(0)
        z = z / np.sqrt((z * z).mean(0) + x.dtype.type(1e-2))
        return np.maximum(z * gamma, 0), (x, gamma)

    def back(m):
        def backward(dy, c):
            x, gamma = c
            z = x - x.mean(0)
            s = np.sqrt((z * z).mean(0) + x.dtype.type(1e-2))
            z = z / s
            d = dy * (z * gamma > 0)
            if m == "at_zero":
                d = np.where(z * gamma == 0, 40 * dy, d)
            g = d * gamma
            dx = (g - g.mean(0) - z * (g * z).mean(0)) / s
            return like(dx * (len(x) if m == "length" else 1), x), like((d * z).sum(0), x)

        return backward

    return forward, variants(back, "at_zero", "length"), [put(n(6, 4), (slice(None), 1), 0.5), n(4)]


@entry
def dead_units():
    forward = lambda x, W: (np.maximum(x @ W - 100, 0), (x, W))

    def back(m):
        def backward(dy, c):
            x, W = c
            d = dy * (x @ W > 100)
            return d @ W.T + (x.dtype.type(1e-3) if m == "leak" else 0), x.T @ d

        return backward

    x = n(5, 4)
    x[0] *= 100
    return forward, variants(back, "leak"), [x, n(4, 3)]


@entry
def clipped_probabilities():
    forward = lambda p, t: (-(t * np.log(np.clip(p, 1e-7, 1))).sum(1), (p, t))

    def back(m):
        def backward(dy, c):
            p, t = c
            inside = p >= (-1 if m == "not_clipped" else 1e-7)
            d = -t / np.clip(p, 1e-7, 1) * inside
            return like(dy[:, None] * (-d if m == "sign" else d), p), None

        return backward

    p = put(put(softmax(n(4, 5)), (1, 2), 0.0), (0, 0), -1e-3)
    t = np.eye(5)[[0, 2, 3, 1]] * 0.9 + 0.02
    return forward, variants(back, "not_clipped", "sign"), [p, t], {"wrt": ["p"]}


@entry
def bilinear_at_whole_places():
    def forward(image, at):
        i = np.floor(at.real).astype(int)
        f = at - i
        return image[i] * (1 - f) + image[i + 1] * f, (image, i, f)

    def back(m):
        def backward(dy, c):
            image, i, f = c
            d = np.zeros_like(image)
            np.add.at(d, i, dy * (1 - f))
            np.add.at(d, i + 1, dy * f)
            slope = image[i + 1] - image[i]
            if m == "at_whole":
                slope = np.where(f == 0, 5.0, slope)
            return d, like(dy * (-slope if m == "sign" else slope), image)

        return backward

    return forward, variants(back, "at_whole", "sign"), [n(7), np.array([0.5, 2.0, 3.0, 4.25, 2.0])]


@entry
def product_with_zeros():
    forward = lambda x: (x.prod(1), x)

    def back(m):
        def backward(dy, x):
            if m == "divided":
                return like(dy[:, None] * x.prod(1, keepdims=True) / np.where(x == 0, 1, x), x)
            d = np.ones_like(x)
            for j in range(x.shape[1]):
                d[:, j] = np.delete(x, j, 1).prod(1)
            return dy[:, None] * (d[:, ::-1] if m == "reversed" else d)

        return backward

    x = put(put(n(4, 4), (0, 1), 0.0), (2, [0, 3]), 0.0)
    return forward, variants(back, "divided", "reversed"), [x]


@entry
def dropout_scale():
    forward = lambda x, keep: (x * keep / x.dtype.type(0.8), keep)

    def back(m):
        def backward(dy, keep):
            k = {"not_scaled": 1, "wrong_rate": 0.2}.get(m, 0.8)
            return like(dy * keep / k, dy), None

        return backward

    keep = np.random.default_rng(0).random((5, 4)) < 0.8
    return forward, variants(back, "not_scaled", "wrong_rate"), [n(5, 4), keep]


@entry
def gate_of_equal_squares():
    """Square everything: a transposition or an axis mixed up keeps every shape."""
    forward = lambda x, W, V: ((x @ W) * sigmoid(V @ x), (x, W, V))

    def back(m):
        def backward(dy, c):
            x, W, V = c
            g = sigmoid(V @ x)
            da, dg = dy * g, dy * (x @ W) * g * (1 - g)
            dx = da @ (W if m == "W" else W.T) + (V if m == "V" else V.T) @ dg
            return dx, x.T @ da, (x @ dg.T if m == "outer" else dg @ x.T)

        return backward

    return forward, variants(back, "W", "V", "outer"), [n(4, 4), n(4, 4, seed=1), n(4, 4, seed=2)]


@entry
def equal_arguments():
    """Both inputs are the same numbers: every output is a tie of two tensors."""
    forward = lambda a, b: (np.maximum(a, b).sum(1), (a, b))

    def back(m):
        def backward(dy, c):
            a = c[0]
            share = {"both": (1, 1), "nobody": (0, 0), "uneven": (0.3, 0.7)}.get(m, (0.5, 0.5))
            if m == "":
                share = (1, 0)
            d = np.broadcast_to(dy[:, None], a.shape)
            return like(share[0] * d, a), like(share[1] * d, a)

        return backward

    x = n(4, 5)
    return forward, variants(back, "both", "nobody"), [x, x.copy()]


@entry
def gradient_of_a_quantile():
    forward = lambda x, q: ((d := x - q) * (0.25 - (d.real < 0)), (x, q))

    def back(m):
        def backward(dy, c):
            d = c[0] - c[1]
            slope = 0.25 - (d < 0)
            if m == "at_zero":
                slope = np.where(d == 0, 0.9, slope)
            if m == "mirrored":
                slope = 0.75 - (d < 0)
            g = like(dy * slope, dy)
            return g, -g.sum(0)

        return backward

    q = n(3)
    return forward, variants(back, "at_zero", "mirrored"), [put(n(5, 3), 1, q), q]
