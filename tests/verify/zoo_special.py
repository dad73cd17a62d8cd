"""Passes at special points, of large and small gradients, and after public bug reports.

`passes(dtype)` gives name -> (forward, right backward, {kind of mistake: wrong backward}, inputs,
options of `check`). Every forward and backward keeps the precision it is handed.
"""

# ruff: noqa: E501, E731
from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from tests.verify.zoo_tools import like, n, put, softmax, softmax_back, strided

ZOO: list = []


def entry(function):
    ZOO.append(function)
    return function


def elementwise(f, slope, **wrong):
    """A pass y = f(x), x' = dy * slope(x), and the wrong slopes."""

    def turned(s):
        return lambda dy, x: like(dy * s(x), x)

    return lambda x: (like(f(x), x), x), turned(slope), {k: turned(s) for k, s in wrong.items()}


# -- 1: only the very point is wrong -------------------------------------------------------------
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


# -- 2 and 6: many exact kinks, ties within and across tensors -----------------------------------
ZEROS = n(30, 30) * (np.random.default_rng(1).random((30, 30)) > 0.6)


@entry
def rectified_layer():
    def forward(x, W):
        y = np.tanh(np.maximum(x, 0) @ W)
        return y, (x, W, y)

    def back(mask, k=1.0):
        def backward(dy, c):
            x, W, y = c
            da = dy * (1 - y * y)
            return like((da @ W.T) * mask(x) * k, x), like(np.maximum(x, 0).T @ da, x)

        return backward

    return forward, back(lambda x: x > 0), {
        "at_kinks": back(lambda x: np.where(x == 0, 2.0, x > 0)),
        "no_mask": back(lambda x: 1.0 + 0 * x),
        "factor": back(lambda x: x > 0, 1.01),
    }, [ZEROS[:12], n(30, 7) / 6], {}  # fmt: skip


def hidden_layer(x, W):
    def forward(x, W, b, V):
        a = x @ W + b
        h = np.maximum(a, 0)
        return h @ V, (x, W, V, a, h)

    def back(mask):
        def backward(dy, c):
            x, W, V, a, h = c
            da = like((dy @ V.T) * mask(a), x)
            return da @ W.T, x.T @ da, da.sum(0), h.T @ dy

        return backward

    wrong = {"at_zero": back(lambda a: np.where(a == 0, 3.0, a > 0)), "no_mask": back(np.ones_like)}
    inputs = [x, W, np.zeros(W.shape[1]), n(W.shape[1], 2)]
    return forward, back(lambda a: a > 0), wrong, inputs, {}


@entry
def padded_rows():
    return hidden_layer(put(n(5, 3), slice(0, 2), 0.0), n(3, 6))


@entry
def whole_numbers():
    return hidden_layer(np.round(2 * n(6, 3, seed=2)), np.round(n(3, 5)))


@entry
def many_units_at_zero():
    forward, right, wrong, inputs, options = hidden_layer(put(n(4, 3), 1, 0.0), n(3, 60))
    return forward, right, {"no_mask": wrong["no_mask"]}, inputs, options


@entry
def even_split():
    f = lambda x: (x.max(), x)
    share = lambda dy, x: like(dy * (x == x.max()) / (x == x.max()).sum(), x)
    return f, share, {"all": lambda dy, x: like(dy * (x == x.max()), x),
                      "none": lambda dy, x: np.zeros_like(x)}, [np.full(300, 1.5)], {}  # fmt: skip


@entry
def first_of_ties():
    f = lambda x: (x.max(1), x)

    def first(dy, x):
        d = np.zeros_like(x)
        d[np.arange(len(x)), x.argmax(1)] = dy
        return d

    return (
        f,
        first,
        {"all": lambda dy, x: like(dy[:, None] * (x == x.max(1, keepdims=True)), x)},
        [np.round(n(5, 9))],
        {},
    )


A, C = np.array([1.0, 2.0, 3.0, -1.0, 0.0]), np.array([1.0, 5.0, 3.0, -2.0, 0.0])


@entry
def minimum_of_two():
    back = lambda at, bt: lambda dy, c: (like(dy * ((c[0] < c[1]) + at * (c[0] == c[1])), c[0]),
                                         like(dy * ((c[1] < c[0]) + bt * (c[0] == c[1])), c[0]))  # fmt: skip
    return lambda a, b: (np.minimum(a, b), (a, b)), back(0.5, 0.5), {
        "none": back(0, 0), "both": back(1, 1),
    }, [A, C], {}  # fmt: skip


