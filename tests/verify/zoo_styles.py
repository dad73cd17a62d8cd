"""Passes as people write them: loops over entries, dicts, lists, gradients as views."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, like, n, put, softmax, variants

ZOO, entry = collection()


@entry
def loops_into_zeros():
    def forward(x, W, b):
        y = np.zeros((len(x), W.shape[1]), x.dtype if x.dtype.kind == "f" else float)
        for i in range(len(x)):
            for j in range(W.shape[1]):
                total = b[j]
                for k in range(len(W)):
                    total += x[i, k] * W[k, j]
                y[i, j] = max(0.1 * total, total)
        return y, (x, W, y)

    def back(m):
        def backward(dy, c):
            x, W, y = c
            d = like(dy * np.where(y > 0, 1.0, 1 if m == "not_leaky" else 0.1), dy)
            dW = x.T @ d
            if m == "one_entry":
                dW[1, 2] *= dW.dtype.type(1.02)
            return d @ W.T, dW, d.mean(0) if m == "mean" else d.sum(0)

        return backward

    return forward, variants(back, "not_leaky", "one_entry", "mean"), [n(5, 3), n(3, 4), n(4)]


@entry
def quadratic_form():
    forward = lambda x, A: (np.einsum("bi,ij,bj->b", x, A, x), (x, A))

    def back(m):
        def backward(dy, c):
            x, A = c
            both = {"symmetric": 2 * A, "transposed": A.T}.get(m, A + A.T)
            dA = np.einsum("b,bi,bj->ij", dy, x, x)
            return dy[:, None] * (x @ both.T), (2 * dA if m == "twice" else dA)

        return backward

    return forward, variants(back, "symmetric", "transposed", "twice"), [n(5, 4), n(4, 4)]


@entry
def gram_matrix():
    forward = lambda A: (A @ A.T / A.shape[1], A)

    def back(m):
        def backward(dy, A):
            both = {"one_side": dy, "as_if_symmetric": 2 * dy}.get(m, dy + dy.T)
            return both @ A / (1 if m == "no_length" else A.shape[1])

        return backward

    return forward, variants(back, "one_side", "as_if_symmetric", "no_length"), [n(4, 6)]


@entry
def outputs_in_a_dict():
    def forward(W, scale, x):
        h = np.tanh(x @ W)
        y = {"hidden": h, "sum": h.sum(1) * scale, "largest": h.real.argmax(1)}
        return y, (W, scale, x, h)

    def back(m):
        def backward(dy, c):
            W, scale, x, h = c
            dh = dy["sum"][:, None] * scale + (0 if m == "one_output" else dy["hidden"])
            d = like(dh * (1 - h * h), x)
            dscale = (dy["sum"] * (h.mean(1) if m == "mean" else h.sum(1))).sum()
            return {"dscale": like(dscale, x), "dW": x.T @ d, "dx": d @ W.T}

        return backward

    return forward, variants(back, "one_output", "mean"), [n(4, 3), np.array(0.7), n(5, 4)]


@entry
def segments():
    def forward(x, labels, w):
        y = np.zeros((4, x.shape[1]), np.result_type(x, w))
        np.add.at(y, labels, x * w[:, None])
        count = np.bincount(labels[labels >= 0], minlength=4) + 1
        return y / count[:, None].astype(x.real.dtype), (x, labels, w, count)

    def back(m):
        def backward(dy, c):
            x, labels, w, count = c
            d = (dy / (1 if m == "no_count" else count[:, None]))[labels]
            if m == "last_forgotten":
                d = np.where((labels == -1)[:, None], 0, d)
            return like(d * w[:, None], x), None, like((d * x).sum(1), x)

        return backward

    labels = np.array([0, 2, -1, 1, 2, 2, 0])
    return forward, variants(back, "no_count", "last_forgotten"), [n(7, 3), labels, n(7)]


@entry
def rotation_by_a_quaternion():
    def forward(q, v):
        w, u = q[:, :1], q[:, 1:]
        size = (q * q).sum(1, keepdims=True)
        t = 2 * np.cross(u, v)
        return v + (w * t + np.cross(u, t)) / size, (q, v)

    def back(m):
        def backward(dy, c):
            q, v = c
            w, u = q[:, :1], q[:, 1:]
            size = (q * q).sum(1, keepdims=True)
            t = 2 * np.cross(u, v)
            turned = w * t + np.cross(u, t)
            d = dy / size
            dt = w * d + np.cross(d, u)
            du = np.cross(t, d) + 2 * np.cross(v, dt)
            dq = np.concatenate([(d * t).sum(1, keepdims=True), du], 1)
            if m != "unit_length":
                dq = dq - 2 * q * (dy * turned).sum(1, keepdims=True) / size**2
            return dq, dy + 2 * np.cross(dt, u) * (-1 if m == "order" else 1)

        return backward

    return forward, variants(back, "unit_length", "order"), [n(5, 4), n(5, 3)]


@entry
def gradient_broadcast_back():
    forward = lambda x: (x.mean(1), x.shape)

    def back(m):
        def backward(dy, shape):
            d = dy[:, None] if m == "sum" else dy[:, None] / dy.dtype.type(shape[1])
            return np.broadcast_to(d.mean(0) if m == "averaged" else d, shape)

        return backward

    return forward, variants(back, "sum", "averaged"), [n(4, 6)]


@entry
def upstream_written_over():
    forward = lambda x: (np.maximum(x, 0) ** 2, x)

    def back(m):
        def backward(dy, x):
            d = dy if m == "in_place" else dy.copy()
            d *= 2 * np.maximum(x, 0)
            return d

        return backward

    return forward, variants(back, "in_place"), [n(4, 5)]


@entry
def elman_with_lengths():
    def forward(x, U, lengths):
        h, kept = np.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            new = np.tanh(x[:, t] + h @ U)
            h = np.where((t < lengths)[:, None], new, h)
            kept.append((h, new))
        return h, (x, U, lengths, kept)

    def back(m):
        def backward(dy, c):
            x, U, lengths, kept = c
            dx, dU, dh = np.zeros_like(x), np.zeros_like(U), dy
            for t in range(x.shape[1] - 1, -1, -1):
                live = (t < lengths)[:, None] | (m == "unmasked")
                d = np.where(live, dh * (1 - kept[t][1] ** 2), 0)
                before = kept[t - 1][0] if t else np.zeros_like(dy)
                dx[:, t] = d
                dU += before.T @ d
                dh = d @ U.T if m == "not_carried" else np.where(live, d @ U.T, dh)
            return dx, dU, None

        return backward

    return forward, variants(back, "unmasked", "not_carried"), [
        n(4, 6, 3), 0.5 * n(3, 3), np.array([6, 2, 4, 1])]  # fmt: skip


@entry
def local_response():
    def forward(x):
        k = x.dtype.type(0.3)
        s = 1 + k * sum(np.roll(x * x, j, 1) for j in (-1, 0, 1))
        return x * s**-0.75, x

    def back(m):
        def backward(dy, x):
            k = x.dtype.type(0.3)
            s = 1 + k * sum(np.roll(x * x, j, 1) for j in (-1, 0, 1))
            inner = dy * x * s**-1.75
            spread = inner if m == "own_only" else sum(np.roll(inner, j, 1) for j in (-1, 0, 1))
            return like(dy * s**-0.75 - (0.75 if m == "no_two" else 1.5) * k * x * spread, x)

        return backward

    return forward, variants(back, "own_only", "no_two"), [n(3, 6)]


@entry
def listwise_ranking():
    """The likelihood of an order: a sum over what is left of log-sum-exps."""

    def forward(s, order):
        t = np.take_along_axis(s, order, 1)
        rest = np.cumsum(np.exp(t)[:, ::-1], 1)[:, ::-1]
        return (np.log(rest) - t).sum(1), (s, order)

    def back(m):
        def backward(dy, c):
            s, order = c
            t = np.exp(np.take_along_axis(s, order, 1))
            rest = np.cumsum(t[:, ::-1], 1)[:, ::-1]
            share = 1 / rest if m == "own_step" else np.cumsum(1 / rest, 1)
            d, ds = dy[:, None] * (t * share - 1), np.zeros_like(s)
            if m == "not_put_back":
                return like(d, s), None
            np.put_along_axis(ds, order, like(d, s), 1)
            return ds, None

        return backward

    order = np.argsort(n(4, 5, seed=9), 1)
    return forward, variants(back, "own_step", "not_put_back"), [n(4, 5), order]


@entry
def padded_softmax_rows():
    def forward(s, mask):
        e = np.exp(s - s.real.max(1, keepdims=True)) * mask
        total = e.sum(1, keepdims=True)
        return e / np.where(total == 0, 1, total), (s, mask)

    def back(m):
        def backward(dy, c):
            s, mask = c
            p = forward(s, mask)[0]
            whole = softmax(s) if m == "unmasked" else p
            return like(whole * (dy - (dy * whole).sum(1, keepdims=True)), s), None

        return backward

    mask = put(np.random.default_rng(1).random((4, 5)) > 0.4, 2, False)
    return forward, variants(back, "unmasked"), [n(4, 5), mask]
