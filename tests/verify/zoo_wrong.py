"""Wrong passes of many kinds: name -> (forward, backward, inputs, tensor at fault, kinds that name it, index)."""

# ruff: noqa: E501, NPY002, RUF059
from __future__ import annotations

import numpy as np

from tests.verify import zoo_right as z

CASES: dict[str, tuple] = {}
X, W, B = z.X, z.W, z.B


def add(name, forward, backward, inputs, tensor, kinds, index=None):
    assert name not in CASES, name
    CASES[name] = (forward, backward, inputs, tensor, kinds.split("|"), index)


def dense(name, change, tensor, kinds, index=None, inputs=(X, W, B)):
    """The dense layer's right gradients, then `change(dx, dW, db, dy, x, W)`."""

    def backward(dy, cache):
        return change(*z.dense_back(dy, cache), dy, *cache)

    add(name, z.dense, backward, inputs, tensor, kinds, index)


def spoil(array, index, factor):
    out = array.copy()
    out[index] *= factor
    return out


dense("sign_W", lambda dx, dW, db, dy, x, W: (dx, -dW, db), "W", "sign")
dense("sign_x", lambda dx, dW, db, dy, x, W: (-dx, dW, db), "x", "sign")
dense("half_W", lambda dx, dW, db, dy, x, W: (dx, 0.5 * dW, db), "W", "factor")
dense("double_x", lambda dx, dW, db, dy, x, W: (2 * dx, dW, db), "x", "factor")
dense("mean_W", lambda dx, dW, db, dy, x, W: (dx, dW / len(dy), db), "W", "factor")
dense("mean_b", lambda dx, dW, db, dy, x, W: (dx, dW, dy.mean(0)), "b", "factor")
dense("constant_1e-9", lambda dx, dW, db, dy, x, W: (dx, dW * (1 + 1e-9), db), "W", "factor")
dense("constant_1e-10_x", lambda dx, dW, db, dy, x, W: (dx * (1 + 1e-10), dW, db), "x", "factor")
dense("zero_b", lambda dx, dW, db, dy, x, W: (dx, dW, 0 * db), "b", "zero")
dense(
    "one_entry_W",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (2, 1), 1 + 1e-6), db),
    "W",
    "one-entry",
    (2, 1),
)
dense(
    "one_entry_x",
    lambda dx, dW, db, dy, x, W: (spoil(dx, (3, 0), -1), dW, db),
    "x",
    "one-entry",
    (3, 0),
)
dense(
    "one_row_x", lambda dx, dW, db, dy, x, W: (spoil(dx, 2, 1.5), dW, db), "x", "some-entries", None
)
dense(
    "one_column_W",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (slice(None), 4), 0), db),
    "W",
    "some-entries",
)
dense("b_shape", lambda dx, dW, db, dy, x, W: (dx, dW, dy), "b", "shape")
dense("b_keepdims", lambda dx, dW, db, dy, x, W: (dx, dW, dy.sum(0, keepdims=True)), "b", "shape")
dense("W_transposed", lambda dx, dW, db, dy, x, W: (dx, dy.T @ x, db), "W", "shape")
dense("b_scalar", lambda dx, dW, db, dy, x, W: (dx, dW, dy.sum()), "b", "shape")
dense(
    "b_first_sample", lambda dx, dW, db, dy, x, W: (dx, dW, dy[0].copy()), "b", "missing-batch-sum"
)
dense(
    "b_lacks_last_sample",
    lambda dx, dW, db, dy, x, W: (dx, dW, dy[:-1].sum(0)),
    "b",
    "missing-sample",
)
dense(
    "b_upstream_ignored",
    lambda dx, dW, db, dy, x, W: (dx, dW, np.full(5, 4.0)),
    "b",
    "upstream-ignored",
)
dense(
    "W_upstream_ignored",
    lambda dx, dW, db, dy, x, W: (dx, x.T @ np.ones_like(dy), db),
    "W",
    "upstream-ignored",
)
dense(
    "upstream_mean",
    lambda dx, dW, db, dy, x, W: (dx, x.T @ np.full_like(dy, dy.mean()), db),
    "W",
    "upstream-ignored",
)
dense("swapped_order", lambda dx, dW, db, dy, x, W: (dx, db, dW), "W", "shape")
dense(
    "square_transposed_W",
    lambda dx, dW, db, dy, x, W: (dx, dW.T.copy(), db),
    "W",
    "transposed",
    None,
    (z.n(4, 3), z.n(3, 3), z.n(3)),
)
dense(
    "square_x_uses_W",
    lambda dx, dW, db, dy, x, W: (dy @ W, dW, db),
    "x",
    "wrong|dropped-term",
    None,
    (z.n(4, 3), z.n(3, 3), z.n(3)),
)
dense("decay_added", lambda dx, dW, db, dy, x, W: (dx, dW + 0.01 * W, db), "W", "not-linear")
dense("clipped", lambda dx, dW, db, dy, x, W: (dx, np.clip(dW, -1, 1), db), "W", "not-linear")
dense("float32_W", lambda dx, dW, db, dy, x, W: (dx, dW.astype("f"), db), "W", "dtype")
dense(
    "float32_inside",
    lambda dx, dW, db, dy, x, W: (dx, dW.astype("f").astype(float), db),
    "W",
    "precision",
)
dense("int_W", lambda dx, dW, db, dy, x, W: (dx, dW.astype(int), db), "W", "dtype")
dense("nan_b", lambda dx, dW, db, dy, x, W: (dx, dW, spoil(db, 3, np.nan)), "b", "nan", (3,))
dense("inf_x", lambda dx, dW, db, dy, x, W: (spoil(dx, (1, 2), np.inf), dW, db), "x", "nan", (1, 2))
dense("all_nan", lambda dx, dW, db, dy, x, W: (dx * np.nan, dW, db), "x", "nan", (0, 0))
dense("none_W", lambda dx, dW, db, dy, x, W: (dx, None, db), "W", "none")
dense("too_few", lambda dx, dW, db, dy, x, W: (dx, dW), "", "count")
dense("too_many", lambda dx, dW, db, dy, x, W: (dx, dW, db, db), "", "count")
dense("bare_array", lambda dx, dW, db, dy, x, W: dx, "", "count")
dense("nothing", lambda dx, dW, db, dy, x, W: None, "", "count|none")
dense("mutates_dy", lambda dx, dW, db, dy, x, W: (dy.__imul__(2), (dx, dW, db))[1], "dy", "mutates")
dense("mutates_x", lambda dx, dW, db, dy, x, W: (x.__imul__(2), (dx, dW, db))[1], "", "mutates")
dense("raises", lambda dx, dW, db, dy, x, W: (dx @ dx, dW, db), "", "error")
dense(
    "random_backward", lambda dx, dW, db, dy, x, W: (dx, dW * np.random.normal(), db), "W", "random"
)
dense(
    "f32_half_W",
    lambda dx, dW, db, dy, x, W: (dx, np.float32(0.5) * dW, db),
    "W",
    "factor",
    None,
    (X.astype("f"), W.astype("f"), B.astype("f")),
)
dense(
    "f32_one_entry",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (1, 3), np.float32(1.01)), db),
    "W",
    "one-entry",
    (1, 3),
    (X.astype("f"), W.astype("f"), B.astype("f")),
)
dense(
    "f32_upcast",
    lambda dx, dW, db, dy, x, W: (dx, dW.astype(float), db),
    "W",
    "dtype",
    None,
    (X.astype("f"), W.astype("f"), B.astype("f")),
)
dense(
    "tiny_one_entry",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (1, 3), 1.001), db),
    "W",
    "one-entry",
    (1, 3),
    (1e-8 * X, W, B),
)
dense(
    "huge_one_entry",
    lambda dx, dW, db, dy, x, W: (spoil(dx, (1, 2), 1.001), dW, db),
    "x",
    "one-entry",
    (1, 2),
    (1e6 * X, 1e-6 * W, B),
)
MIXED = X * np.array([[1e6], [1e-8], [1], [1e3]])
add(
    "mixed_rows_small_one_wrong",
    lambda x: (x**2, x),
    lambda dy, x: spoil(2 * x * dy, (1, 1), -1),
    (MIXED,),
    "x",
    "one-entry",
    (1, 1),
)

