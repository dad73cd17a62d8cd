"""Wrong passes: activations, softmax, losses, normalisation."""

# ruff: noqa: RUF059
from __future__ import annotations

import numpy as np

from tests.verify.zoo_right_dense import KINKY, X, n, relu, sigmoid
from tests.verify.zoo_right_losses import (
    B3,
    G3,
    LABELS,
    batchnorm,
    batchnorm_back,
    layernorm,
    layernorm_back,
    normalise,
    real_batchnorm,
    softmax,
    xent,
    xent_back,
)
from tests.verify.zoo_wrong_dense import add

add("relu_mask_reversed", relu, lambda dy, x: dy * (x < 0), (X,), "x", "wrong|some-entries|zero")
add("relu_no_mask", relu, lambda dy, x: dy * 1.0, (X,), "x", "some-entries|wrong|overwritten")
add(
    "relu_at_kink_wrong",
    relu,
    lambda dy, x: dy * np.where(x > 0, 1, np.where(x == 0, 3.0, 0)),
    (KINKY,),
    "x",
    "some-entries|one-entry",
)
add("relu_sign_f32", relu, lambda dy, x: -dy * (x > 0), (X.astype("f"),), "x", "sign")
add(
    "abs_no_sign", lambda x: (np.abs(x), x), lambda dy, x: dy * 1.0, (X,), "x", "some-entries|wrong"
)
add("abs_zero", lambda x: (np.abs(x), x), lambda dy, x: 0 * dy, (X,), "x", "zero")
add("abs_half", lambda x: (np.abs(x), x), lambda dy, x: 0.5 * dy * np.sign(x), (X,), "x", "factor")
add(
    "abs_penalty_forgotten",
    lambda w, x: ((x * w).sum() + 0.1 * np.abs(w).sum(), (w, x)),
    lambda dy, c: (dy * c[1].sum(0), dy * np.broadcast_to(c[0], c[1].shape)),
    (G3, X),
    "w",
    "wrong|some-entries|dropped-term",
)
add("sigmoid_no_one_minus", sigmoid, lambda dy, s: dy * s, (X,), "x", "wrong")
add(
    "tanh_one_plus",
    lambda x: (np.tanh(x), np.tanh(x)),
    lambda dy, t: dy * (1 + t * t),
    (X,),
    "x",
    "wrong",
)
add("tanh_of_input", lambda x: (np.tanh(x), x), lambda dy, x: dy * (1 - x * x), (X,), "x", "wrong")
add(
    "exp_for_half",
    lambda m, v, e: (m + np.exp(v / 2) * e, (v, e)),
    lambda dy, c: (dy.copy(), dy * np.exp(c[0] / 2) * c[1], dy * np.exp(c[0] / 2)),
    (X, n(4, 3, seed=1), n(4, 3, seed=2)),
    "v",
    "factor",
)
add("softmax_diagonal_only", softmax, lambda dy, p: dy * p * (1 - p), (X,), "x", "wrong")
add("softmax_wrong_axis", softmax, lambda dy, p: p * (dy - (dy * p).sum(0)), (X,), "x", "wrong")
add(
    "softmax_no_p",
    softmax,
    lambda dy, p: dy - (dy * p).sum(-1, keepdims=True),
    (X,),
    "x",
    "wrong",
)
add("xent_no_mean", xent, lambda dy, c: 4 * xent_back(dy, c), (X, LABELS), "x", "factor")
add(
    "xent_upstream",
    xent,
    lambda dy, c: xent_back(1.0, c),
    (X, LABELS),
    "x",
    "upstream-ignored",
)
add("xent_no_label", xent, lambda dy, c: dy * c[0] / 4, (X, LABELS), "x", "some-entries")
add(
    "xent_f32_sign",
    xent,
    lambda dy, c: -xent_back(dy, c).astype("f"),
    (X.astype("f"), LABELS),
    "x",
    "sign",
)
add(
    "mse_no_two",
    lambda p, t: (((p - t) ** 2).mean(), p - t),
    lambda dy, d: (dy * d / d.size, -2 * dy * d / d.size),
    (X, n(4, 3, seed=9)),
    "p",
    "factor",
)
add(
    "mse_same_sign",
    lambda p, t: (((p - t) ** 2).mean(), p - t),
    lambda dy, d: (2 * dy * d / d.size, 2 * dy * d / d.size + 0),
    (X, n(4, 3, seed=9)),
    "t",
    "sign|swapped",
)


