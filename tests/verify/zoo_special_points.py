"""Passes at points where only one entry is wrong, at extreme scales, with what is excluded."""

# ruff: noqa: E501, E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, elementwise, like, n, put, softmax, softmax_back

ZOO, entry = collection()


POINTS = np.array([[2.0, 0.3, -1.0], [6.0, 0.0, 1.0], [-6.0, 1.7, 3.0], [0.5, -2.0, 4.5]])


@entry
def cube():
    return *elementwise(
        lambda x: x**3, lambda x: 3 * x * x,
        at_integers=lambda x: np.where(x == np.round(x), 100.0, 3 * x * x),
        at_two=lambda x: np.where(x == 2, 11.0, 3 * x * x),
    ), [POINTS], {}  # fmt: skip


@entry
def relu6():
    return *elementwise(
        lambda x: np.minimum(np.maximum(x, 0), 6), lambda x: 1.0 * ((x > 0) & (x < 6)),
        at_six=lambda x: np.where(x == 6, 6.0, (x > 0) & (x < 6)),
        at_zero=lambda x: np.where(x == 0, -1.0, (x > 0) & (x < 6)),
    ), [POINTS], {}  # fmt: skip


@entry
def relu6_closed():
    return *elementwise(
        lambda x: np.clip(x, 0, 6), lambda x: 1.0 * ((x >= 0) & (x <= 6)),
        no_upper=lambda x: 1.0 * (x >= 0),
    ), [put(POINTS, (0, 0), 8.0)], {}  # fmt: skip


@entry
def hard_swish():
    gate = lambda x: np.clip(x + 3, 0, 6) / 6
    return *elementwise(
        lambda x: x * gate(x), lambda x: gate(x) + x / 6 * ((x > -3) & (x < 3)),
        no_gate=lambda x: gate(x), at_border=lambda x: np.where(x == 3, -4.0, gate(x) + x / 6 * ((x > -3) & (x < 3))),
    ), [put(POINTS, (0, 0), -3.0)], {}  # fmt: skip


@entry
def hinge():
    x = np.array([1.0, 0.5, -2.0, 0.2, 3.0])
    y = np.array([1, 1, -1, -1, 1])
    forward = lambda x, y: (np.maximum(0, 1 - x * y), (x, y))
    back = lambda at: (
        lambda dy, c: like(
            dy * np.where(c[0] * c[1] == 1, at * c[1], -c[1] * (c[0] * c[1] < 1)), c[0]
        )
    )
    return forward, back(0.0), {"at_margin": back(3.0), "sign": back(1.0)}, [x, y], {}


@entry
def multi_hinge():
    scores = np.array([[2.0, 1.0, 0.5], [0.3, 1.3, 5.0], [1.0, -2.0, 2.0]])
    labels = np.array([0, 1, 2])

    def forward(s, labels):
        rows = np.arange(len(s))
        m = s - s[rows, labels][:, None] + 1
        m[rows, labels] = 0
        return np.maximum(m, 0).sum(1), (m, labels)

    def back(change):
        def backward(dy, c):
            m, labels = c
            g, rows = 1.0 * (m > 0), np.arange(len(m))
            g[rows, labels] = 0
            g[rows, labels] = -g.sum(1)
            return like(dy[:, None] * change(g, m), m)

        return backward

    return forward, back(lambda g, m: g), {
        "at_margin": back(lambda g, m: put(g, (0, 1), 5.0)),
        "no_own_class": back(lambda g, m: np.maximum(g, 0)),
    }, [scores, labels], {}  # fmt: skip


@entry
def logaddexp_tie():
    a, b = np.array([1.0, 2.0, 3.0, 0.0]), np.array([1.0, 2.5, -1.0, 0.0])
    share = lambda c: 1 / (1 + np.exp(c[1] - c[0]))
    right = lambda dy, c: (like(dy * share(c), c[0]), like(dy * (1 - share(c)), c[0]))
    one = lambda dy, c: (like(dy * np.where(c[0] == c[1], 1, share(c)), c[0]), right(dy, c)[1])
    return lambda a, b: (np.logaddexp(a, b), (a, b)), right, {"takes_all": one}, [a, b], {}