# -- forwards that are random, mutate, return the wrong thing ------------------------------------------
add(
    "random_forward",
    lambda x: (x + np.random.normal(size=x.shape), None),
    lambda dy, _: dy.copy(),
    (X,),
    "",
    "random",
)
add(
    "fresh_dropout",
    lambda x: (lambda m: (x * m, m))(np.random.random(x.shape) > 0.5),
    lambda dy, m: dy * m,
    (X,),
    "",
    "random",
)
add("mutating_forward", lambda x: (x.__imul__(2), None), lambda dy, _: 2 * dy, (X,), "x", "mutates")
add("no_pair", lambda x: 2 * x, lambda dy, _: 2 * dy, (X,), "", "structure")
add(
    "no_pair_scalar",
    lambda x: np.sum(x),
    lambda dy, _: dy * np.ones((4, 3)),
    (X,),
    "",
    "structure|scalar",
)
add("three_values", lambda x: (x, x, None), lambda dy, _: 2 * dy, (X,), "", "structure")
add(
    "scalar_for_array",
    lambda x: (np.sum(x * 2), None),
    lambda dy, _: 2 * dy[:, :],
    (X,),
    "y",
    "scalar",
)
add("forward_raises", lambda x: (x @ x, None), lambda dy, _: 2 * dy, (X,), "", "error")
add(
    "integer_input",
    lambda x: (2.0 * x, None),
    lambda dy, _: 2 * dy,
    (np.arange(6).reshape(2, 3),),
    "x",
    "integer",
)
add(
    "integer_with_float",
    lambda x, w: (x * w, (x, w)),
    lambda dy, c: (dy * c[1], dy * c[0]),
    (np.arange(6).reshape(2, 3), z.n(2, 3)),
    "x",
    "integer",
)
add(
    "empty_input",
    lambda x: (2.0 * x, None),
    lambda dy, _: 2 * dy,
    (np.zeros((0, 3)),),
    "x",
    "empty",
)
add(
    "nan_input",
    lambda x: (2.0 * x, None),
    lambda dy, _: 2 * dy,
    (np.array([1.0, np.nan]),),
    "x",
    "nan",
    (1,),
)
add("integer_output", lambda x: (x.argmax(1), x), lambda dy, x: 0 * x, (X,), "", "structure")
add(
    "accumulates",
    *(
        lambda s: (
            lambda x, w: (x * w, (x, w)),
            lambda dy, c: (
                s.__setitem__("dw", s["dw"] + (dy * c[0]).sum(0)),
                (dy * c[1], s["dw"].copy()),
            )[1],
        )
    )({"dw": 0.0}),
    (X, z.G3),
    "w",
    "random",
)

