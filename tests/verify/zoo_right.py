"""Right passes of many kinds, at well-behaved and at nasty points: nothing may be said of them."""

# ruff: noqa: RUF059
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


# -- dense and friends ---------------------------------------------------------------------------
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


# -- activations -----------------------------------------------------------------------------------
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


# -- softmax and losses --------------------------------------------------------------------------
def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return p, p


def softmax_back(dy, p):
    return p * (dy - (dy * p).sum(-1, keepdims=True))


add("softmax", softmax, softmax_back, X)
add("softmax_f32", softmax, softmax_back, X.astype("f"))
add("softmax_saturated", softmax, softmax_back, 1e6 * X)
add("softmax_sharp", softmax, softmax_back, 30 * X)
add(
    "softmax_sum_zero_gradient",
    lambda x: (softmax(x)[0].sum(-1), softmax(x)[0]),
    lambda dy, p: softmax_back(np.broadcast_to(dy[:, None], p.shape), p),
    X,
)


def xent(x, labels):
    p, _ = softmax(x)
    return -np.log(p[np.arange(len(x)), labels]).mean(), (p, labels)


def xent_back(dy, cache):
    p, labels = cache
    d = p.copy()
    d[np.arange(len(p)), labels] -= 1
    return dy * d / len(p)


LABELS = np.array([0, 2, 1, 2])
add("cross_entropy_bare", xent, xent_back, X, LABELS)
add("cross_entropy_none", xent, lambda dy, c: (xent_back(dy, c), None), X, LABELS)
add("cross_entropy_f32", xent, lambda dy, c: (xent_back(dy, c).astype("f"),), X.astype("f"), LABELS)
add(
    "mse",
    lambda p, t: (((p - t) ** 2).mean(), p - t),
    lambda dy, d: (2 * dy * d / d.size, -2 * dy * d / d.size),
    X,
    n(4, 3, seed=9),
)
add(
    "mse_python_float",
    lambda p, t: (float(((p - t) ** 2).mean()), p - t),
    lambda dy, d: (2 * dy * d / d.size, -2 * dy * d / d.size),
    X,
    n(4, 3, seed=9),
)
add(
    "hinge",
    lambda x, y: (np.maximum(0, 1 - x * y).sum(), (x, y)),
    lambda dy, c: (dy * np.where(c[0] * c[1] < 1, -c[1], 0), None),
    np.array([1.0, 0.5, -2.0, 0.2]),
    np.array([1, 1, -1, -1]),
)
add(
    "l1_loss",
    lambda p, t: (np.abs(p - t).sum(), p - t),
    lambda dy, d: (dy * np.sign(d), -dy * np.sign(d)),
    X,
    n(4, 3, seed=2),
)
add(
    "bce_clipped",
    lambda p, t: (
        -(
            t * np.log(np.clip(p, 1e-7, 1 - 1e-7))
            + (1 - t) * np.log(1 - np.clip(p, 1e-7, 1 - 1e-7))
        ).mean(),
        (p, t),
    ),
    lambda dy, c: (dy * (c[0] - c[1]) / (c[0] * (1 - c[0])) / c[0].size, None),
    sigmoid(X)[0],
    (X > 0).astype(int),
)
add(
    "log_sum_exp",
    lambda x: (np.log(np.exp(x - x.max()).sum()) + x.max(), x),
    lambda dy, x: dy * np.exp(x - x.max()) / np.exp(x - x.max()).sum(),
    X,
)


# -- normalisation --------------------------------------------------------------------------------
def layernorm(x, gamma, beta, eps=1e-5):
    xc = x - x.mean(1, keepdims=True)
    s = 1 / np.sqrt((xc**2).mean(1, keepdims=True) + eps)
    return gamma * xc * s + beta, (xc * s, s, gamma)


def layernorm_back(dy, cache):
    xh, s, gamma = cache
    d = dy * gamma
    dx = s * (d - d.mean(1, keepdims=True) - xh * (d * xh).mean(1, keepdims=True))
    return dx, (dy * xh).sum(0), dy.sum(0)


def batchnorm(x, gamma, beta):
    xc = x - x.mean(0)
    s = 1 / np.sqrt(x.var(0) + 1e-5)
    return gamma * xc * s + beta, (xc * s, s, gamma)


def real_batchnorm(x, gamma, beta):
    xc = x - x.mean(0)
    s = 1 / np.sqrt((xc**2).mean(0) + 1e-5)
    return gamma * xc * s + beta, (xc * s, s, gamma)


