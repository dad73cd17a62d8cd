"""How well a model explains data: the ELBO and the importance-sampled log p(x), in bounded memory.

One pass over the data gives every figure. The log-weights of E37,
log w = log p(x|z) + log p(z) - log q(z|x) with z drawn from q(z|x), stream through a running
log-mean-exp, so memory depends on neither the number of data nor the number of draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.models import vae
from minivae.models.config import ModelConfig
from minivae.ops.philox import EVALUATE
from minivae.types import Array

Params = dict[str, Any]
# Calls work(0), … work(count - 1), each a matrix of float64, wherever, and gives all of them.
ShareOut = Callable[[int, Callable[[int], Array]], list[Array]]

BINARISE_STEP = 2**32 - 1  # the evaluation stream's step for targets; draws count from 0
# Of a chunk's largest array: 16 MB in float32. On two Zen 4 cores 784-400-20 with 100 draws takes
# 15 % less than with 2**20, whose calls of 1,300 rows wake the threads and pack W too often.
MAX_FLOATS = 2**22
MAX_ROWS = 512


def one_by_one(count: int, work: Callable[[int], Array]) -> list[Array]:
    """All pieces of work by this process."""
    return [work(i) for i in range(count)]


class Evaluation(NamedTuple):
    """Per-datum figures in nats, float64; N data, J latent dimensions."""

    reconstruction: Array  # (N,)   mean over draws of -log p(x|z)
    kl: Array  # (N, J) closed form, per latent dimension (E15)
    mu: Array  # (N, J) posterior means
    sampled_elbo: Array  # (N,)   mean log-weight: the ELBO with the KL sampled as well
    log_p: Array  # (N,)   log of the mean weight (E37), never below sampled_elbo
    log_p_variance: Array  # (N,)   squared Monte-Carlo error of log_p; NaN for one draw
    effective_draws: Array  # (N,)   (Σw)² / Σw²: how many of the draws count

    @property
    def elbo(self) -> Array:
        """ELBO per datum (N,): minus reconstruction, minus the closed-form KL (E28 at β = 1)."""
        return -self.reconstruction - self.kl.sum(axis=1)

    def in_user_units(self, log_volume: float) -> Evaluation:
        """The figures for data whose standardised columns were evaluated (change of variables)."""
        return self._replace(
            reconstruction=self.reconstruction + log_volume,
            sampled_elbo=self.sampled_elbo - log_volume,
            log_p=self.log_p - log_volume,
        )


class LogMeanExp:
    """The log of a mean of exponentials of numbers that arrive chunk by chunk (float64)."""

    def __init__(self, n: int) -> None:
        self.count = 0
        self.largest = np.full(n, -np.inf)
        self.total = np.zeros(n)  # Σ exp(a - largest)
        self.squares = np.zeros(n)  # Σ exp(2 (a - largest))
        self.plain = np.zeros(n)  # Σ a

    def add(self, a: Array) -> None:
        """Take in a (L, n): L further numbers for each of the n means."""
        a = np.asarray(a, dtype=np.float64)
        largest = np.maximum(self.largest, a.max(axis=0))
        # where everything so far is -inf, the shift must not become -inf - -inf = NaN
        shift = np.where(np.isneginf(largest), 0.0, largest)
        old = np.exp(np.where(np.isneginf(self.largest), -np.inf, self.largest - shift))
        new = np.exp(a - shift)
        self.total = self.total * old + new.sum(axis=0)
        self.squares = self.squares * old * old + (new * new).sum(axis=0)
        self.plain += a.sum(axis=0)
        self.largest = largest
        self.count += a.shape[0]

    def log_mean(self) -> Array:
        with np.errstate(divide="ignore"):
            return self.largest + np.log(self.total / self.count)

    def mean(self) -> Array:
        return self.plain / self.count

    def effective_count(self) -> Array:
        return self.total**2 / np.maximum(self.squares, np.finfo(float).tiny)

    def variance(self) -> Array:
        """Squared error of `log_mean` by the delta method: var(w) / (mean(w)² S), NaN for one draw.

        The variance of the weights is the sample's, with S - 1.
        """
        if self.count < 2:
            return np.full_like(self.total, np.nan)
        spread = np.maximum(1.0 / self.effective_count() - 1.0 / self.count, 0.0)
        return spread * self.count / (self.count - 1)


def evaluate(
    K: Any, p: Params, data: Array, config: ModelConfig, *,
    samples: int = 1, seed: int = 0, scale: float = 1.0, binarise: bool = False,
    max_floats: int = MAX_FLOATS, progress: Callable[[int, int], None] | None = None,
    share_out: ShareOut = one_by_one,
) -> Evaluation:  # fmt: skip
    """ELBO, KL and importance-sampled log p (E37) of every row of data (N, D), nats per datum.

    `data` is uint8 or float, multiplied by `scale`; `binarise` replaces each pixel by one fixed
    Bernoulli draw. The noise of draw s belongs to (seed, s, row), so the figures do not depend on
    `max_floats`, which bounds the largest array of a chunk. `progress(done, N)` is called as rows
    finish. `share_out` may give the chunks to several processes (World.share_out).
    Raises ValueError where `samples` < 1 or `data` is empty.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; give at least 1")
    if data.ndim != 2 or len(data) == 0:
        raise ValueError(f"data has shape {data.shape}; evaluation needs (N, D) with N >= 1")
    rows_at_once, draws_at_once = chunk_sizes(len(data), samples, widest(config), max_floats)

    def chunk(number: int) -> Array:
        start = number * rows_at_once
        rows = np.arange(start, min(start + rows_at_once, len(data)))
        x = targets(K, data, rows, scale, seed, binarise)
        found = evaluate_rows(K, p, x, rows, config, samples, seed, draws_at_once)
        if progress is not None:
            progress(int(rows[-1]) + 1, len(data))
        return np.column_stack(found)

    whole = np.concatenate(share_out(-(-len(data) // rows_at_once), chunk))
    J = config.latent_dim
    columns = np.split(whole, [1, 1 + J, 1 + 2 * J], axis=1)
    beside = (whole[:, 1 + 2 * J + i] for i in range(4))
    return Evaluation(columns[0][:, 0], columns[1], columns[2], *beside)


def widest(config: ModelConfig) -> int:
    """The widest layer: the size of one datum in the largest array of a decoder pass."""
    return max(config.data_dim, config.latent_dim, *config.hidden, 1)


def chunk_sizes(n: int, samples: int, width: int, max_floats: int) -> tuple[int, int]:
    """(rows, draws) of one chunk, so that rows · draws · width <= max_floats where possible."""
    rows = max(1, min(n, MAX_ROWS, max_floats // width))
    return rows, max(1, min(samples, max_floats // (rows * width)))


def targets(
    K: Any, data: Array, rows: Array, scale: float, seed: int, binarise: bool
) -> Any:  # (B, D)
    """The rows as the likelihood sees them: scaled, and binarised where asked."""
    x = K.gather(K.to_device(np.ascontiguousarray(data[rows])), np.arange(len(rows)), scale)
    if binarise:
        u = K.to_host(K.uniforms(seed, EVALUATE, BINARISE_STEP, rows, data.shape[1]))
        x = K.binarise(x, K.to_device(u))
    return x


def evaluate_rows(
    K: Any,
    p: Params,
    x: Any,  # (B, D)
    rows: Array,  # (B,)
    config: ModelConfig,
    samples: int,
    seed: int,
    draws_at_once: int,
) -> Evaluation:
    """`evaluate` for one chunk of rows, its draws streamed `draws_at_once` at a time."""
    mu, logvar = vae.encode(K, p, x, config)  # (B, J)
    weights = LogMeanExp(len(rows))
    nll_sum = np.zeros(len(rows))
    for first in range(0, samples, draws_at_once):
        draws = range(first, min(first + draws_at_once, samples))
        eps = noise(K, seed, draws, rows, config.latent_dim)  # (L, B, J)
        z = K.reparameterise_forward(mu, logvar, eps)  # (L, B, J)
        nll = np.asarray(K.to_host(reconstruction_nll(K, p, z, x, config)), dtype=np.float64)
        weights.add(log_prior_over_posterior(K, z, logvar, eps) - nll)
        nll_sum += nll.sum(axis=0)
    kl = np.asarray(K.to_host(K.kl_forward(mu, logvar)), dtype=np.float64)
    return Evaluation(
        reconstruction=nll_sum / samples,
        kl=kl,
        mu=np.asarray(K.to_host(mu), dtype=np.float64),
        sampled_elbo=weights.mean(),
        log_p=weights.log_mean(),
        log_p_variance=weights.variance(),
        effective_draws=weights.effective_count(),
    )


def noise(K: Any, seed: int, draws: range, rows: Array, latent_dim: int) -> Any:
    """Standard normals (L, B, J); each draw is its own step of the evaluation stream."""
    return K.to_device(
        np.stack([K.to_host(K.normals(seed, EVALUATE, s, rows, latent_dim)) for s in draws])
    )


def reconstruction_nll(K: Any, p: Params, z: Any, x: Any, config: ModelConfig) -> Any:
    """-log p(x|z) (L, B) for z (L, B, J) and x (B, D)."""
    draws, batch, _ = z.shape
    h = vae.decode_hidden(K, p, z.reshape(draws * batch, -1), config)
    last = p["decoder.out.W"], p["decoder.out.b"]
    nll = K.output_nll(config.likelihood, h, *last, x, *vae.beside_output(p, x, config))
    if nll is not None:
        return nll
    out = vae.decode_output(K, p, h).reshape(draws, batch, -1)  # (L, B, D)
    return vae.nll_forward(K, p, out, x, config)


def log_prior_over_posterior(K: Any, z: Any, logvar: Any, eps: Any) -> Array:
    """log p(z) - log q(z|x), (L, B), at z = mu + exp(logvar / 2) eps; the 2π cancel."""
    z, logvar, eps = (np.asarray(K.to_host(a), dtype=np.float64) for a in (z, logvar, eps))
    return np.asarray(0.5 * (eps * eps + logvar - z * z).sum(axis=-1))


def mean_and_error(values: Array) -> tuple[float, float]:
    """Mean over the data and its standard error (0 for a single datum)."""
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()), spread / math.sqrt(len(values))
