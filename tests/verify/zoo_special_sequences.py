"""Passes after public bug reports: attention, recurrences, look-ups, sums."""

# ruff: noqa: E501, E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import centred_covariance, collection, like, n, softmax, softmax_back

ZOO, entry = collection()


@entry
def softcap_attention():
    def forward(q, k, v):
        s = q @ k.T
        t = np.tanh(s / 5)
        p = softmax(5 * t)
        return p @ v, (q, k, v, t, p)

    def back(cap):
        def backward(dy, c):
            q, k, v, t, p = c
            ds = softmax_back(dy @ v.T, p) * cap(t)
            return ds @ k, ds.T @ q, p.T @ dy

        return backward

    return (
        forward,
        back(lambda t: 1 - t * t),
        {"no_cap": back(lambda t: 1)},
        [n(4, 3), n(5, 3), n(5, 2)],
        {},
    )


@entry
def lstm():
    def forward(x, h, c, W):
        H, kept = h.shape[1], []
        for t in range(x.shape[1]):
            a = np.concatenate([x[:, t], h], 1) @ W
            i, f, o = (1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in range(3))
            g, old = np.tanh(a[:, 3 * H :]), (h, c)
            c = f * c + i * g
            h = o * np.tanh(c)
            kept.append((i, f, o, g, *old, c))
        return h, (x, W, kept)

    def back(forget):
        def backward(dh, cache):
            x, W, kept = cache
            dx, dW, dc = np.zeros_like(x), np.zeros_like(W), np.zeros_like(dh)
            for t in reversed(range(x.shape[1])):
                i, f, o, g, h0, c0, c = kept[t]
                dc = dc + dh * o * (1 - np.tanh(c) ** 2)
                da = np.concatenate([dc * g * i * (1 - i), dc * c0 * f * (1 - f),
                                     dh * np.tanh(c) * o * (1 - o), dc * i * (1 - g * g)], 1)  # fmt: skip
                dW += np.concatenate([x[:, t], h0], 1).T @ da
                d = da @ W.T
                dx[:, t], dh, dc = d[:, : x.shape[2]], d[:, x.shape[2] :], dc * forget(f)
            return dx, dh, dc, dW

        return backward

    return forward, back(lambda f: f), {"no_forget": back(lambda f: 1.0)}, [
        n(3, 5, 2), n(3, 4), n(3, 4, seed=1), n(6, 16) / 2], {}  # fmt: skip


@entry
def gru():
    def forward(x, h, W, U):
        z = 1 / (1 + np.exp(-(x @ W[0] + h @ U[0])))
        r = 1 / (1 + np.exp(-(x @ W[1] + h @ U[1])))
        c = np.tanh(x @ W[2] + (r * h) @ U[2])
        return (1 - z) * c + z * h, (x, h, W, U, z, r, c)

    def back(reset):
        def backward(dy, cache):
            x, h, W, U, z, r, c = cache
            da = dy * (1 - z) * (1 - c * c)
            dz = dy * (h - c) * z * (1 - z)
            drh = da @ U[2].T
            dr = drh * h * r * (1 - r)
            dx = da @ W[2].T + dz @ W[0].T + dr @ W[1].T
            dh = dy * z + drh * (r if reset else 1) + dz @ U[0].T + dr @ U[1].T
            dW = np.stack([x.T @ dz, x.T @ dr, x.T @ da])
            return dx, dh, dW, np.stack([h.T @ dz, h.T @ dr, (r * h).T @ da])

        return backward

    return (
        forward,
        back(True),
        {"no_reset": back(False)},
        [n(3, 2), n(3, 4), n(3, 2, 4), n(3, 4, 4)],
        {},
    )


@entry
def embedding():
    f = lambda i, W: (W[i], (i, W))

    def back(add):
        def backward(dy, c):
            g = np.zeros_like(c[1])
            np.add.at(g, c[0], dy) if add else g.__setitem__(c[0], dy)
            return None, g

        return backward

    return f, back(True), {"overwrites": back(False)}, [np.array([0, 3, 3, 1, 0]), n(5, 3)], {}


@entry
def cumulative_product():
    f = lambda x: (np.cumprod(x, 1), x)

    def back(inclusive):
        def backward(dy, x):
            w = dy * np.cumprod(x, 1)
            tail = np.cumsum(w[:, ::-1], 1)[:, ::-1]
            return like((tail if inclusive else tail - w) / x, x)

        return backward

    return f, back(True), {"exclusive": back(False)}, [0.5 + np.abs(n(3, 5))], {}


@entry
def focal_loss():
    def forward(x, t):
        p = 1 / (1 + np.exp(-x))
        q = np.where(t == 1, p, 1 - p)
        return -((1 - q) ** 2 * np.log(q)).mean(), (x, t, q)

    def back(k):
        def backward(dy, c):
            x, t, q = c
            dq = 2 * (1 - q) * np.log(q) * k - (1 - q) ** 2 / q
            return like(dy * dq * q * (1 - q) * np.where(t == 1, 1, -1) / x.size, x), None

        return backward

    return (
        forward,
        back(1),
        {"no_modulation": back(0)},
        [n(4, 3), (n(4, 3, seed=2) > 0).astype(int)],
        {},
    )


@entry
def covariance():
    def back(m):
        return lambda dy, c: like(c @ (dy + dy.T) / (len(c) - 1 if m else len(c)), c)

    return centred_covariance, back(True), {"divides_by_n": back(False), "half": lambda dy, c: like(
        c @ dy / (len(c) - 1), c)}, [n(6, 3)], {}  # fmt: skip


@entry
def bilinear_sampling():
    def forward(image, at):
        i, j = np.floor(at[:, 0].real).astype(int), np.floor(at[:, 1].real).astype(int)
        u, v = at[:, 0] - i, at[:, 1] - j
        corners = image[i, j], image[i, j + 1], image[i + 1, j], image[i + 1, j + 1]
        a, b, c, d = corners
        y = a * (1 - u) * (1 - v) + b * (1 - u) * v + c * u * (1 - v) + d * u * v
        return y, (image, i, j, u, v, corners)

    def back(k):
        def backward(dy, cache):
            image, i, j, u, v, (a, b, c, d) = cache
            g = np.zeros_like(image)
            np.add.at(g, (i, j), dy * (1 - u) * (1 - v))
            np.add.at(g, (i, j + 1), dy * (1 - u) * v)
            np.add.at(g, (i + 1, j), dy * u * (1 - v))
            np.add.at(g, (i + 1, j + 1), dy * u * v)
            du = dy * ((c - a) * (1 - v) + (d - b) * v)
            dv = dy * ((b - a) * (1 - u) + k * (d - c) * u)
            return g, like(np.stack([du, dv], 1), image)

        return backward

    at = np.array([[0.3, 1.6], [2.2, 0.7], [1.5, 1.5], [0.9, 2.4]])
    return forward, back(1), {"one_term": back(-1)}, [n(5, 5), at], {}