def batchnorm_back(dy, cache):
    xh, s, gamma = cache
    d = dy * gamma
    return s * (d - d.mean(0) - xh * (d * xh).mean(0)), (dy * xh).sum(0), dy.sum(0)


G3, B3 = n(3, seed=4), n(3, seed=5)
for suffix, point in {
    "": X,
    "_offset": 1e6 + X,
    "_tiny": 1e-8 * X,
    "_huge": 1e6 * X,
    "_f32": X.astype("f"),
    "_f32_offset": (100 + X).astype("f"),
}.items():
    g3, b3 = G3.astype(point.dtype), B3.astype(point.dtype)
    add("layernorm" + suffix, layernorm, layernorm_back, point, g3, b3)
    add("batchnorm_var" + suffix, batchnorm, batchnorm_back, point, g3, b3)  # np.var conjugates
    add("batchnorm" + suffix, real_batchnorm, batchnorm_back, point, g3, b3)


def normalise(x):
    r = np.linalg.norm(x, axis=1, keepdims=True)
    return x / r, (x, r)


add(
    "l2_normalise_norm",
    normalise,
    lambda dy, c: dy / c[1] - c[0] * (dy * c[0]).sum(1, keepdims=True) / c[1] ** 3,
    X,
)
add(
    "l2_normalise_norm_f32",
    normalise,
    lambda dy, c: dy / c[1] - c[0] * (dy * c[0]).sum(1, keepdims=True) / c[1] ** 3,
    X.astype("f"),
)
add(
    "rmsnorm",
    lambda x, g: (g * x / np.sqrt((x**2).mean(-1, keepdims=True)), (x, g)),
    lambda dy, c: (
        lambda x, g, r: (
            dy * g / r - x * (dy * g * x).mean(-1, keepdims=True) / r**3,
            (dy * x / r).sum(0),
        )
    )(c[0], c[1], np.sqrt((c[0] ** 2).mean(-1, keepdims=True))),
    X,
    G3,
)


# -- attention, convolution, pooling, indexing -----------------------------------------------------
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


class Stateful:
    """Keeps its own cache, as layers in classes do."""

    def __init__(self):
        self.W = n(3, 2)

    def forward(self, x):
        self.x = x
        return x @ self.W, None

    def backward(self, dy, _):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


_layer = Stateful()
add("stateful_layer", _layer.forward, _layer.backward, X)


def rnn(x, h, U, R):
    hs = [h]
    for t in range(x.shape[1]):
        hs.append(np.tanh(x[:, t] @ U + hs[-1] @ R))
    return np.stack(hs[1:], 1), (x, hs, U, R)


def rnn_back(dy, cache):
    x, hs, U, R = cache
    dx, dU, dR, dh = np.zeros_like(x), np.zeros_like(U), np.zeros_like(R), 0
    for t in reversed(range(x.shape[1])):
        da = (dy[:, t] + dh) * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ U.T
        dU += x[:, t].T @ da
        dR += hs[t].T @ da
        dh = da @ R.T
    return dx, dh, dU, dR


add("rnn", rnn, rnn_back, n(2, 4, 3), n(2, 5), n(3, 5), 0.3 * n(5, 5))
add(
    "rnn_f32",
    rnn,
    rnn_back,
    *(a.astype("f") for a in (n(2, 4, 3), n(2, 5), n(3, 5), 0.3 * n(5, 5))),
)


def big(x, W1, W2):
    h = np.maximum(x @ W1, 0)
    return h @ W2, (x, h, W1, W2)


def big_back(dy, cache):
    x, h, W1, W2 = cache
    da = (dy @ W2.T) * (h > 0)
    return da @ W1.T, x.T @ da, h.T @ dy


add("large_mlp", big, big_back, n(32, 200), n(200, 150) / 14, n(150, 10) / 12)
add(
    "large_mlp_f32",
    big,
    big_back,
    *(a.astype("f") for a in (n(32, 200), n(200, 150) / 14, n(150, 10) / 12)),
)
add(
    "large_abs",
    lambda x, w: (np.abs(x @ w), (x, w)),
    lambda dy, c: ((dy * np.sign(c[0] @ c[1])) @ c[1].T, c[0].T @ (dy * np.sign(c[0] @ c[1]))),
    n(30, 200),
    n(200, 150),
)


def f32_only(*arrays):
    if any(a.dtype != np.float32 for a in arrays):
        raise TypeError("float32 only, as compiled kernels are")


def dense_f32(x, W, b):
    f32_only(x, W, b)
    return x @ W + b, (x, W)


def softmax_f32(x):
    f32_only(x)
    return softmax(x)