# -- dict parameters -------------------------------------------------------------------------------
PARAMS = {"W": W, "b": B}
add(
    "dict_wrong_leaf",
    z.affine_dict,
    lambda dy, c: ({"W": c[0].T @ dy, "b": dy.sum(0) * 2}, dy @ c[1]["W"].T),
    (PARAMS, X),
    "p.b",
    "factor",
)
add(
    "dict_missing_key",
    z.affine_dict,
    lambda dy, c: ({"W": c[0].T @ dy}, dy @ c[1]["W"].T),
    (PARAMS, X),
    "p.b",
    "count",
)
add(
    "dict_extra_key",
    z.affine_dict,
    lambda dy, c: ({"W": c[0].T @ dy, "b": dy.sum(0), "u": 1.0}, dy @ c[1]["W"].T),
    (PARAMS, X),
    "p.u",
    "structure",
)
add(
    "list_layers_second_wrong",
    z.mlp,
    lambda dy, c: (lambda g, dx: ([g[0], {**g[1], "W": -g[1]["W"]}], dx))(*z.mlp_back(dy, c)),
    ([{"W": W, "b": B}, {"W": z.n(5, 2), "b": z.n(2)}], X),
    "layers[1].W",
    "sign",
)
add(
    "namedtuple_swapped",
    z.pair,
    lambda dy, c: (z.Pair(dy.sum(0), (dy * c[1]).sum(0)), dy * c[0].scale),
    (z.Pair(z.n(3), z.n(3, seed=1)), X),
    "p.scale",
    "swapped",
)

