"""What the model is measured on while it trains: which rows, and how well it does on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.data.dataset import Dataset
from minivae.metrics.latent import active_units
from minivae.metrics.likelihood import (
    ShareOut,
    noise,
    one_by_one,
    reconstruction_nll,
    targets,
    widest,
)
from minivae.models.config import ConfigError, ModelConfig
from minivae.models.vae import encode, layout_of
from minivae.ops.philox import permutation
from minivae.parts import OBJECTIVES, Terms
from minivae.runs.config import TrainConfig
from minivae.types import Array

CARVE_EPOCH = 2**32 - 1  # the permutation that picks validation rows; no epoch has this number
DEFAULT_VALIDATION = 0.1
MAX_FLOATS = 2**22  # of the largest array of a chunk
MAX_ROWS = 512


class Split(NamedTuple):
    """Which rows train and which measure; `held_out` is None where there is nothing to measure on.

    train_rows and rows index the arrays they are used with: noise belongs to a row's number.
    """

    train_rows: Array  # (n,) rows of dataset.train that are trained on
    name: str  # "valid", "test", or "train" when nothing is held out
    held_out: Any  # (M, D) the array that is measured on
    rows: Array  # (m,) its rows that count
    weight: Array | None = None  # (M,) and how much (E64); None where all count alike


def settle_validation(dataset: Dataset, config: TrainConfig) -> tuple[TrainConfig, str]:
    """The settings with the fraction that early stopping needs, and what to say about it.

    The fraction is then part of the run's record: a run cannot be resumed on other rows.
    """
    own = "valid" in dataset.parts
    if config.patience is None or config.validation is not None or own:
        return config, ""
    return config.with_changes(validation=DEFAULT_VALIDATION), (
        "early stopping needs rows that are neither trained on nor tested on: "
        f"{DEFAULT_VALIDATION:.0%} of the training rows are held out for it"
    )


def split_rows(dataset: Dataset, config: TrainConfig) -> Split:
    """The data's own valid part, else rows carved from train, else the test part, else nothing.

    Raises ConfigError where the carving would leave no row on one side.
    """
    everything = np.arange(len(dataset.train))
    valid, fraction = dataset.parts.get("valid"), config.validation
    if valid is not None and fraction is not None:
        raise ConfigError(
            f"validation = {fraction}: {dataset.name} has a validation part of its own; "
            "leave the setting out"
        )
    if valid is not None:
        return Split(everything, "valid", valid, np.arange(len(valid)))
    if fraction is not None:
        return _carve(dataset, config, fraction)
    if len(dataset.test) > 0:
        return Split(everything, "test", dataset.test, np.arange(len(dataset.test)))
    return Split(everything, "train", None, everything[:0])


def _carve(dataset: Dataset, config: TrainConfig, fraction: float) -> Split:
    n = len(dataset.train)
    size = round(fraction * n)
    if not 0 < size < n:
        raise ConfigError(
            f"validation = {fraction:g}: holds out {size} of {n} training rows; "
            "choose a fraction that leaves rows on both sides"
        )
    order = permutation(config.seed, CARVE_EPOCH, n)
    measured = np.sort(order[:size])
    return Split(np.sort(order[size:]), "valid", dataset.train, measured, dataset.weight)


def measure(
    K: Any,
    model: ModelConfig,
    theta: Array,
    split: Split,
    config: TrainConfig,
    scale: float,
    between: Callable[[], None] = lambda: None,
    share_out: ShareOut = one_by_one,
) -> dict[str, Any] | None:
    """The held-out figures, nats per datum; None where nothing is held out.

    The noise (one draw a row, or all draws where the objective is by draws) and the binarised
    targets are the same at every epoch, and those of `metrics.likelihood.evaluate`, so that the
    curve moves with the model alone. `between` is called from chunk to chunk and may raise to
    stop; `share_out` may give the chunks to several processes. Memory is bounded by the chunk and
    by the posterior means (m, J).
    """
    if split.held_out is None:
        return None
    p = layout_of(model).views(K.to_device(theta))
    by_draws = OBJECTIVES[model.objective].by_draws
    draws = range(model.draws if by_draws else 1)
    step = max(1, min(MAX_ROWS, MAX_FLOATS // (widest(model) * len(draws))))

    def chunk(number: int) -> Array:
        between()
        rows = split.rows[number * step : (number + 1) * step]
        return measure_rows(K, model, p, split, rows, config, scale, draws)

    pieces = share_out(-(-len(split.rows) // step), chunk)
    sums, J = np.zeros(2 + model.latent_dim), model.latent_dim
    for piece in pieces:
        sums += piece[0]
    mus = np.concatenate([piece[1:, :J] for piece in pieces]).astype(theta.dtype)
    n = len(split.rows) if split.weight is None else float(split.weight[split.rows].sum())
    found = figures(float(sums[0]), sums[2:], n, model)
    found |= {"active_units": int(active_units(mus).sum())}
    return found | {"loss": float(sums[1]) / n} if by_draws else found


def measure_rows(
    K: Any, model: ModelConfig, p: Any, split: Split, rows: Array, config: TrainConfig,
    scale: float, draws: range,
) -> Array:  # fmt: skip
    """Of some rows (n,): -log p(x|z) in nats, the objective by draws, the KL of each dimension, all
    summed by weight, in the first row; below it the posterior means (n, J), padded to its width."""
    objective, J = OBJECTIVES[model.objective], model.latent_dim
    x = targets(K, split.held_out, rows, scale, config.seed, config.binarise == "dynamic")
    mu, logvar = encode(K, p, x, model)
    eps = noise(K, config.seed, draws, rows, J)
    z = K.reparameterise_forward(mu, logvar, eps)
    each = reconstruction_nll(K, p, z, x, model)  # (L, B)
    kl = K.kl_forward(mu, logvar)
    weight = None if split.weight is None else K.to_device(split.weight[rows].astype(x.dtype))
    terms = Terms(each, kl, mu, logvar, z, eps, weight)
    found = np.zeros((1 + len(rows), 2 + J))
    found[0, 0] = float(K.to_host(terms.weigh(each)).sum(dtype=np.float64)) / len(draws)
    found[0, 2:] = K.to_host(terms.weigh(kl.T)).sum(axis=1, dtype=np.float64)
    if objective.by_draws:
        found[0, 1] = float(objective.forward(K, terms, model.beta, 0.0)) * len(rows)
    found[1:, :J] = K.to_host(mu)
    return found


def in_user_units(found: dict[str, Any], log_volume: float) -> dict[str, Any]:
    """An epoch's figures for data in the user's units: -log p gains `log_volume` nats a datum."""
    changed = {key: found[key] + log_volume for key in ("loss", "reconstruction")}
    return {**found, **changed, "elbo": found["elbo"] - log_volume}


def figures(nll: float, kl_j: Array, n: float, model: ModelConfig) -> dict[str, Any]:
    """Means in nats per datum from sums over n data, or over weights of sum n.

    `elbo` is unweighted (E19); `loss` is its objective at the full β, free bits included (E31).
    """
    mean_kl_j = kl_j / n
    reconstruction, kl = nll / n, float(mean_kl_j.sum())
    paid = float(np.maximum(mean_kl_j, model.free_bits).sum()) if model.free_bits > 0 else kl
    return {
        "loss": reconstruction + model.beta * paid,
        "reconstruction": reconstruction,
        "kl": kl,
        "elbo": -(reconstruction + kl),
        "kl_j": [float(value) for value in mean_kl_j],
    }
