"""Right passes: dense layers with every form of parameters, and activations."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np

F = np.float64
CASES: dict[str, tuple] = {}


def rng(seed=7):
    return np.random.default_rng(seed)


def add(name, forward, backward, *inputs):
    assert name not in CASES, name
    CASES[name] = (forward, backward, inputs)


def n(*shape, seed=7):
    return rng(seed + sum(shape)).normal(size=shape)


def dense(x, W, b):
    return x @ W + b, (x, W)


def dense_back(dy, cache):
    x, W = cache
    return dy @ W.T, x.T @ dy, dy.sum(0)


X, W, B = n(4, 3), n(3, 5), n(5)
add("dense", dense, dense_back, X, W, B)
add("dense_tiny", dense, dense_back, 1e-8 * X, W, B)
add("dense_huge", dense, dense_back, 1e6 * X, 1e-6 * W, B)
add("dense_mixed_rows", dense, dense_back, X * np.array([[1e6], [1e-8], [1], [1e3]]), W, B)
add("dense_f32", dense, dense_back, X.astype("f"), W.astype("f"), B.astype("f"))
add("dense_f32_tiny", dense, dense_back, (1e-8 * X).astype("f"), W.astype("f"), B.astype("f"))
add("dense_zero_bias", dense, dense_back, X, W, 0 * B)
add("dense_square", dense, dense_back, n(3, 3), n(3, 3), n(3))
add("dense_one", dense, dense_back, n(1, 1), n(1, 1), n(1))


def affine_dict(p, x):
    return x @ p["W"] + p["b"], (x, p)


def affine_dict_back(dy, cache):
    x, p = cache
    return {"W": x.T @ dy, "b": dy.sum(0)}, dy @ p["W"].T


add("dict_params", affine_dict, affine_dict_back, {"W": W, "b": B}, X)


def mlp(layers, x):
    saved = []
    for layer in layers:
        a = x @ layer["W"] + layer["b"]
        saved.append((x, a))
        x = np.tanh(a)
    return x, (layers, saved)


def mlp_back(dy, cache):
    layers, saved = cache
    grads = []
    for layer, (x, a) in zip(reversed(layers), reversed(saved), strict=True):
        da = dy / np.cosh(a) ** 2
        grads.append({"W": x.T @ da, "b": da.sum(0)})
        dy = da @ layer["W"].T
    return grads[::-1], dy


add("list_of_dicts", mlp, mlp_back, [{"W": W, "b": B}, {"W": n(5, 2), "b": n(2)}], X)
Pair = namedtuple("Pair", "scale shift")


def pair(p, x):
    return p.scale * x + p.shift, (p, x)


def pair_back(dy, cache):
    p, x = cache
    return Pair((dy * x).sum(0), dy.sum(0)), dy * p.scale


add("namedtuple_params", pair, pair_back, Pair(n(3), n(3, seed=1)), X)
add(
    "one_dict_alone",
    lambda p: (p["a"] * p["b"], p),
    lambda dy, p: {"a": dy * p["b"], "b": dy * p["a"]},
    {"a": n(4), "b": n(4, seed=3)},
)


def relu(x):
    return np.maximum(x, 0), x


def relu_back(dy, x):
    return dy * (x > 0)


KINKY = np.array([[0.0, 1e-12, -1e-12, 0.5], [-0.7, 1e-300, -0.0, 2.0], [1e-7, -1e-7, 3.0, -3.0]])
add("relu", relu, relu_back, X)
add("relu_at_kinks", relu, relu_back, KINKY)
add("relu_f32", relu, relu_back, X.astype("f"))
add("relu_f32_kinks", relu, relu_back, KINKY.astype("f"))
add("relu_where", lambda x: (np.where(x > 0, x, 0), x), relu_back, KINKY)
add("relu_times_mask", lambda x: (x * (x > 0), x > 0), lambda dy, m: dy * m, X)
add(
    "relu_half_at_zero",
    relu,
    lambda dy, x: dy * np.where(x > 0, 1, np.where(x == 0, 0.5, 0)),
    KINKY,
)
add(
    "leaky",
    lambda x: (np.where(x > 0, x, 0.01 * x), x),
    lambda dy, x: dy * np.where(x > 0, 1, 0.01),
    KINKY,
)
add("abs", lambda x: (np.abs(x), x), lambda dy, x: dy * np.sign(x), X)
add("abs_at_kinks", lambda x: (np.abs(x), x), lambda dy, x: dy * np.sign(x), KINKY)
add("abs_f32", lambda x: (np.abs(x), x), lambda dy, x: dy * np.sign(x), X.astype("f"))
add("abs_tiny", lambda x: (np.abs(x), x), lambda dy, x: dy * np.sign(x), 1e-8 * X)
add("clip", lambda x: (np.clip(x, -1, 1), x), lambda dy, x: dy * ((x > -1) & (x < 1)), 2 * X)


def sigmoid(x):
    s = 1 / (1 + np.exp(-x))
    return s, s


def sigmoid_back(dy, s):
    return dy * s * (1 - s)


add("sigmoid", sigmoid, sigmoid_back, X)
add("sigmoid_tails", sigmoid, sigmoid_back, 15 * X)
add("sigmoid_overflow", sigmoid, sigmoid_back, 1e6 * X)
add("sigmoid_f32", sigmoid, sigmoid_back, (4 * X).astype("f"))
add("tanh_saturated", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, t: dy * (1 - t * t), 20 * X)
add(
    "tanh_all_saturated",
    lambda x: (np.tanh(x), np.tanh(x)),
    lambda dy, t: dy * (1 - t * t),
    25 + np.abs(X),
)
add("tanh_tiny", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, t: dy * (1 - t * t), 1e-8 * X)
add("tanh_huge", lambda x: (np.tanh(x), np.tanh(x)), lambda dy, t: dy * (1 - t * t), 1e6 * X)
add(
    "softplus_abs",
    lambda x: (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), x),
    lambda dy, x: dy / (1 + np.exp(-x)),
    X,
)
add(
    "gelu_tanh",
    lambda x: (0.5 * x * (1 + np.tanh(0.8 * (x + 0.04 * x**3))), x),
    lambda dy, x: (
        dy
        * (
            0.5 * (1 + np.tanh(0.8 * (x + 0.04 * x**3)))
            + 0.5 * x / np.cosh(0.8 * (x + 0.04 * x**3)) ** 2 * 0.8 * (1 + 0.12 * x**2)
        )
    ),
    X,
)
erf = np.vectorize(math.erf)
add(
    "gelu_math_erf",
    lambda x: (0.5 * x * (1 + erf(x / math.sqrt(2))), x),
    lambda dy, x: (
        dy * (0.5 * (1 + erf(x / math.sqrt(2))) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))
    ),
    X,
)
add("sin_of_huge", lambda x: (np.sin(x), x), lambda dy, x: dy * np.cos(x), 1e6 * X)
add("square_tiny_output", lambda x: (1e-12 * x**2, x), lambda dy, x: 2e-12 * dy * x, X)
add("square_huge_output", lambda x: (1e12 * x**2, x), lambda dy, x: 2e12 * dy * x, X)
add("log", lambda x: (np.log(x), x), lambda dy, x: dy / x, np.abs(X) + 0.1)
add("log_tiny", lambda x: (np.log(x), x), lambda dy, x: dy / x, 1e-8 * (np.abs(X) + 0.1))
add(
    "sqrt_huge",
    lambda x: (np.sqrt(x), x),
    lambda dy, x: dy / (2 * np.sqrt(x)),
    1e6 * (np.abs(X) + 0.1),
)
add("offset", lambda x: (1e6 + np.sin(x), x), lambda dy, x: dy * np.cos(x), X)