# -- activations, softmax, losses --------------------------------------------------------------------
add("relu_mask_reversed", z.relu, lambda dy, x: dy * (x < 0), (X,), "x", "wrong|some-entries|zero")
add("relu_no_mask", z.relu, lambda dy, x: dy * 1.0, (X,), "x", "some-entries|wrong|overwritten")
add(
    "relu_at_kink_wrong",
    z.relu,
    lambda dy, x: dy * np.where(x > 0, 1, np.where(x == 0, 3.0, 0)),
    (z.KINKY,),
    "x",
    "some-entries|one-entry",
)
add("relu_sign_f32", z.relu, lambda dy, x: -dy * (x > 0), (X.astype("f"),), "x", "sign")
add(
    "abs_no_sign", lambda x: (np.abs(x), x), lambda dy, x: dy * 1.0, (X,), "x", "some-entries|wrong"
)
add("abs_zero", lambda x: (np.abs(x), x), lambda dy, x: 0 * dy, (X,), "x", "zero")
add("abs_half", lambda x: (np.abs(x), x), lambda dy, x: 0.5 * dy * np.sign(x), (X,), "x", "factor")
add(
    "abs_penalty_forgotten",
    lambda w, x: ((x * w).sum() + 0.1 * np.abs(w).sum(), (w, x)),
    lambda dy, c: (dy * c[1].sum(0), dy * np.broadcast_to(c[0], c[1].shape)),
    (z.G3, X),
    "w",
    "wrong|some-entries|dropped-term",
)
add("sigmoid_no_one_minus", z.sigmoid, lambda dy, s: dy * s, (X,), "x", "wrong")
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
    (X, z.n(4, 3, seed=1), z.n(4, 3, seed=2)),
    "v",
    "factor",
)
add("softmax_diagonal_only", z.softmax, lambda dy, p: dy * p * (1 - p), (X,), "x", "wrong")
add("softmax_wrong_axis", z.softmax, lambda dy, p: p * (dy - (dy * p).sum(0)), (X,), "x", "wrong")
add(
    "softmax_no_p",
    z.softmax,
    lambda dy, p: dy - (dy * p).sum(-1, keepdims=True),
    (X,),
    "x",
    "wrong",
)
add("xent_no_mean", z.xent, lambda dy, c: 4 * z.xent_back(dy, c), (X, z.LABELS), "x", "factor")
add(
    "xent_upstream",
    z.xent,
    lambda dy, c: z.xent_back(1.0, c),
    (X, z.LABELS),
    "x",
    "upstream-ignored",
)
add("xent_no_label", z.xent, lambda dy, c: dy * c[0] / 4, (X, z.LABELS), "x", "some-entries")
add(
    "xent_f32_sign",
    z.xent,
    lambda dy, c: -z.xent_back(dy, c).astype("f"),
    (X.astype("f"), z.LABELS),
    "x",
    "sign",
)
add(
    "mse_no_two",
    lambda p, t: (((p - t) ** 2).mean(), p - t),
    lambda dy, d: (dy * d / d.size, -2 * dy * d / d.size),
    (X, z.n(4, 3, seed=9)),
    "p",
    "factor",
)
add(
    "mse_same_sign",
    lambda p, t: (((p - t) ** 2).mean(), p - t),
    lambda dy, d: (2 * dy * d / d.size, 2 * dy * d / d.size + 0),
    (X, z.n(4, 3, seed=9)),
    "t",
    "sign|swapped",
)

