"""Passes that call the maths library, decompositions, the FFT, or iterate to a solution."""

# ruff: noqa: E731
from __future__ import annotations

import math

import numpy as np

from tests.verify.zoo_tools import collection, like, n, variants

ZOO, entry = collection()


@entry
def gelu_by_math_erf():
    erf = np.vectorize(math.erf)
    forward = lambda x: (like(0.5 * x * (1 + erf(x / math.sqrt(2))), x), x)

    def back(m):
        def backward(dy, x):
            cdf, pdf = (
                0.5 * (1 + erf(x / math.sqrt(2))),
                np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
            )
            if m == "tanh":
                cdf = 0.5 * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))
            return like(dy * (cdf + (0 if m == "no_density" else x * pdf)), x)

        return backward

    return forward, variants(back, "no_density", "tanh"), [n(4, 5)]


@entry
def log_gamma():
    lgamma = np.vectorize(math.lgamma)
    forward = lambda x: (like(lgamma(x), x), x)

    def digamma(x, terms=6):
        shift = sum(1 / (x + k) for k in range(terms))
        z = x + terms
        return (
            np.log(z) - 1 / (2 * z) - 1 / (12 * z**2) + 1 / (120 * z**4) - 1 / (252 * z**6) - shift
        )

    def back(m):
        d = {"logarithm": np.log, "sign": lambda x: -digamma(x)}.get(m, digamma)
        return lambda dy, x: like(dy * d(x.astype(float)), x)

    return forward, variants(back, "logarithm", "sign"), [np.abs(n(3, 4)) + 0.3]


@entry
def nuclear_norm():
    forward = lambda A: (np.linalg.svd(A, compute_uv=False).sum(), A)

    def back(m):
        def backward(dy, A):
            U, s, V = np.linalg.svd(A, full_matrices=False)
            return like(
                dy * (U * s @ V if m == "squared" else U @ V * (0.5 if m == "half" else 1)), A
            )

        return backward

    return forward, variants(back, "squared", "half"), [n(5, 4)]


@entry
def fixed_point():
    def solve(x, W):
        z = 0 * x
        for _ in range(200):
            z = np.tanh(x + z @ W)
        return z

    forward = lambda x, W: ((z := solve(x, W)), (z, W))

    def back(m):
        def backward(dy, c):
            z, W = c
            d, u = 1 - z * z, dy
            for _ in range(0 if m == "one_step" else 200):
                u = dy + (u * d) @ W.T
            dx = u * d
            return dx, (z.T @ (dy * d) if m == "weights_one_step" else z.T @ dx)

        return backward

    return forward, variants(back, "one_step", "weights_one_step"), [n(3, 4), 0.2 * n(4, 4)]


@entry
def soft_time_warping():
    def forward(D):
        rows, columns = D.shape
        R = [[None] * (columns + 1) for _ in range(rows + 1)]
        for i in range(rows + 1):
            for j in range(columns + 1):
                if i * j == 0:
                    R[i][j] = D.dtype.type(0) if i == j else D.dtype.type(1e4)
                    continue
                steps = np.array([R[i - 1][j - 1], R[i - 1][j], R[i][j - 1]])
                low = steps[np.argmin(steps.real)]
                R[i][j] = D[i - 1, j - 1] + low - np.log(np.exp(low - steps).sum())
        return R[rows][columns], (D, np.array([[float(np.real(r)) for r in row] for row in R]))

    def back(m):
        def backward(dy, c):
            D, R = c
            E = np.zeros_like(R)
            E[-1, -1] = dy
            for i, j in [(i, j) for i in range(1, len(E)) for j in range(1, E.shape[1])][-2::-1]:
                for a, b in ((i + 1, j), (i, j + 1), (i + 1, j + 1)):
                    diagonal = a > i and b > j
                    if a < len(E) and b < E.shape[1] and not (diagonal and m == "no_diagonal"):
                        E[i, j] += E[a, b] * np.exp(R[a, b] - R[i, j] - D[a - 1, b - 1])
            # the weight of a step is exp(R[a, b] - D[a, b] - R[i, j]), of the soft minimum there
            return like(E[1:, 1:] * (2 if m == "twice" else 1), D)

        return backward

    return forward, variants(back, "no_diagonal", "twice"), [np.abs(n(4, 5))]


@entry
def magnitude_spectrum():
    def forward(x):
        window = np.hanning(x.shape[1] + 2)[1:-1]
        return like(np.abs(np.fft.rfft(x * window)), x), x

    def back(m):
        def backward(dy, x):
            window, size = np.hanning(x.shape[1] + 2)[1:-1], x.shape[1]
            X = np.fft.rfft(x * window)
            d = dy * X / np.abs(X)
            time = np.arange(size)[:, None] * np.arange(X.shape[1]) * 2 * np.pi / size
            dx = d.real @ np.cos(time).T + (1 if m == "conjugate" else -1) * d.imag @ np.sin(time).T
            return like(dx * (1 if m == "no_window" else window), x)

        return backward

    return forward, variants(back, "conjugate", "no_window"), [n(3, 8)]