for size in (1, 1e-8, 1e6, 1e-3):
    small = (size * X).astype("f")
    add(f"dense_f32_only_{size:g}", dense_f32, dense_back, small, W.astype("f"), B.astype("f"))
    add(f"softmax_f32_only_{size:g}", softmax_f32, softmax_back, small)
    add(
        f"tanh_f32_only_{size:g}",
        lambda x: (f32_only(x), (np.tanh(x), np.tanh(x)))[1],
        lambda dy, t: dy * (1 - t * t),
        small,
    )
    add(f"relu_f32_only_{size:g}", lambda x: (f32_only(x), relu(x))[1], relu_back, small)
add("logaddexp", lambda x: (np.logaddexp(0, x), x), lambda dy, x: dy / (1 + np.exp(-x)), X)
add(
    "huber",
    lambda x: (np.where(np.abs(x) < 1, 0.5 * x * x, np.abs(x) - 0.5).sum(), x),
    lambda dy, x: dy * np.clip(x, -1, 1),
    X,
)
add(
    "product",
    lambda x: (np.prod(x, 1), x),
    lambda dy, x: dy[:, None] * np.prod(x, 1, keepdims=True) / x,
    X,
)
add(
    "standard_deviation",
    lambda x: (x.std(0), x),
    lambda dy, x: dy * (x - x.mean(0)) / len(x) / x.std(0),
    X,
)
add(
    "cholesky_logdet",
    lambda A: (2 * np.log(np.diag(np.linalg.cholesky(A @ A.T + np.eye(3)))).sum(), A),
    lambda dy, A: 2 * dy * np.linalg.inv(A @ A.T + np.eye(3)) @ A,
    n(3, 4),
)
add(
    "determinant",
    lambda A: (np.linalg.det(A), A),
    lambda dy, A: dy * np.linalg.det(A) * np.linalg.inv(A).T,
    n(3, 3),
)
add(
    "nuclear_norm",
    lambda A: (np.linalg.svd(A, compute_uv=False).sum(), A),
    lambda dy, A: (lambda u, s, v: dy * u @ v)(*np.linalg.svd(A, full_matrices=False)),
    n(3, 4),
)
add(
    "convolve",
    lambda x, w: (np.stack([np.convolve(v, w, "valid") for v in x]), (x, w)),
    lambda dy, c: (
        np.stack([np.convolve(d, c[1][::-1], "full") for d in dy]),
        sum(np.convolve(v, d[::-1], "valid") for v, d in zip(c[0], dy, strict=True))[::-1].copy(),
    ),
    n(3, 8),
    n(3),
)
add(
    "log_softmax",
    lambda x: (x - np.log(np.exp(x).sum(1, keepdims=True)), x),
    lambda dy, x: dy - np.exp(x) / np.exp(x).sum(1, keepdims=True) * dy.sum(1, keepdims=True),
    X,
)
add(
    "elu",
    lambda x: (np.where(x > 0, x, np.expm1(np.minimum(x, 0))), x),
    lambda dy, x: dy * np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
    X,
)
add(
    "mixed_precision",
    lambda x, W: (x @ W, (x, W)),
    lambda dy, c: ((dy @ c[1].T).astype("f"), c[0].T.astype(float) @ dy),
    X.astype("f"),
    W,
)
add(
    "f32_divided_by_numpy_scalar",
    lambda q, k: (q @ k.T / np.sqrt(q.shape[1]), (q, k)),
    lambda dy, c: (dy @ c[1] / np.sqrt(3), dy.T @ c[0] / np.sqrt(3)),
    Q.astype("f"),
    K.astype("f"),
)
add("half_precision", lambda x: (x * 2, None), lambda dy, _: dy * 2, X.astype(np.float16))
add(
    "fortran_order",
    lambda x, W: (x @ W, (x, W)),
    lambda dy, c: (dy @ c[1].T, c[0].T @ dy),
    np.asfortranarray(n(4, 3)),
    n(5, 3).T,
)
add(
    "maxout_ties",
    lambda x: (x.max(0), x.argmax(0)),
    lambda dy, i: (lambda d: (d.__setitem__((i, np.arange(3)), dy), d)[1])(np.zeros((4, 3))),
    np.round(X),
)
add(
    "even_split_of_ties",
    lambda x: (x.max(0), x),
    lambda dy, x: dy * (x == x.max(0)) / (x == x.max(0)).sum(0),
    np.round(X),
)
add("one_array_twice", lambda a, b: (a + b, None), lambda dy, _: (dy, dy), X, n(4, 3, seed=3))
add("upstream_itself", lambda a: (a + 1, None), lambda dy, _: dy, X)
