"""Passes of huge and tiny numbers, of half precision, with constants cut off, of many ties."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import (
    centred_covariance,
    collection,
    like,
    n,
    sigmoid,
    softmax,
    softmax_back,
    variants,
)

ZOO, entry = collection()


@entry
def tiny_numbers():
    forward = lambda x, w: ((x * x) @ w, (x, w))

    def back(m):
        def backward(dy, c):
            x, w = c
            k = {"half": 1, "one_percent": 2.02}.get(m, 2)
            return like(k * x * np.outer(dy, w), x), like(
                dy @ (x * x) * (-1 if m == "sign" else 1), w
            )

        return backward

    return forward, variants(back, "half", "one_percent", "sign"), [n(4, 5, scale=1e-12), n(5)]


@entry
def huge_numbers():
    forward = lambda x, w, b: (x @ w + b, (x, w))

    def back(m):
        def backward(dy, c):
            x, w = c
            dw = x.T @ dy
            if m == "one_entry":
                dw[2] *= dw.dtype.type(1.01)
            return np.outer(dy, w), dw, np.asarray(-dy.sum() if m == "bias_sign" else dy.sum())

        return backward

    return forward, variants(back, "one_entry", "bias_sign"), [
        n(4, 5, scale=1e12), n(5), np.array(0.7)]  # fmt: skip


@entry
def standardised_with_n_less_one():
    def forward(x):
        z = x - x.mean(0)
        return z / np.sqrt((z * z).sum(0) / (len(x) - 1)), x

    def back(m):
        def backward(dy, x):
            z, k = x - x.mean(0), len(x) - (0 if m == "n" else 1)
            s = np.sqrt((z * z).sum(0) / (len(x) - 1))
            d = (dy - z * (dy * z).sum(0) / (k * s**2)) / s
            return like(d if m == "no_mean" else d - dy.mean(0) / s, x)

        return backward

    return forward, variants(back, "n", "no_mean"), [n(7, 4)]


@entry
def normalised_columns_in_half():
    def forward(x, w):
        z = x - x.mean(0)
        s = np.sqrt((z * z).mean(0) + x.dtype.type(1e-3))
        return z / s * w, (z / s, s, w)

    def back(m):
        def backward(dy, c):
            z, s, w = c
            d = dy * w
            dx = (d - d.mean(0) - (0 if m == "no_scale" else z * (d * z).mean(0))) / s
            return (dx if m != "factor" else like(1.1 * dx, dx)), (dy * z).sum(0)

        return backward

    return forward, variants(back, "no_scale", "factor"), [
        n(6, 4).astype(np.float16), n(4).astype(np.float16)]  # fmt: skip


@entry
def softmax_in_half():
    forward = lambda s: ((p := softmax(s)), p)

    def back(m):
        return lambda dy, p: p * dy if m == "diagonal" else like(
            softmax_back(dy, p) * (0.9 if m == "factor" else 1), p)  # fmt: skip

    return forward, variants(back, "diagonal", "factor"), [n(4, 5).astype(np.float16)]


@entry
def large_rectifier_of_zeros():
    """48,000 entries, most of them on the kink."""
    forward = lambda x, w: (np.maximum(x, 0) @ w, (x, w))

    def back(m):
        def backward(dy, c):
            x, w = c
            on = (x > 0) * x.dtype.type(1.05 if m == "five_percent" else 1)
            if m == "at_zero":
                on = np.where(x == 0, x.dtype.type(3), on)
            return np.outer(dy, w) * on, np.maximum(x, 0).T @ dy

        return backward

    return forward, variants(back, "at_zero", "five_percent"), [
        np.maximum(n(160, 300), 0), n(300)], {"seconds": 60}  # fmt: skip


@entry
def epsilon_in_another_place():
    """The root's epsilon, forgotten or moved in the backward only."""
    eps = 1e-5

    def forward(x):
        z = x - x.mean(1, keepdims=True)
        return z / np.sqrt((z * z).mean(1, keepdims=True) + x.dtype.type(eps)), x

    def back(m):
        def backward(dy, x):
            z, e = x - x.mean(1, keepdims=True), x.dtype.type(eps)
            v = (z * z).mean(1, keepdims=True)
            s = {"none": np.sqrt(v), "outside": np.sqrt(v) + e}.get(m, np.sqrt(v + e))
            z = z / s
            return (dy - dy.mean(1, keepdims=True) - z * (dy * z).mean(1, keepdims=True)) / s

        return backward

    return forward, variants(back, "none", "outside"), [n(4, 6, scale=0.1)]


@entry
def rounded_constants():
    """tanh's GELU, its backward with constants cut off after four digits."""
    a, b = 0.7978845608028654, 0.044715

    def forward(x):
        return like(0.5 * x * (1 + np.tanh(a * (x + b * x**3))), x), x

    def back(m):
        def backward(dy, x):
            k, c = (0.7979, b) if m == "root" else (a, 0.0447) if m == "cubic" else (a, b)
            t = np.tanh(k * (x + c * x**3))
            return like(dy * 0.5 * (1 + t + x * (1 - t * t) * k * (1 + 3 * c * x * x)), x)

        return backward

    return forward, variants(back, "root", "cubic"), [n(4, 5)]


@entry
def covariance_of_columns():
    def back(m):
        def backward(dy, z):
            both = 2 * dy if m == "symmetric" else dy + dy.T
            return z @ both / (len(z) - (0 if m == "n" else 1))

        return backward

    return centred_covariance, variants(back, "symmetric", "n"), [n(6, 4, scale=30) + 1000]


@entry
def logits_far_out():
    forward = lambda s, t: (np.maximum(s, 0) - s * t + np.log1p(np.exp(-np.abs(s))), (s, t))

    def back(m):
        def backward(dy, c):
            s, t = c
            d = dy * ((sigmoid(np.clip(s, -80, 80))) - t)
            return like(-d if m == "sign" else d, s), like(dy * s if m == "target" else -dy * s, s)

        return backward

    s, t = [0.0, 50.0, -50.0, 3.0, -0.1, 0.0], [1.0, 0.3, 0.2, 0.0, 0.5, 0.25]
    return forward, variants(back, "sign", "target"), [s, t]
