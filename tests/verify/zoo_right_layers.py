"""Right passes: attention, convolution, pooling, look-ups, pieces of algebra."""

# ruff: noqa: RUF059
from __future__ import annotations

import math

import numpy as np

from tests.verify.zoo_right_dense import X, add, n, rng
from tests.verify.zoo_right_losses import G3, softmax, softmax_back


def attention(q, k, v):
    s = q @ k.T / np.sqrt(q.shape[1])
    p = softmax(s)[0]
    return p @ v, (q, k, v, p)


def attention_back(dy, cache, sqrt=np.sqrt):
    q, k, v, p = cache
    ds = softmax_back(dy @ v.T, p) / sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dy


Q, K, V = n(4, 3), n(5, 3), n(5, 2)
add("attention", attention, attention_back, Q, K, V)
add("attention_f32", attention, attention_back, Q.astype("f"), K.astype("f"), V.astype("f"))


def causal(q, k, v):
    s = q @ k.T / math.sqrt(q.shape[1])
    s = np.where(np.tri(len(q), len(k), dtype=bool), s, -np.inf)
    p = softmax(s)[0]
    return p @ v, (q, k, v, p)


def causal_back(dy, cache):
    return attention_back(dy, cache, math.sqrt)


add("causal_attention", causal, causal_back, n(4, 3), n(4, 3, seed=1), n(4, 2))


def conv(x, w, b):
    N, C, H, Wd = x.shape
    Fn, _, h, wd = w.shape
    y = np.zeros((N, Fn, H - h + 1, Wd - wd + 1))
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            patch = x[:, :, i : i + h, j : j + wd].reshape(N, -1)
            y[:, :, i, j] = patch @ w.reshape(Fn, -1).T + b
    return y, (x, w)


