"""Right passes: layers that keep state, recurrences, large ones, rare types and orders."""

from __future__ import annotations

import numpy as np

from tests.verify.zoo_right_dense import B, W, X, add, dense_back, n, relu, relu_back
from tests.verify.zoo_right_layers import K, Q
from tests.verify.zoo_right_losses import softmax, softmax_back


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