@entry
def smooth_l1():
    slope = lambda x: np.clip(x, -1, 1)
    return *elementwise(
        lambda x: np.where(np.abs(x) < 1, 0.5 * x * x, np.abs(x) - 0.5), slope,
        at_border=lambda x: np.where(x == 1, 2.0, slope(x)), no_clip=lambda x: x,
    ), [POINTS], {}  # fmt: skip


@entry
def absolute():
    return *elementwise(np.abs, np.sign, at_zero=lambda x: np.where(x == 0, 2.0, np.sign(x)),
                        no_sign=np.ones_like), [POINTS], {}  # fmt: skip


@entry
def leaky():
    return *elementwise(lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1, 0.1),
                        at_zero=lambda x: np.where(x > 0, 1, np.where(x == 0, 0, 0.1))), [POINTS], {}  # fmt: skip


@entry
def quantile_loss():
    p, t = n(6), n(6, seed=4)
    t[2] = p[2]
    f = lambda p, t: (np.maximum(0.9 * (t - p), -0.1 * (t - p)).mean(), (p, t))

    def back(zero):
        def backward(dy, c):
            g = np.where(c[1] > c[0], -0.9, np.where(c[1] == c[0], zero, 0.1)) * dy / len(c[0])
            return like(g, c[0]), like(-g, c[0])

        return backward

    return f, back(0.1), {"at_tie": back(0.7)}, [p, t], {}


@entry
def large_scale_and_bias():
    def forward(x, b):
        return like(1e6 * x + b, x), None

    back = lambda s: lambda dy, _: (like(1e6 * dy, dy), like(s * dy.sum(0), dy))
    return forward, back(1), {"bias_sign": back(-1), "bias_zero": back(0)}, [n(4, 3), n(3)], {}


@entry
def loss_and_weight_decay():
    def forward(w, r):
        return (r * r).sum() + 0.01 * (w * w).sum(), (w, r)

    back = lambda k: lambda dy, c: (like(k * dy * c[0], c[0]), like(2 * dy * c[1], c[1]))
    return forward, back(0.02), {"decay_sign": back(-0.02), "decay_half": back(0.01)}, [
        n(5), n(500, scale=100.0)], {}  # fmt: skip


@entry
def offset_output():
    return *elementwise(lambda x: 1e4 + np.sin(x), np.cos, sign=lambda x: -np.cos(x)), [n(4, 3)], {}


@entry
def mixed_scales():
    forward = lambda x, e: (like(x * 1e5 + e * e * 1e-3, x), e)
    back = lambda k: lambda dy, e: (like(1e5 * dy, e), like(k * e * dy, e))
    return forward, back(2e-3), {"factor": back(1e-3)}, [n(4, 3), n(4, 3, seed=8)], {}


@entry
def masked_attention():
    def forward(x, mask):
        p = softmax(x @ x.T + mask)
        return p @ x, (x, p)

    def back(k):
        def backward(dy, c):
            x, p = c
            ds = softmax_back(dy @ x.T, p)
            return like(k * (ds @ x) + ds.T @ x + p.T @ dy, x)

        return backward

    mask = np.where(np.tri(4) > 0, 0, -np.inf)
    return forward, back(1), {"half": back(0.5)}, [n(4, 3), mask], {"wrt": ["x"]}


@entry
def mask_given_none():
    forward, right, wrong, inputs, options = masked_attention()
    none = lambda back: lambda dy, c: (back(dy, c), None)
    return forward, none(right), {k: none(w) for k, w in wrong.items()}, inputs, options


@entry
def frozen_weights():
    f = lambda x, W: (np.maximum(x @ W, 0), (x, W))
    back = lambda k: lambda dy, c: {"x": like(k * (dy * (c[0] @ c[1] > 0)) @ c[1].T, c[0])}
    return f, back(1), {"sign": back(-1)}, [n(4, 3), n(3, 5)], {"wrt": ["x"]}


@entry
def large_norm():
    f = lambda x: (np.linalg.norm(x, axis=1, keepdims=True), x)
    right = lambda dy, x: like(dy * x / np.linalg.norm(x, axis=1, keepdims=True), x)

    def one_off(dy, x):
        g = right(dy, x)
        g[17, 33] *= like(1.1, x)
        return g

    return f, right, {"one_entry": one_off}, [n(256, 100)], {}


@entry
def large_softmax():
    f = lambda x: (lambda p: (p, p))(softmax(x))
    return f, softmax_back, {"no_sum": lambda dy, p: p * dy}, [n(100, 250)], {}