@entry
def maximum_first_takes():
    back = lambda at, bt: lambda dy, c: (like(dy * ((c[0] > c[1]) + at * (c[0] == c[1])), c[0]),
                                         like(dy * ((c[1] > c[0]) + bt * (c[0] == c[1])), c[0]))  # fmt: skip
    return lambda a, b: (np.where(a >= b, a, b), (a, b)), back(1, 0), {
        "none": back(0, 0), "half_and_all": back(0.5, 1),
    }, [A, C], {}  # fmt: skip


@entry
def max_pool():
    x = np.round(2 * n(2, 3, 4, 6)) / 2

    def forward(x):
        r = x.reshape(2, 3, 2, 2, 3, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 2, 3, 4)
        return r.max(-1), (r, x.shape)

    def spread(g):
        return g.reshape(2, 3, 2, 3, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 4, 6)

    def first(dy, c):
        d = np.zeros_like(c[0])
        np.put_along_axis(d, c[0].argmax(-1)[..., None], dy[..., None], -1)
        return spread(d)

    def every(dy, c):
        return spread(like(dy[..., None] * (c[0] == c[0].max(-1, keepdims=True)), c[0]))

    return forward, first, {"all_ties": every, "half": lambda dy, c: first(dy, c) / 2}, [x], {}


@entry
def total_variation():
    x = np.round(n(5, 6))
    f = lambda x: (np.abs(np.diff(x, axis=1)).sum(1), x)

    def back(zero):
        def backward(dy, x):
            s = np.sign(np.diff(x, axis=1)) + zero * (np.diff(x, axis=1) == 0)
            g = np.zeros_like(x)
            g[:, 1:] += dy[:, None] * s
            g[:, :-1] -= dy[:, None] * s
            return like(g, x)

        return backward

    return f, back(0.0), {"at_ties": back(5.0)}, [x], {}


# -- 4: small gradients beside large outputs -----------------------------------------------------
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


# -- 5: what is excluded is a constant -----------------------------------------------------------
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


# -- 7: large ------------------------------------------------------------------------------------
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


# -- after public bug reports --------------------------------------------------------------------
@entry
def softcap_attention():
    def forward(q, k, v):
        s = q @ k.T
        t = np.tanh(s / 5)
        p = softmax(5 * t)
        return p @ v, (q, k, v, t, p)

    def back(cap):
        def backward(dy, c):
            q, k, v, t, p = c
            ds = softmax_back(dy @ v.T, p) * cap(t)
            return ds @ k, ds.T @ q, p.T @ dy

        return backward

    return (
        forward,
        back(lambda t: 1 - t * t),
        {"no_cap": back(lambda t: 1)},
        [n(4, 3), n(5, 3), n(5, 2)],
        {},
    )


@entry
def lstm():
    def forward(x, h, c, W):
        H, kept = h.shape[1], []
        for t in range(x.shape[1]):
            a = np.concatenate([x[:, t], h], 1) @ W
            i, f, o = (1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in range(3))
            g, old = np.tanh(a[:, 3 * H :]), (h, c)
            c = f * c + i * g
            h = o * np.tanh(c)
            kept.append((i, f, o, g, *old, c))
        return h, (x, W, kept)

    def back(forget):
        def backward(dh, cache):
            x, W, kept = cache
            dx, dW, dc = np.zeros_like(x), np.zeros_like(W), np.zeros_like(dh)
            for t in reversed(range(x.shape[1])):
                i, f, o, g, h0, c0, c = kept[t]
                dc = dc + dh * o * (1 - np.tanh(c) ** 2)
                da = np.concatenate([dc * g * i * (1 - i), dc * c0 * f * (1 - f),
                                     dh * np.tanh(c) * o * (1 - o), dc * i * (1 - g * g)], 1)  # fmt: skip
                dW += np.concatenate([x[:, t], h0], 1).T @ da
                d = da @ W.T
                dx[:, t], dh, dc = d[:, : x.shape[2]], d[:, x.shape[2] :], dc * forget(f)
            return dx, dh, dc, dW

        return backward

    return forward, back(lambda f: f), {"no_forget": back(lambda f: 1.0)}, [
        n(3, 5, 2), n(3, 4), n(3, 4, seed=1), n(6, 16) / 2], {}  # fmt: skip