# -- normalisation -----------------------------------------------------------------------------------


def norm_wrong(name, forward, backward, tensor, kinds, x=X):
    add(name, forward, backward, (x, z.G3.astype(x.dtype), z.B3.astype(x.dtype)), tensor, kinds)


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
    dx, dg, db = z.layernorm_back(dy, cache)
    return dx, dy * cache[0], db


def ln_gamma_x(dy, cache):
    dx, dg, db = z.layernorm_back(dy, cache)
    return dx, db.copy(), db


norm_wrong("layernorm_no_mean_term", z.layernorm, ln_no_mean, "x", "dropped-term")
norm_wrong("layernorm_no_variance_term", z.layernorm, ln_no_var, "x", "wrong|dropped-term")
norm_wrong("layernorm_no_gamma", z.layernorm, ln_no_gamma, "x", "wrong")
norm_wrong("layernorm_no_s", z.layernorm, ln_no_s, "x", "factor|wrong")
norm_wrong("layernorm_batch_axis", z.layernorm, ln_batch_axis, "x", "wrong")
norm_wrong("layernorm_gamma_not_summed", z.layernorm, ln_gamma_no_sum, "gamma", "shape")
norm_wrong("layernorm_gamma_is_beta", z.layernorm, ln_gamma_x, "gamma", "swapped|wrong")
norm_wrong(
    "layernorm_f32_no_mean", z.layernorm, ln_no_mean, "x", "dropped-term|wrong", X.astype("f")
)
norm_wrong("layernorm_offset_no_mean", z.layernorm, ln_no_mean, "x", "dropped-term|wrong", 1e6 + X)
norm_wrong(
    "batchnorm_eval_gradient",
    z.real_batchnorm,
    lambda dy, c: (dy * c[2] * c[1], (dy * c[0]).sum(0), dy.sum(0)),
    "x",
    "wrong",
)
norm_wrong(
    "batchnorm_var_half",
    z.batchnorm,
    lambda dy, c: (0.5 * z.batchnorm_back(dy, c)[0], *z.batchnorm_back(dy, c)[1:]),
    "x",
    "factor",
)
add(
    "normalise_no_projection", z.normalise, lambda dy, c: dy / c[1], (X,), "x", "wrong|dropped-term"
)

# -- attention, convolution, pooling, recurrence --------------------------------------------------------