def norm_wrong(name, forward, backward, tensor, kinds, x=X):
    add(name, forward, backward, (x, G3.astype(x.dtype), B3.astype(x.dtype)), tensor, kinds)


def ln_parts(dy, cache):
    xh, s, gamma = cache
    return dy * gamma, xh, s, gamma


def ln_no_mean(dy, cache):
    d, xh, s, _ = ln_parts(dy, cache)
    return s * (d - xh * (d * xh).mean(1, keepdims=True)), (dy * xh).sum(0), dy.sum(0)


def ln_no_var(dy, cache):
    d, xh, s, _ = ln_parts(dy, cache)
    return s * (d - d.mean(1, keepdims=True)), (dy * xh).sum(0), dy.sum(0)


def ln_no_gamma(dy, cache):
    xh, s, _ = cache
    return (
        s * (dy - dy.mean(1, keepdims=True) - xh * (dy * xh).mean(1, keepdims=True)),
        (dy * xh).sum(0),
        dy.sum(0),
    )


def ln_no_s(dy, cache):
    d, xh, s, _ = ln_parts(dy, cache)
    return (
        d - d.mean(1, keepdims=True) - xh * (d * xh).mean(1, keepdims=True),
        (dy * xh).sum(0),
        dy.sum(0),
    )


def ln_batch_axis(dy, cache):
    d, xh, s, _ = ln_parts(dy, cache)
    return s * (d - d.mean(0) - xh * (d * xh).mean(0)), (dy * xh).sum(0), dy.sum(0)


def ln_gamma_no_sum(dy, cache):
    dx, dg, db = layernorm_back(dy, cache)
    return dx, dy * cache[0], db


def ln_gamma_x(dy, cache):
    dx, dg, db = layernorm_back(dy, cache)
    return dx, db.copy(), db


norm_wrong("layernorm_no_mean_term", layernorm, ln_no_mean, "x", "dropped-term")
norm_wrong("layernorm_no_variance_term", layernorm, ln_no_var, "x", "wrong|dropped-term")
norm_wrong("layernorm_no_gamma", layernorm, ln_no_gamma, "x", "wrong")
norm_wrong("layernorm_no_s", layernorm, ln_no_s, "x", "factor|wrong")
norm_wrong("layernorm_batch_axis", layernorm, ln_batch_axis, "x", "wrong")
norm_wrong("layernorm_gamma_not_summed", layernorm, ln_gamma_no_sum, "gamma", "shape")
norm_wrong("layernorm_gamma_is_beta", layernorm, ln_gamma_x, "gamma", "swapped|wrong")
norm_wrong("layernorm_f32_no_mean", layernorm, ln_no_mean, "x", "dropped-term|wrong", X.astype("f"))
norm_wrong("layernorm_offset_no_mean", layernorm, ln_no_mean, "x", "dropped-term|wrong", 1e6 + X)
norm_wrong(
    "batchnorm_eval_gradient",
    real_batchnorm,
    lambda dy, c: (dy * c[2] * c[1], (dy * c[0]).sum(0), dy.sum(0)),
    "x",
    "wrong",
)
norm_wrong(
    "batchnorm_var_half",
    batchnorm,
    lambda dy, c: (0.5 * batchnorm_back(dy, c)[0], *batchnorm_back(dy, c)[1:]),
    "x",
    "factor",
)
add("normalise_no_projection", normalise, lambda dy, c: dy / c[1], (X,), "x", "wrong|dropped-term")
