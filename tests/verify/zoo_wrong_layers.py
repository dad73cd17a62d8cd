"""Wrong passes: attention, convolution, pooling, look-ups."""

from __future__ import annotations

import numpy as np

from tests.verify.zoo_right_dense import X, n
from tests.verify.zoo_right_layers import (
    IDX,
    K,
    Q,
    V,
    attention,
    attention_back,
    conv,
    conv_back,
    embed,
    maxpool,
    maxpool_back,
)
from tests.verify.zoo_right_losses import G3
from tests.verify.zoo_wrong_dense import add, spoil


def attention_wrong(name, change, tensor, kinds):
    add(
        name,
        attention,
        lambda dy, c: change(attention_back(dy, c), dy, c),
        (Q, K, V),
        tensor,
        kinds,
    )


attention_wrong(
    "attention_no_scale", lambda g, dy, c: (g[0] * np.sqrt(3), g[1], g[2]), "q", "factor"
)
attention_wrong("attention_k_sign", lambda g, dy, c: (g[0], -g[1], g[2]), "k", "sign")
attention_wrong(
    "attention_v_no_p",
    lambda g, dy, c: (g[0], g[1], np.ones((5, 4)) @ dy),
    "v",
    "wrong|upstream-ignored|factor",
)
attention_wrong(
    "attention_last_key", lambda g, dy, c: (g[0], spoil(g[1], -1, 0), g[2]), "k", "some-entries"
)
CONV = (n(2, 3, 5, 4), n(4, 3, 2, 3), n(4))


def conv_wrong(name, change, tensor, kinds):
    add(name, conv, lambda dy, c: change(*conv_back(dy, c), dy), CONV, tensor, kinds)


conv_wrong(
    "conv_flipped", lambda dx, dw, db, dy: (dx, dw[:, :, ::-1, ::-1].copy(), db), "w", "permuted"
)
conv_wrong("conv_bias_mean", lambda dx, dw, db, dy: (dx, dw, dy.sum((2, 3)).mean(0)), "b", "factor")
conv_wrong(
    "conv_bias_spatial", lambda dx, dw, db, dy: (dx, dw, dy[:, :, 0, 0].sum(0)), "b", "wrong"
)
conv_wrong(
    "conv_border",
    lambda dx, dw, db, dy: (spoil(dx, (slice(None), slice(None), -1), 0), dw, db),
    "x",
    "some-entries",
)
conv_wrong("conv_half", lambda dx, dw, db, dy: (dx, dw / 2, db), "w", "factor")


def maxpool_min(dy, cache):
    r, _ = cache
    return maxpool_back(dy, (r, r.argmin(-1)))


add("maxpool_argmin", maxpool, maxpool_min, (n(3, 8),), "x", "wrong|permuted")
add(
    "maxpool_all",
    maxpool,
    lambda dy, c: np.repeat(dy, 2, 1),
    (n(3, 8),),
    "x",
    "some-entries|wrong",
)


def embed_overwrites(dy, cache):
    d = np.zeros(cache[1])
    d[cache[0]] = dy
    return d


def embed_buffered(dy, cache):
    d = np.zeros(cache[1])
    d[cache[0]] += dy
    return d


add(
    "embedding_overwrites",
    embed,
    embed_overwrites,
    (IDX, n(4, 3)),
    "W",
    "overwritten|missing-sample",
)
add(
    "embedding_plus_equals",
    embed,
    embed_buffered,
    (IDX, n(4, 3)),
    "W",
    "overwritten|missing-sample",
)
add(
    "cumsum_not_reversed",
    lambda x: (np.cumsum(x, 1), None),
    lambda dy, _: np.cumsum(dy, 1),
    (X,),
    "x",
    "wrong|some-entries",
)
add(
    "sort_forgets_order",
    lambda x: (np.sort(x, 1), None),
    lambda dy, _: dy * 1.0,
    (X,),
    "x",
    "permuted|wrong|some-entries",
)
add(
    "sum_not_mean",
    lambda x: (x.mean(1), x),
    lambda dy, x: np.repeat(dy[:, None], 3, 1),
    (X,),
    "x",
    "factor",
)
add(
    "solve_not_transposed",
    lambda A, b: (np.linalg.solve(A, b), (A, np.linalg.solve(A, b))),
    lambda dy, c: (-np.linalg.solve(c[0].T, dy) @ c[1].T, np.linalg.solve(c[0], dy)),
    (n(3, 3) + 4 * np.eye(3), n(3, 2)),
    "b",
    "wrong",
)
add(
    "slogdet_not_transposed",
    lambda A: (np.linalg.slogdet(A)[1], A),
    lambda dy, A: dy * np.linalg.inv(A),
    (n(3, 3) + 4 * np.eye(3),),
    "A",
    "transposed",
)
add(
    "cast_f32_half",
    lambda x: (np.sin(x.astype(np.float32)), x),
    lambda dy, x: (0.5 * dy * np.cos(x)).astype(x.dtype),
    (X.astype("f"),),
    "x",
    "factor",
)
add(
    "two_outputs_one_dropped",
    lambda x, h: ((np.tanh(x + h), x * h), (x, h)),
    lambda dy, c: (
        dy[0] / np.cosh(c[0] + c[1]) ** 2,
        dy[0] / np.cosh(c[0] + c[1]) ** 2 + dy[1] * c[0],
    ),
    (X, n(4, 3, seed=1)),
    "x",
    "wrong",
)
add(
    "factor_missing_is_an_input",
    lambda x, g: (x**2 * g, (x, g)),
    lambda dy, c: (2 * dy * c[0], (dy * c[0] ** 2).sum(0)),
    (X, G3),
    "x",
    "dropped-factor",
)
