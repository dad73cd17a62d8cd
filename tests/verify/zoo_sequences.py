"""Recurrences and attention: what is carried from step to step is lost most easily."""

from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, n, sigmoid, softmax, softmax_back, variants

ZOO, entry = collection()


def cell(x, h, c, W, U, b):
    z = x @ W + h @ U + b
    i, f, o, g = np.split(z, 4, 1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    new = f * c + i * g
    return o * np.tanh(new), new, (x, h, c, i, f, o, g, new)


@entry
def lstm_all_states():
    """Twenty steps, every hidden state returned."""

    def forward(x, W, U, b):
        h = c = np.zeros((x.shape[1], len(U)), x.dtype)
        out, kept = [], []
        for row in x:
            h, c, saved = cell(row, h, c, W, U, b)
            out.append(h)
            kept.append(saved)
        return np.stack(out), (kept, W, U, b)

    def back(m):
        def backward(dy, cache):
            kept, W, U, b = cache
            dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros_like(b)
            dh = dc = np.zeros_like(dy[0])
            dx = []
            for t in range(len(dy))[::-1]:
                x, h, c, i, f, o, g, new = kept[t]
                d = dy[t] + dh
                th = np.tanh(c if m == "stale_cell" else new)
                dc = (0 if m == "no_cell_carry" else dc) + d * o * (1 - th * th)
                gates = [dc * g * i * (1 - i), dc * c * f * (1 - f),
                         d * np.tanh(new) * o * (1 - o), dc * i * (1 - g * g)]  # fmt: skip
                dz = np.concatenate(gates, 1)
                dW, dU, db = dW + x.T @ dz, dU + h.T @ dz, db + dz.sum(0)
                if m == "overwritten":
                    dU = h.T @ dz
                dx.append(dz @ W.T)
                dh, dc = dz @ U.T, dc * (i if m == "wrong_gate" else f)
            return np.stack(dx[::-1]), dW, dU, db

        return backward

    wrong = ["stale_cell", "no_cell_carry", "overwritten", "wrong_gate"]
    return forward, variants(back, *wrong), [n(20, 2, 3), n(3, 16), 0.5 * n(4, 16), n(16)]


@entry
def gru_reset_after():
    def forward(x, W, U):
        h, kept = np.zeros((x.shape[1], len(U)), x.dtype), []
        for row in x:
            a, u = np.split(row @ W, 3, 1), np.split(h @ U, 3, 1)
            r, z = sigmoid(a[0] + u[0]), sigmoid(a[1] + u[1])
            g = np.tanh(a[2] + r * u[2])
            kept.append((row, h, r, z, g, u[2]))
            h = (1 - z) * g + z * h
        return h, (kept, W, U)

    def back(m):
        def backward(dh, cache):
            kept, W, U = cache
            dW, dU, dx = np.zeros_like(W), np.zeros_like(U), []
            for x, h, r, z, g, u in kept[::-1]:
                dg = dh * (1 - z) * (1 - g * g)
                dz = dh * (h - g if m != "gate_sign" else g - h) * z * (1 - z)
                dr = dg * u * r * (1 - r)
                da = np.concatenate([dr, dz, dg], 1)
                du = np.concatenate([dr, dz, dg if m == "no_reset" else dg * r], 1)
                dW, dU = dW + x.T @ da, dU + h.T @ du
                dx.append(da @ W.T)
                dh = du @ U.T + (0 if m == "no_skip" else dh * z)
            return np.stack(dx[::-1]), dW, dU

        return backward

    return forward, variants(back, "gate_sign", "no_reset", "no_skip"), [
        n(20, 2, 3), n(3, 12), 0.5 * n(4, 12)]  # fmt: skip


@entry
def grouped_query_attention():
    """Four query heads share two key and value heads; causal, with a soft cap."""
    cap = 3.0

    def forward(q, k, v):
        kk, vv = k.repeat(2, 1), v.repeat(2, 1)
        scale = q.dtype.type(q.shape[-1] ** -0.5)
        t = np.tanh(q @ kk.swapaxes(2, 3) * scale / cap)
        p = softmax(np.where(np.tri(q.shape[2], dtype=bool), cap * t, -np.inf))
        return p @ vv, (q, kk, vv, t, p, scale)

    def back(m):
        def backward(dy, c):
            q, kk, vv, t, p, scale = c
            ds = softmax_back(dy @ vv.swapaxes(2, 3), p) * (1 if m == "no_cap" else 1 - t * t)
            ds = ds * (1 if m == "no_scale" else scale)
            dk, dv = ds.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ dy

            def shared(d):
                d = d.reshape(d.shape[0], -1, 2, *d.shape[2:])
                return d[:, :, 0] if m == "first_head" else d.sum(2)

            return ds @ kk, shared(dk), shared(dv)

        return backward

    return forward, variants(back, "no_cap", "no_scale", "first_head"), [
        n(2, 4, 5, 3), n(2, 2, 5, 3), n(2, 2, 5, 3, seed=1)]  # fmt: skip


@entry
def additive_attention():
    def forward(q, k, w):
        t = np.tanh(q[:, None] + k[None])
        p = softmax(t @ w)
        return p @ k, (k, w, t, p)

    def back(m):
        def backward(dy, c):
            k, w, t, p = c
            ds = softmax_back(dy @ k.T, p)
            dt = ds[..., None] * w * (1 - t * t)
            dk = dt.sum(0) + (0 if m == "one_path" else p.T @ dy)
            dw = (ds[..., None] * t).sum((0, 1))
            return dt.sum(1), dk, dw / len(p) if m == "mean" else dw

        return backward

    return forward, variants(back, "one_path", "mean"), [n(3, 4), n(5, 4), n(4)]


@entry
def relative_position_bias():
    def forward(s, table):
        T = s.shape[-1]
        at = np.arange(T)[:, None] - np.arange(T) + T - 1
        return (p := softmax(s + table[:, at])), (p, at, table.shape)

    def back(m):
        def backward(dy, c):
            p, at, shape = c
            ds = softmax_back(dy, p)
            g = np.zeros(shape, p.dtype)
            if m == "overwritten":
                g[:, at] = ds.sum(0)
            else:
                np.add.at(g, (slice(None), at), ds[0] if m == "first_sample" else ds.sum(0))
            return ds, g

        return backward

    return forward, variants(back, "overwritten", "first_sample"), [n(3, 2, 4, 4), n(2, 7)]