@entry
def gru():
    def forward(x, h, W, U):
        z = 1 / (1 + np.exp(-(x @ W[0] + h @ U[0])))
        r = 1 / (1 + np.exp(-(x @ W[1] + h @ U[1])))
        c = np.tanh(x @ W[2] + (r * h) @ U[2])
        return (1 - z) * c + z * h, (x, h, W, U, z, r, c)

    def back(reset):
        def backward(dy, cache):
            x, h, W, U, z, r, c = cache
            da = dy * (1 - z) * (1 - c * c)
            dz = dy * (h - c) * z * (1 - z)
            drh = da @ U[2].T
            dr = drh * h * r * (1 - r)
            dx = da @ W[2].T + dz @ W[0].T + dr @ W[1].T
            dh = dy * z + drh * (r if reset else 1) + dz @ U[0].T + dr @ U[1].T
            dW = np.stack([x.T @ dz, x.T @ dr, x.T @ da])
            return dx, dh, dW, np.stack([h.T @ dz, h.T @ dr, (r * h).T @ da])

        return backward

    return (
        forward,
        back(True),
        {"no_reset": back(False)},
        [n(3, 2), n(3, 4), n(3, 2, 4), n(3, 4, 4)],
        {},
    )


@entry
def embedding():
    f = lambda i, W: (W[i], (i, W))

    def back(add):
        def backward(dy, c):
            g = np.zeros_like(c[1])
            np.add.at(g, c[0], dy) if add else g.__setitem__(c[0], dy)
            return None, g

        return backward

    return f, back(True), {"overwrites": back(False)}, [np.array([0, 3, 3, 1, 0]), n(5, 3)], {}


@entry
def cumulative_product():
    f = lambda x: (np.cumprod(x, 1), x)

    def back(inclusive):
        def backward(dy, x):
            w = dy * np.cumprod(x, 1)
            tail = np.cumsum(w[:, ::-1], 1)[:, ::-1]
            return like((tail if inclusive else tail - w) / x, x)

        return backward

    return f, back(True), {"exclusive": back(False)}, [0.5 + np.abs(n(3, 5))], {}


@entry
def focal_loss():
    def forward(x, t):
        p = 1 / (1 + np.exp(-x))
        q = np.where(t == 1, p, 1 - p)
        return -((1 - q) ** 2 * np.log(q)).mean(), (x, t, q)

    def back(k):
        def backward(dy, c):
            x, t, q = c
            dq = 2 * (1 - q) * np.log(q) * k - (1 - q) ** 2 / q
            return like(dy * dq * q * (1 - q) * np.where(t == 1, 1, -1) / x.size, x), None

        return backward

    return (
        forward,
        back(1),
        {"no_modulation": back(0)},
        [n(4, 3), (n(4, 3, seed=2) > 0).astype(int)],
        {},
    )


@entry
def covariance():
    def forward(x):
        c = x - x.mean(0)
        return c.T @ c / (len(x) - 1), c

    def back(m):
        return lambda dy, c: like(c @ (dy + dy.T) / (len(c) - 1 if m else len(c)), c)

    return forward, back(True), {"divides_by_n": back(False), "half": lambda dy, c: like(
        c @ dy / (len(c) - 1), c)}, [n(6, 3)], {}  # fmt: skip


@entry
def bilinear_sampling():
    def forward(image, at):
        i, j = np.floor(at[:, 0].real).astype(int), np.floor(at[:, 1].real).astype(int)
        u, v = at[:, 0] - i, at[:, 1] - j
        corners = image[i, j], image[i, j + 1], image[i + 1, j], image[i + 1, j + 1]
        a, b, c, d = corners
        y = a * (1 - u) * (1 - v) + b * (1 - u) * v + c * u * (1 - v) + d * u * v
        return y, (image, i, j, u, v, corners)

    def back(k):
        def backward(dy, cache):
            image, i, j, u, v, (a, b, c, d) = cache
            g = np.zeros_like(image)
            np.add.at(g, (i, j), dy * (1 - u) * (1 - v))
            np.add.at(g, (i, j + 1), dy * (1 - u) * v)
            np.add.at(g, (i + 1, j), dy * u * (1 - v))
            np.add.at(g, (i + 1, j + 1), dy * u * v)
            du = dy * ((c - a) * (1 - v) + (d - b) * v)
            dv = dy * ((b - a) * (1 - u) + k * (d - c) * u)
            return g, like(np.stack([du, dv], 1), image)

        return backward

    at = np.array([[0.3, 1.6], [2.2, 0.7], [1.5, 1.5], [0.9, 2.4]])
    return forward, back(1), {"one_term": back(-1)}, [n(5, 5), at], {}


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


def passes(dtype=np.float64, contiguous=True):
    """name -> (forward, right, wrong ones, inputs, options), in a precision and memory order."""
    found = {}
    for function in ZOO:
        forward, right, wrong, inputs, options = function()
        cast = [v.astype(dtype) if v.dtype.kind == "f" else v for v in map(np.asarray, inputs)]
        if not contiguous:
            cast = [strided(v) for v in cast]
        found[function.__name__] = SimpleNamespace(
            forward=forward, right=right, wrong=wrong, inputs=cast, options=options
        )
    return found
