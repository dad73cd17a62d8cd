"""Linear algebra and Fourier transforms: transposes, halves, conjugates."""

# ruff: noqa: E731
from __future__ import annotations

import numpy as np

from tests.verify.zoo_tools import collection, n, variants

ZOO, entry = collection()


def positive(k, seed=0):
    root = n(k, k, seed=seed)
    return root @ root.T + k * np.eye(k)


@entry
def three_way_einsum():
    forward = lambda x, W, z: (np.einsum("bi,ijk,bk->bj", x, W, z), (x, W, z))

    def back(m):
        def backward(dy, c):
            x, W, z = c
            dx = np.einsum("bj,ijk,bk->bi", dy, W, z)
            dW = np.einsum("bi,bj,bk->ijk", x, dy, z)
            dz = np.einsum("bj,kji,bi->bk" if m == "axes" else "bj,ijk,bi->bk", dy, W, x)
            return dx, dW / len(x) if m == "mean" else dW, dz

        return backward

    return forward, variants(back, "axes", "mean"), [n(5, 3), n(3, 4, 3), n(5, 3, seed=1)]


@entry
def inverse():
    forward = lambda A: ((B := np.linalg.inv(A)), B)
    back = lambda m: lambda dy, B: {
        "": -B.T @ dy @ B.T, "sign": B.T @ dy @ B.T, "not_transposed": -B @ dy @ B}[m]  # fmt: skip
    return forward, variants(back, "sign", "not_transposed"), [n(4, 4) + 3 * np.eye(4)]


@entry
def cholesky():
    forward = lambda A: ((L := np.linalg.cholesky((A + A.T) / 2)), L)

    def back(m):
        def backward(dy, L):
            P = np.tril(L.T @ np.tril(dy))
            P[np.diag_indices(len(P))] *= 1 if m == "no_half" else 0.5
            inverse = np.linalg.inv(L)
            S = inverse.T @ P @ inverse
            return S if m == "not_symmetric" else (S + S.T) / 2

        return backward

    return forward, variants(back, "no_half", "not_symmetric"), [positive(4)]


@entry
def batch_of_determinants():
    forward = lambda A: ((d := np.linalg.det(A)), (A, d))

    def back(m):
        def backward(dy, c):
            A, d = c
            B = np.linalg.inv(A)
            k = (dy if m == "no_det" else dy * d)[:, None, None]
            return k * (B if m == "not_transposed" else B.swapaxes(1, 2))

        return backward

    return forward, variants(back, "no_det", "not_transposed"), [n(3, 4, 4) + 2 * np.eye(4)]


@entry
def solve_many():
    forward = lambda A, B: ((X := np.linalg.solve(A, B)), (A, X))

    def back(m):
        def backward(dy, c):
            A, X = c
            dB = np.linalg.solve(A if m == "not_transposed" else A.T, dy)
            dA = -(X @ dB.T if m == "outer_swapped" else dB @ X.T)
            return -dA if m == "sign" else dA, dB

        return backward

    return forward, variants(back, "not_transposed", "outer_swapped", "sign"), [
        n(4, 4) + 3 * np.eye(4), n(4, 4, seed=1)]  # fmt: skip


@entry
def eigenvalues():
    def forward(A):
        w, V = np.linalg.eigh((A + A.T) / 2)
        return w, V

    def back(m):
        def backward(dy, V):
            return {"": (V * dy) @ V.T, "rows": (V.T * dy) @ V, "trace": dy.mean() * (V @ V.T)}[m]

        return backward

    return forward, variants(back, "rows", "trace"), [positive(4)]


@entry
def matrix_exponential_series():
    def forward(A):
        term, total, powers = np.eye(len(A), dtype=A.dtype), np.eye(len(A), dtype=A.dtype), []
        for k in range(1, 9):
            powers.append(term)
            term = term @ A / k
            total = total + term
        return total, (A, powers)

    def back(m):
        def backward(dy, c):
            A, powers = c
            dA, carry = np.zeros_like(A), np.zeros_like(dy)
            for k in range(8, 0, -1):
                d = (dy if m == "no_carry" else dy + carry) / (1 if m == "no_factorial" else k)
                dA = dA + powers[k - 1].T @ d
                carry = d @ A.T
            return dA

        return backward

    return forward, variants(back, "no_carry", "no_factorial"), [0.5 * n(3, 3)]


@entry
def pairwise_distances():
    """Every row against every row: the diagonal is a norm at 0, whose gradient is set to 0."""

    def forward(x):
        gap = x[:, None] - x[None]
        return np.sqrt((gap * gap).sum(2)), gap

    def back(m):
        def backward(dy, gap):
            d = np.sqrt((gap * gap).sum(2, keepdims=True))
            g = dy[..., None] * gap / np.where(d == 0, 1, d)
            return g.sum(1) if m == "one_side" else g.sum(1) - g.sum(0)

        return backward

    return forward, variants(back, "one_side"), [n(5, 3)]


@entry
def kronecker():
    forward = lambda A, B: (np.kron(A, B), (A, B))

    def back(m):
        def backward(dy, c):
            A, B = c
            d = dy.reshape(A.shape[0], B.shape[0], A.shape[1], B.shape[1])
            dA, dB = np.einsum("ikjl,kl->ij", d, B), np.einsum("ikjl,ij->kl", d, A)
            return dA, dB / A.size if m == "mean" else dB[::-1] if m == "flipped" else dB

        return backward

    return forward, variants(back, "mean", "flipped"), [n(2, 3), n(4, 2)]


@entry
def power_spectrum():
    def forward(x):
        f = np.fft.rfft(x).astype(np.result_type(x, np.complex64))
        return (f.real**2 + f.imag**2).astype(x.dtype), (x, f)

    def back(m):
        def backward(dy, c):
            x, f = c
            N, k = x.shape[1], np.arange(f.shape[1])
            angle = 2 * np.pi * k[:, None] * np.arange(N) / N
            dx = 2 * ((dy * f.real) @ np.cos(angle) - (dy * f.imag) @ np.sin(angle))
            if m == "mean_missing":
                dx = dx - 2 * (dy * f.real)[:, :1]
            return (dx / {"": 1, "half": 2, "per_sample": N}.get(m, 1)).astype(x.dtype)

        return backward

    return forward, variants(back, "mean_missing", "half", "per_sample"), [n(2, 8)]


@entry
def convolution_by_fft():
    turn = lambda x: np.fft.fft(x, axis=-1)

    def forward(x, k):
        y = np.fft.ifft(turn(x) * turn(k))
        return y.real.astype(np.result_type(x.real, k.real)), (x, k)

    def back(m):
        def backward(dy, c):
            x, k = c
            flip = (lambda f: f) if m == "no_conjugate" else np.conj
            dx = np.fft.ifft(turn(dy) * flip(turn(k))).real
            dk = np.fft.ifft(turn(dy) * np.conj(turn(x))).real
            return dx.astype(x.dtype), (dk.mean(0) if m == "mean" else dk.sum(0)).astype(x.dtype)

        return backward

    return forward, variants(back, "no_conjugate", "mean"), [n(3, 7), n(7)]