def conv_back(dy, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    h, wd = w.shape[2:]
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[:, :, i : i + h, j : j + wd] += np.einsum("nf,fchw->nchw", dy[:, :, i, j], w)
            dw += np.einsum("nf,nchw->fchw", dy[:, :, i, j], x[:, :, i : i + h, j : j + wd])
    return dx, dw, dy.sum((0, 2, 3))


add("conv_real_buffer", conv, conv_back, n(2, 3, 5, 4), n(4, 3, 2, 3), n(4))
add(
    "conv_f32_in_f64_buffer",
    conv,
    lambda dy, c: tuple(g.astype(c[0].dtype) for g in conv_back(dy, c)),
    n(2, 3, 5, 4).astype("f"),
    n(4, 3, 2, 3).astype("f"),
    n(4).astype("f"),
)


def maxpool(x):
    r = x.reshape(x.shape[0], x.shape[1] // 2, 2)
    return r.max(-1), (r, r.argmax(-1))


def maxpool_back(dy, cache):
    r, at = cache
    d = np.zeros_like(r)
    np.put_along_axis(d, at[..., None], dy[..., None], -1)
    return d.reshape(r.shape[0], -1)


add("maxpool", maxpool, maxpool_back, n(3, 8))
add(
    "maxpool_ties",
    maxpool,
    maxpool_back,
    np.array([[1.0, 1.0, 2.0, 0.5], [0.3, 0.3, -1.0, -1.0], [0.0, 0.0, 5.0, 4.0]]),
)


def embed(idx, W):
    return W[idx], (idx, W.shape)


def embed_back(dy, cache):
    d = np.zeros(cache[1], dtype=dy.dtype)
    np.add.at(d, cache[0], dy)
    return d


IDX = np.array([[0, 2, 2], [1, 2, 0]])
add("embedding_bare", embed, embed_back, IDX, n(4, 3))
add("embedding_none", embed, lambda dy, c: (None, embed_back(dy, c)), IDX, n(4, 3))
add("embedding_f32", embed, embed_back, IDX, n(4, 3).astype("f"))
add(
    "cumsum", lambda x: (np.cumsum(x, 1), None), lambda dy, _: np.cumsum(dy[:, ::-1], 1)[:, ::-1], X
)
add(
    "sort",
    lambda x: (np.sort(x, 1), np.argsort(x, 1)),
    lambda dy, o: (lambda d: (np.put_along_axis(d, o, dy, 1), d)[1])(np.zeros_like(dy)),
    X,
)
add(
    "median",
    lambda x: (np.median(x, 1), x),
    lambda dy, x: dy[:, None] * (x == np.median(x, 1, keepdims=True)),
    n(4, 3),
)
add(
    "dropout_mask",
    lambda x, m: (x * m / 0.8, m),
    lambda dy, m: (dy * m / 0.8, None),
    X,
    rng().random((4, 3)) > 0.2,
)
add("transpose_copy", lambda x: (x.T, None), lambda dy, _: dy.T.copy(), X)
add(
    "concat",
    lambda a, b: (np.concatenate([a, b], 1), a.shape[1]),
    lambda dy, k: (dy[:, :k].copy(), dy[:, k:].copy()),
    n(3, 2),
    n(3, 4),
)
add(
    "outputs_pytree",
    lambda x, w: ({"s": x * w, "t": (x.sum(), [w**2])}, (x, w)),
    lambda dy, c: (dy["s"] * c[1] + dy["t"][0], (dy["s"] * c[0]).sum(0) + 2 * dy["t"][1][0] * c[1]),
    X,
    G3,
)
add(
    "lstm_like_pair",
    lambda x, h: ((np.tanh(x + h), x * h), (x, h)),
    lambda dy, c: (
        dy[0] / np.cosh(c[0] + c[1]) ** 2 + dy[1] * c[1],
        dy[0] / np.cosh(c[0] + c[1]) ** 2 + dy[1] * c[0],
    ),
    X,
    n(4, 3, seed=1),
)
add("integer_side_output", lambda x: ((x**2, x.argmax(1)), x), lambda dy, x: 2 * x * dy[0], X)
add(
    "zero_dim_input",
    lambda x, c: (x * np.exp(c), (x, c)),
    lambda dy, c: (dy * np.exp(c[1]), np.sum(dy * c[0] * np.exp(c[1]))),
    X,
    np.array(0.3),
)
add("python_float_hyper", lambda x, k: (x * k, k), lambda dy, k: dy * k, X, 0.3)
add(
    "conv_param_dict",
    lambda x, p: (x * p["stride"], p),
    lambda dy, p: dy * p["stride"],
    X,
    {"stride": 3, "mode": "same"},
)
add(
    "solve",
    lambda A, b: (np.linalg.solve(A, b), (A, np.linalg.solve(A, b))),
    lambda dy, c: (-np.linalg.solve(c[0].T, dy) @ c[1].T, np.linalg.solve(c[0].T, dy)),
    n(3, 3) + 4 * np.eye(3),
    n(3, 2),
)
add(
    "slogdet",
    lambda A: (np.linalg.slogdet(A)[1], A),
    lambda dy, A: dy * np.linalg.inv(A).T,
    n(3, 3) + 4 * np.eye(3),
)
add(
    "fft_power",
    lambda x: ((np.abs(np.fft.rfft(x)) ** 2).sum(), x),
    lambda dy, x: (
        dy
        * np.fft.irfft(
            np.fft.rfft(x)
            * np.where(np.arange(4) == 0, 2, np.where(np.arange(4) == 3, 2, 2))
            * np.where((np.arange(4) == 0) | (np.arange(4) == 3), 1, 0.5)
            * len(x),
            len(x),
        )
    ),
    n(6),
)
add(
    "cast_inside_f32",
    lambda x: (np.sin(x.astype(np.float32)), x),
    lambda dy, x: (dy * np.cos(x)).astype(x.dtype),
    X.astype("f"),
)
add("reads_real_part", lambda x: (np.sum(x.real**2), x), lambda dy, x: 2 * dy * x, X)
add(
    "conj_dot",
    lambda x, y: (np.vdot(x, y), (x, y)),
    lambda dy, c: (dy * c[1], dy * c[0]),
    n(5),
    n(5, seed=2),
)
add(
    "loops_math",
    lambda x: (np.array([math.sin(v) for v in x]), x),
    lambda dy, x: dy * np.cos(x),
    n(5),
)
add(
    "fills_float_buffer",
    lambda x: ((lambda y: (y.__setitem__(slice(None), x**2), y)[1])(np.zeros(x.shape)), x),
    lambda dy, x: 2 * x * dy,
    X,
)
add("no_dependence", lambda x, u: (x**2, x), lambda dy, x: (2 * x * dy, np.zeros(3)), X, G3)
add(
    "piecewise_constant",
    lambda x: (np.where(x > 0, 1.0, -1.0) + 0 * x, x),
    lambda dy, x: np.zeros_like(x),
    X,
)
