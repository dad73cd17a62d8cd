"""How far apart two linear subspaces are: principal angles."""

from __future__ import annotations

import numpy as np

from minivae.types import Array


def principal_angles(a: Array, b: Array) -> Array:
    """The principal angles in radians, smallest first, between the spans of a and b (E45).

    a (D, J), b (D, J): columns span the subspaces and need not be orthonormal. Small angles come
    from sines and large ones from cosines, so all keep their digits (Björck and Golub 1973).
    Raises ValueError where a column depends on the others: its span has fewer dimensions.
    """
    u, v = _orthonormal(a), _orthonormal(b)
    if u.shape != v.shape:
        raise ValueError(f"the two bases must have one shape; got {a.shape} and {b.shape}.")
    overlap = u.T @ v
    cosines = np.clip(np.linalg.svd(overlap, compute_uv=False), 0.0, 1.0)
    sines = np.clip(np.linalg.svd(v - u @ overlap, compute_uv=False)[::-1], 0.0, 1.0)
    return np.where(cosines**2 > 0.5, np.arcsin(sines), np.arccos(cosines))


def largest_angle(a: Array, b: Array) -> float:
    """The largest principal angle in radians between the spans of a and b (E45)."""
    return float(principal_angles(a, b)[-1])


def orthonormality_error(a: Array) -> float:
    """How far the columns of a (D, J) are from orthonormal: max |aᵀa - I| over the entries."""
    a = np.asarray(a, dtype=np.float64)
    return float(np.max(np.abs(a.T @ a - np.eye(a.shape[1]))))


def _orthonormal(a: Array) -> Array:
    a = np.asarray(a, dtype=np.float64)
    if a.ndim != 2 or a.shape[1] > a.shape[0]:
        raise ValueError(f"a basis is a (D, J) matrix with J <= D; got shape {a.shape}.")
    u, s, _ = np.linalg.svd(a, full_matrices=False)
    if not s[-1] > 1e-12 * s[0]:
        raise ValueError("the columns do not span as many dimensions as there are columns.")
    basis: Array = u
    return basis
