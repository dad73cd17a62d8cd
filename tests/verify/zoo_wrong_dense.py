"""Wrong passes: name -> (forward, backward, inputs, tensor at fault, kinds that name it, index)."""

# ruff: noqa: NPY002
from __future__ import annotations

import numpy as np

from tests.verify.zoo_right_dense import B, W, X, dense, dense_back, n

CASES: dict[str, tuple] = {}


def add(name, forward, backward, inputs, tensor, kinds, index=None):
    assert name not in CASES, name
    CASES[name] = (forward, backward, inputs, tensor, kinds.split("|"), index)


def dense_wrong(name, change, tensor, kinds, index=None, inputs=(X, W, B)):
    """The dense layer's right gradients, then `change(dx, dW, db, dy, x, W)`."""

    def backward(dy, cache):
        return change(*dense_back(dy, cache), dy, *cache)

    add(name, dense, backward, inputs, tensor, kinds, index)


def spoil(array, index, factor):
    out = array.copy()
    out[index] *= factor
    return out


dense_wrong("sign_W", lambda dx, dW, db, dy, x, W: (dx, -dW, db), "W", "sign")
dense_wrong("sign_x", lambda dx, dW, db, dy, x, W: (-dx, dW, db), "x", "sign")
dense_wrong("half_W", lambda dx, dW, db, dy, x, W: (dx, 0.5 * dW, db), "W", "factor")
dense_wrong("double_x", lambda dx, dW, db, dy, x, W: (2 * dx, dW, db), "x", "factor")
dense_wrong("mean_W", lambda dx, dW, db, dy, x, W: (dx, dW / len(dy), db), "W", "factor")
dense_wrong("mean_b", lambda dx, dW, db, dy, x, W: (dx, dW, dy.mean(0)), "b", "factor")
dense_wrong("constant_1e-9", lambda dx, dW, db, dy, x, W: (dx, dW * (1 + 1e-9), db), "W", "factor")
dense_wrong(
    "constant_1e-10_x", lambda dx, dW, db, dy, x, W: (dx * (1 + 1e-10), dW, db), "x", "factor"
)
dense_wrong("zero_b", lambda dx, dW, db, dy, x, W: (dx, dW, 0 * db), "b", "zero")
dense_wrong(
    "one_entry_W",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (2, 1), 1 + 1e-6), db),
    "W",
    "one-entry",
    (2, 1),
)
dense_wrong(
    "one_entry_x",
    lambda dx, dW, db, dy, x, W: (spoil(dx, (3, 0), -1), dW, db),
    "x",
    "one-entry",
    (3, 0),
)
dense_wrong(
    "one_row_x", lambda dx, dW, db, dy, x, W: (spoil(dx, 2, 1.5), dW, db), "x", "some-entries", None
)
dense_wrong(
    "one_column_W",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (slice(None), 4), 0), db),
    "W",
    "some-entries",
)
dense_wrong("b_shape", lambda dx, dW, db, dy, x, W: (dx, dW, dy), "b", "shape")
dense_wrong(
    "b_keepdims", lambda dx, dW, db, dy, x, W: (dx, dW, dy.sum(0, keepdims=True)), "b", "shape"
)
dense_wrong("W_transposed", lambda dx, dW, db, dy, x, W: (dx, dy.T @ x, db), "W", "shape")
dense_wrong("b_scalar", lambda dx, dW, db, dy, x, W: (dx, dW, dy.sum()), "b", "shape")
dense_wrong(
    "b_first_sample", lambda dx, dW, db, dy, x, W: (dx, dW, dy[0].copy()), "b", "missing-batch-sum"
)
dense_wrong(
    "b_lacks_last_sample",
    lambda dx, dW, db, dy, x, W: (dx, dW, dy[:-1].sum(0)),
    "b",
    "missing-sample",
)
dense_wrong(
    "b_upstream_ignored",
    lambda dx, dW, db, dy, x, W: (dx, dW, np.full(5, 4.0)),
    "b",
    "upstream-ignored",
)
dense_wrong(
    "W_upstream_ignored",
    lambda dx, dW, db, dy, x, W: (dx, x.T @ np.ones_like(dy), db),
    "W",
    "upstream-ignored",
)
dense_wrong(
    "upstream_mean",
    lambda dx, dW, db, dy, x, W: (dx, x.T @ np.full_like(dy, dy.mean()), db),
    "W",
    "upstream-ignored",
)
dense_wrong("swapped_order", lambda dx, dW, db, dy, x, W: (dx, db, dW), "W", "shape")
dense_wrong(
    "square_transposed_W",
    lambda dx, dW, db, dy, x, W: (dx, dW.T.copy(), db),
    "W",
    "transposed",
    None,
    (n(4, 3), n(3, 3), n(3)),
)
dense_wrong(
    "square_x_uses_W",
    lambda dx, dW, db, dy, x, W: (dy @ W, dW, db),
    "x",
    "wrong|dropped-term",
    None,
    (n(4, 3), n(3, 3), n(3)),
)
dense_wrong("decay_added", lambda dx, dW, db, dy, x, W: (dx, dW + 0.01 * W, db), "W", "not-linear")
dense_wrong("clipped", lambda dx, dW, db, dy, x, W: (dx, np.clip(dW, -1, 1), db), "W", "not-linear")
dense_wrong("float32_W", lambda dx, dW, db, dy, x, W: (dx, dW.astype("f"), db), "W", "dtype")
dense_wrong(
    "float32_inside",
    lambda dx, dW, db, dy, x, W: (dx, dW.astype("f").astype(float), db),
    "W",
    "precision",
)
dense_wrong("int_W", lambda dx, dW, db, dy, x, W: (dx, dW.astype(int), db), "W", "dtype")
dense_wrong("nan_b", lambda dx, dW, db, dy, x, W: (dx, dW, spoil(db, 3, np.nan)), "b", "nan", (3,))
dense_wrong(
    "inf_x", lambda dx, dW, db, dy, x, W: (spoil(dx, (1, 2), np.inf), dW, db), "x", "nan", (1, 2)
)
dense_wrong("all_nan", lambda dx, dW, db, dy, x, W: (dx * np.nan, dW, db), "x", "nan", (0, 0))
dense_wrong("none_W", lambda dx, dW, db, dy, x, W: (dx, None, db), "W", "none")
dense_wrong("too_few", lambda dx, dW, db, dy, x, W: (dx, dW), "", "count")
dense_wrong("too_many", lambda dx, dW, db, dy, x, W: (dx, dW, db, db), "", "count")
dense_wrong("bare_array", lambda dx, dW, db, dy, x, W: dx, "", "count")
dense_wrong("nothing", lambda dx, dW, db, dy, x, W: None, "", "count|none")
dense_wrong(
    "mutates_dy", lambda dx, dW, db, dy, x, W: (dy.__imul__(2), (dx, dW, db))[1], "dy", "mutates"
)
dense_wrong(
    "mutates_x", lambda dx, dW, db, dy, x, W: (x.__imul__(2), (dx, dW, db))[1], "", "mutates"
)
dense_wrong("raises", lambda dx, dW, db, dy, x, W: (dx @ dx, dW, db), "", "error")
dense_wrong(
    "random_backward", lambda dx, dW, db, dy, x, W: (dx, dW * np.random.normal(), db), "W", "random"
)
dense_wrong(
    "f32_half_W",
    lambda dx, dW, db, dy, x, W: (dx, np.float32(0.5) * dW, db),
    "W",
    "factor",
    None,
    (X.astype("f"), W.astype("f"), B.astype("f")),
)
dense_wrong(
    "f32_one_entry",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (1, 3), np.float32(1.01)), db),
    "W",
    "one-entry",
    (1, 3),
    (X.astype("f"), W.astype("f"), B.astype("f")),
)
dense_wrong(
    "f32_upcast",
    lambda dx, dW, db, dy, x, W: (dx, dW.astype(float), db),
    "W",
    "dtype",
    None,
    (X.astype("f"), W.astype("f"), B.astype("f")),
)
dense_wrong(
    "tiny_one_entry",
    lambda dx, dW, db, dy, x, W: (dx, spoil(dW, (1, 3), 1.001), db),
    "W",
    "one-entry",
    (1, 3),
    (1e-8 * X, W, B),
)
dense_wrong(
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
