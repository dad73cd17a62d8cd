"""Wrong passes: recurrences, large ones, ties, wrong types and structures."""

# ruff: noqa: RUF059
from __future__ import annotations

import numpy as np

from tests.verify.zoo_right import CASES as RIGHT
from tests.verify.zoo_right_dense import B, W, X, dense, n, relu
from tests.verify.zoo_right_forms import big, big_back, dense_f32, rnn, rnn_back
from tests.verify.zoo_wrong_dense import CASES, add, dense_wrong, spoil


def rnn_truncated(dy, cache):
    x, hs, U, R = cache
    g = list(rnn_back(dy, cache))
    dU = np.zeros_like(U)
    for t in reversed(range(x.shape[1])):
        dU += x[:, t].T @ (dy[:, t] * (1 - hs[t + 1] ** 2))
    g[2] = dU
    return tuple(g)


def rnn_last_step_only(dy, cache):
    x, hs, U, R = cache
    g = list(rnn_back(dy, cache))
    g[3] = hs[-2].T @ (dy[:, -1] * (1 - hs[-1] ** 2))
    return tuple(g)


RNN = (n(2, 4, 3), n(2, 5), n(3, 5), 0.3 * n(5, 5))
add("rnn_truncated", rnn, rnn_truncated, RNN, "U", "wrong")
add("rnn_last_step_only", rnn, rnn_last_step_only, RNN, "R", "wrong")
BIG = (n(32, 200), n(200, 150) / 14, n(150, 10) / 12)
add(
    "large_one_entry",
    big,
    lambda dy, c: (lambda g: (g[0], spoil(g[1], (117, 93), 1 + 1e-5), g[2]))(big_back(dy, c)),
    BIG,
    "W1",
    "one-entry",
    (117, 93),
)
add(
    "large_half",
    big,
    lambda dy, c: (lambda g: (g[0], g[1] / 2, g[2]))(big_back(dy, c)),
    BIG,
    "W1",
    "factor",
)
add(
    "large_f32_sign",
    big,
    lambda dy, c: (lambda g: (g[0], -g[1], g[2]))(big_back(dy, c)),
    tuple(a.astype("f") for a in BIG),
    "W1",
    "sign",
)
LARGE_ABS = RIGHT["large_abs"]
add(
    "large_abs_one_entry",
    LARGE_ABS[0],
    lambda dy, c: (lambda g: (g[0], spoil(g[1], (17, 93), 3)))(LARGE_ABS[1](dy, c)),
    LARGE_ABS[2],
    "w",
    "one-entry",
    (17, 93),
)


def one_sample(dy, cache):
    x, W = cache
    share = dy.copy()
    share[2] *= 3
    return dy @ W.T, x.T @ share, dy.sum(0)


add(
    "one_sample_weighs_thrice",
    dense,
    one_sample,
    (X, W, B),
    "W",
    "wrong|dropped-term|missing-sample",
)


TIES = np.round(np.array([[1.2, 0.4, -2.0], [0.9, 2.3, -1.0], [-1.0, 1.9, -1.0], [0.0, 2.1, -3.0]]))
add(
    "ties_each_take_all",
    lambda x: (x.max(0), x),
    lambda dy, x: dy * (x == x.max(0)),
    (TIES,),
    "x",
    "ties",
)
add(
    "std_no_mean",
    lambda x: (x.std(0), x),
    lambda dy, x: dy * (x - x.mean(0)) / x.std(0),
    (X,),
    "x",
    "factor",
)
add(
    "variance_half",
    lambda x: (x.var(0), x),
    lambda dy, x: dy * (x - x.mean(0)) / len(x),
    (X,),
    "x",
    "factor",
)
add(
    "huber_no_clip",
    lambda x: (np.where(np.abs(x) < 1, 0.5 * x * x, np.abs(x) - 0.5).sum(), x),
    lambda dy, x: dy * x,
    (X,),
    "x",
    "some-entries|wrong",
)
add(
    "norm_not_divided",
    lambda x: (np.linalg.norm(x, axis=1), x),
    lambda dy, x: dy[:, None] * x,
    (X,),
    "x",
    "factor|wrong",
)
add(
    "errors_sum_to_zero",
    lambda x: (x**2, x),
    lambda dy, x: 2 * x * dy + np.array([1, -2, 1]) * dy.mean() * 1e-4,
    (X,),
    "x",
    "wrong|dropped-term",
)
add("bool_gradient", relu, lambda dy, x: x > 0, (X,), "x", "dtype")
add("text_for_a_gradient", lambda x: (2 * x, None), lambda dy, _: "no", (X,), "x", "structure")
add(
    "generator_of_gradients",
    lambda x, y: (x * y, (x, y)),
    lambda dy, c: (g for g in (dy * c[1], dy * c[0])),
    (X, n(4, 3, seed=2)),
    "",
    "count",
)
add("forward_returns_none", lambda x: None, lambda dy, _: dy, (X,), "", "structure")
add("forward_makes_nan", lambda x: (np.log(x), x), lambda dy, x: dy / x, (X,), "y", "nan")
F32 = (X.astype("f"), W.astype("f"), B.astype("f"))
dense_wrong(
    "f32_only_half", lambda dx, dW, db, dy, x, W: (dx, dW / 2, db), "W", "factor", None, F32
)
CASES["f32_only_half"] = (dense_f32, *CASES["f32_only_half"][1:])
dense_wrong(
    "f32_only_one_sign",
    lambda dx, dW, db, dy, x, W: (spoil(dx, (1, 1), np.float32(-1)), dW, db),
    "x",
    "one-entry",
    (1, 1),
    F32,
)
CASES["f32_only_one_sign"] = (dense_f32, *CASES["f32_only_one_sign"][1:])
