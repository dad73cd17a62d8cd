"""What estimators are handed, checked or refused with the fix named: sizes, weights, seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from minivae.messages import shown
from minivae.settings import require_int
from minivae.types import Array


def in_one_line(fault: ValueError, name: str) -> str:
    """What scikit-learn says of an array, without the array and advice on others, and the fix."""
    first, *more = str(fault).splitlines()
    if "contains NaN" in first:
        return (
            f"Input X contains NaN; {name} takes no missing values: drop those rows or fill them "
            "in."
        )
    if "contains infinity" in first:
        return f"{first} Drop those rows, or scale them."
    if first.startswith("Complex data"):
        return f"{first}: give numpy.hstack([X.real, X.imag])."
    reshape = [line for line in more if line.startswith("Reshape")]
    return f"{first.removesuffix(':')}: {reshape[-1]}" if reshape else str(fault)


def refuse_pictures(X: Any, name: str) -> None:
    """Raise a ValueError that says how to flatten, where X is a stack of pictures (N, h, w)."""
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and len(shape) >= 3:
        size = " x ".join(str(n) for n in shape[1:])
        raise ValueError(
            f"Found array with dim {len(shape)}, while {name} expects dim 2: flatten the "
            f"{shape[0]} pictures of {size} first, X.reshape({shape[0]}, -1)."
        )


def settle_latent_dim(latent_dim: Any, shape: tuple[int, ...], at_most: int) -> int:
    """`latent_dim`, checked; None takes two, or one where no more than one can be.

    Raises ValueError as `check_latent_dim`.
    """
    if latent_dim is None:
        latent_dim = max(1, min(2, at_most))
    check_latent_dim(latent_dim, shape, at_most)
    return int(latent_dim)


def check_latent_dim(latent_dim: Any, shape: tuple[int, ...], at_most: int) -> None:
    """Raise ValueError unless `latent_dim` is a whole number from 1 to `at_most`.

    shape is (n_samples, n_features), named in the message so that the reader sees which one binds.
    """
    whole = isinstance(latent_dim, (int, np.integer)) and not isinstance(latent_dim, bool)
    if not (whole and 1 <= latent_dim <= at_most):
        raise ValueError(
            f"latent_dim={shown(latent_dim)} must be a whole number between 1 and {at_most} "
            f"for data with n_samples={shape[0]}, n_features={shape[1]}."
        )


def as_weights(sample_weight: Any, X: Array) -> Array | None:
    """Weights (N,) of the rows, float64, or None; ValueError where they cannot be."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (len(X),):
        raise ValueError(f"sample_weight has the shape {weights.shape}, and X has {len(X)} rows.")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError("sample_weight must be finite, not negative, and not zero everywhere.")
    return weights


def weighed_rows(X: Array, sample_weight: Any) -> tuple[Array, Array | None]:
    """The rows that count, and their weights, of mean 1; None where all of them count alike (E64).

    Raises ValueError as `as_weights`.
    """
    weights = as_weights(sample_weight, X)
    if weights is None:
        return X, None
    there = weights > 0
    X, weights = (X, weights) if there.all() else (X[there], weights[there])
    return X, None if (weights == weights[0]).all() else weights / weights.mean()


def refuse_fit_parameters(name: str, given: Mapping[str, Any]) -> None:
    """Raise TypeError, saying what to do instead, for what `fit` does not take."""
    for key in given:
        raise TypeError(f"{name}.fit takes no {key}: its settings are parameters of {name}(...).")


def taken_weight(name: str, given: dict[str, Any]) -> Any:
    """`sample_weight` out of what a `fit` was given beside its parameters, or None.

    Where `fit` has it in its signature, scikit-learn's checks ask that a weight of 2 give the very
    numbers of a row given twice. Training by draws and by batches gives them on average alone, so
    such a `fit` takes it by this way. Raises TypeError for anything else that was given.
    """
    weight = given.pop("sample_weight", None)
    refuse_fit_parameters(name, given)
    return weight


def as_plain(value: Any) -> Any:
    """A NumPy scalar, or array of no dimension, as Python's own; anything else as it is."""
    plain = isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0
    return value.item() if plain else value


def as_seed(random_state: Any) -> int:
    """A seed from an int, a RandomState or None; ValueError, one line, for anything else."""
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        require_int("random_state", int(random_state), 0)
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError:
        raise ValueError(
            f"random_state={shown(random_state)} is no seed: give a whole number, a RandomState or "
            "None."
        ) from None


def as_float32(X: Array) -> Array:
    """X in float32, C-contiguous; ValueError where a value is too large for it."""
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(X, dtype=np.float32)
    if not np.isfinite(cast).all():
        raise ValueError("X holds values beyond float32's range (3.4e38): scale the data.")
    return cast
