"""Right passes: softmax, losses, normalisation."""

from __future__ import annotations

import numpy as np

from tests.verify.zoo_right_dense import X, add, n, sigmoid


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
