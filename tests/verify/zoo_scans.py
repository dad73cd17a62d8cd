"""Scans: what is carried from step to step is lost most easily."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, n, softmax, variants

ZOO, entry = collection()


@entry
def linear_scan():
    """h_t = a_t h_{t-1} + b_t, all states returned."""

    def forward(a, b):
        h, states = np.zeros_like(b[0]), []
        for t in range(len(a)):
            h = a[t] * h + b[t]
            states.append(h)
        return np.stack(states), (a, np.stack([np.zeros_like(b[0]), *states]))

    def back(m):
        def backward(dy, c):
            a, h = c
            da, db, carry = np.zeros_like(dy), np.zeros_like(dy), np.zeros_like(dy[0])
            for t in range(len(a))[::-1]:
                d = dy[t] + (0 if m == "no_carry" else carry)
                da[t] = d * h[t + 1 if m == "stale" else t]
                db[t], carry = d, d * a[t - 1 if m == "off_by_one" else t]
            return da, db

        return backward

    return forward, variants(back, "no_carry", "stale", "off_by_one"), [n(20, 3), n(20, 3, seed=1)]


@entry
def exponential_average():
    def forward(x, alpha):
        m, out = x[0], [x[0]]
        for row in x[1:]:
            m = alpha * m + (1 - alpha) * row
            out.append(m)
        return np.stack(out), (x, alpha, np.stack(out))

    def back(k):
        def backward(dy, c):
            x, alpha, y = c
            dx, da, carry = np.zeros_like(x), 0.0 * alpha, np.zeros_like(x[0])
            for t in range(len(x))[::-1]:
                d = dy[t] + carry
                if t == 0:
                    dx[0] = (1 - alpha) * d if k == "first" else d
                else:
                    da = da + (d * (y[t - 1] - x[t])).sum()
                    dx[t], carry = (1 - alpha) * d, alpha * d
            return dx, np.asarray(-da if k == "sign" else da, x.dtype)

        return backward

    return forward, variants(back, "first", "sign"), [n(12, 2), np.array(0.8)]


@entry
def discounted_returns():
    def forward(r, gamma):
        g, out = np.zeros_like(r[0]), []
        for row in r[::-1]:
            g = row + gamma * g
            out.append(g)
        return np.stack(out[::-1]), (gamma, np.stack(out[::-1]))

    def back(m):
        def backward(dy, c):
            gamma, G = c
            dr, carry, dgamma = np.zeros_like(dy), np.zeros_like(dy[0]), 0.0 * gamma
            for t in range(len(dy)):
                d = dy[t] + carry
                dr[t] = dy[t] if m == "no_carry" else d
                if t + 1 < len(dy):
                    dgamma = dgamma + (d * G[t if m == "stale" else t + 1]).sum()
                carry = gamma * d
            return dr, np.asarray(dgamma, dy.dtype)

        return backward

    return forward, variants(back, "no_carry", "stale"), [n(8, 3), np.array(0.9)]


def forward_algorithm(emission, transition):
    """log sum over all paths, in log space; and every step's scores."""
    alpha, kept = emission[0], [emission[0]]
    for row in emission[1:]:
        s = alpha[:, None] + transition
        top = s.real.max(0)
        alpha = top + np.log(np.exp(s - top).sum(0)) + row
        kept.append(alpha)
    top = alpha.real.max()
    return top + np.log(np.exp(alpha - top).sum()), kept


@entry
def sum_over_paths():
    forward = lambda e, t: ((r := forward_algorithm(e, t))[0], (e, t, r[1]))

    def back(m):
        def backward(dy, c):
            e, t, alphas = c
            de, dt = np.zeros_like(e), np.zeros_like(t)
            d = dy * softmax(alphas[-1])
            for step in range(len(e) - 1, 0, -1):
                de[step] = d
                p = softmax(alphas[step - 1][:, None] + t, 0)
                dt = p * d if m == "overwritten" else dt + p * d
                d = (p * d).sum(0) if m == "axis" else p @ d
            de[0] = d
            return de, -dt if m == "sign" else dt

        return backward

    return forward, variants(back, "overwritten", "axis", "sign"), [n(15, 4), n(4, 4)]


@entry
def log_cumulative_sum():
    def forward(x):
        top = x.real.max(1, keepdims=True)
        y = np.log(np.cumsum(np.exp(x - top), 1)) + top
        return y, (x, y)

    def back(m):
        def backward(dy, c):
            x, y = c
            s = dy * np.exp(-y)
            total = np.cumsum(s, 1) if m == "direction" else np.cumsum(s[:, ::-1], 1)[:, ::-1]
            return np.exp(x) * total if m != "last" else np.exp(x - y[:, -1:]) * dy[:, -1:]

        return backward

    return forward, variants(back, "direction", "last"), [n(3, 6)]


@entry
def running_maximum():
    """Ties in the second row: the first of equal entries keeps the gradient."""
    x = np.array([[0.5, 2.0, 1.0, 3.0], [1.0, 1.0, 0.5, 1.0], [2.0, -1.0, 2.5, 2.4]])

    def holders(x):
        at = np.zeros(x.shape, int)
        for j in range(1, x.shape[1]):
            better = x[:, j] > np.take_along_axis(x, at[:, j - 1 : j], 1)[:, 0]
            at[:, j] = np.where(better, j, at[:, j - 1])
        return at

    forward = lambda x: (np.take_along_axis(x, holders(x), 1), (x, holders(x)))

    def back(m):
        def backward(dy, c):
            x, at = c
            g = np.zeros_like(x)
            for i in range(len(x)):
                if m == "overwritten":
                    g[i, at[i]] = dy[i]
                elif m == "identity":
                    g[i] = dy[i]
                else:
                    np.add.at(g[i], at[i], dy[i])
            return g

        return backward

    return forward, variants(back, "overwritten", "identity"), [x]