def attention_wrong(name, change, tensor, kinds):
    add(
        name,
        z.attention,
        lambda dy, c: change(z.attention_back(dy, c), dy, c),
        (z.Q, z.K, z.V),
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
CONV = (z.n(2, 3, 5, 4), z.n(4, 3, 2, 3), z.n(4))


def conv_wrong(name, change, tensor, kinds):
    add(name, z.conv, lambda dy, c: change(*z.conv_back(dy, c), dy), CONV, tensor, kinds)


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
    return z.maxpool_back(dy, (r, r.argmin(-1)))


add("maxpool_argmin", z.maxpool, maxpool_min, (z.n(3, 8),), "x", "wrong|permuted")
add(
    "maxpool_all",
    z.maxpool,
    lambda dy, c: np.repeat(dy, 2, 1),
    (z.n(3, 8),),
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
    z.embed,
    embed_overwrites,
    (z.IDX, z.n(4, 3)),
    "W",
    "overwritten|missing-sample",
)
add(
    "embedding_plus_equals",
    z.embed,
    embed_buffered,
    (z.IDX, z.n(4, 3)),
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
    (z.n(3, 3) + 4 * np.eye(3), z.n(3, 2)),
    "b",
    "wrong",
)
add(
    "slogdet_not_transposed",
    lambda A: (np.linalg.slogdet(A)[1], A),
    lambda dy, A: dy * np.linalg.inv(A),
    (z.n(3, 3) + 4 * np.eye(3),),
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
    (X, z.n(4, 3, seed=1)),
    "x",
    "wrong",
)
add(
    "factor_missing_is_an_input",
    lambda x, g: (x**2 * g, (x, g)),
    lambda dy, c: (2 * dy * c[0], (dy * c[0] ** 2).sum(0)),
    (X, z.G3),
    "x",
    "dropped-factor",
)


def rnn_truncated(dy, cache):
    x, hs, U, R = cache
    g = list(z.rnn_back(dy, cache))
    dU = np.zeros_like(U)
    for t in reversed(range(x.shape[1])):
        dU += x[:, t].T @ (dy[:, t] * (1 - hs[t + 1] ** 2))
    g[2] = dU
    return tuple(g)


def rnn_last_step_only(dy, cache):
    x, hs, U, R = cache
    g = list(z.rnn_back(dy, cache))
    g[3] = hs[-2].T @ (dy[:, -1] * (1 - hs[-1] ** 2))
    return tuple(g)


RNN = (z.n(2, 4, 3), z.n(2, 5), z.n(3, 5), 0.3 * z.n(5, 5))
add("rnn_truncated", z.rnn, rnn_truncated, RNN, "U", "wrong")
add("rnn_last_step_only", z.rnn, rnn_last_step_only, RNN, "R", "wrong")
BIG = (z.n(32, 200), z.n(200, 150) / 14, z.n(150, 10) / 12)
add(
    "large_one_entry",
    z.big,
    lambda dy, c: (lambda g: (g[0], spoil(g[1], (117, 93), 1 + 1e-5), g[2]))(z.big_back(dy, c)),
    BIG,
    "W1",
    "one-entry",
    (117, 93),
)
add(
    "large_half",
    z.big,
    lambda dy, c: (lambda g: (g[0], g[1] / 2, g[2]))(z.big_back(dy, c)),
    BIG,
    "W1",
    "factor",
)
add(
    "large_f32_sign",
    z.big,
    lambda dy, c: (lambda g: (g[0], -g[1], g[2]))(z.big_back(dy, c)),
    tuple(a.astype("f") for a in BIG),
    "W1",
    "sign",
)
LARGE_ABS = z.CASES["large_abs"]
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
    z.dense,
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
add("bool_gradient", z.relu, lambda dy, x: x > 0, (X,), "x", "dtype")
add("text_for_a_gradient", lambda x: (2 * x, None), lambda dy, _: "no", (X,), "x", "structure")
add(
    "generator_of_gradients",
    lambda x, y: (x * y, (x, y)),
    lambda dy, c: (g for g in (dy * c[1], dy * c[0])),
    (X, z.n(4, 3, seed=2)),
    "",
    "count",
)
add("forward_returns_none", lambda x: None, lambda dy, _: dy, (X,), "", "structure")
add("forward_makes_nan", lambda x: (np.log(x), x), lambda dy, x: dy / x, (X,), "y", "nan")
F32 = (X.astype("f"), W.astype("f"), B.astype("f"))
dense("f32_only_half", lambda dx, dW, db, dy, x, W: (dx, dW / 2, db), "W", "factor", None, F32)
CASES["f32_only_half"] = (z.dense_f32, *CASES["f32_only_half"][1:])
dense(
    "f32_only_one_sign",
    lambda dx, dW, db, dy, x, W: (spoil(dx, (1, 1), np.float32(-1)), dW, db),
    "x",
    "one-entry",
    (1, 1),
    F32,
)
CASES["f32_only_one_sign"] = (z.dense_f32, *CASES["f32_only_one_sign"][1:])
