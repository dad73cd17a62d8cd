"""Autoencoder, VAE without its KL term, VAE: of the same layers, on the same data, measured alike.

The two VAEs are trained alike but for the KL. The autoencoder's step size falls to 0 along a
cosine, its data are centred, and it leaves out the last, short batch of a pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minivae.backend import load_backend
from minivae.estimators.autoencoder import Autoencoder
from minivae.estimators.vae import VAE
from minivae.metrics.reconstruction import reconstruction_error
from minivae.metrics.regularity import (
    completeness_and_coverage,
    decoder_stretch,
    halfway_test,
    posterior_overlap,
)
from minivae.models import vae
from minivae.ops.latent import kl_forward
from minivae.study.data import epochs_of
from minivae.types import Array

KINDS = ("autoencoder", "VAE without KL", "VAE")


@dataclass(frozen=True)
class Settings:
    """One architecture for all three, and about as many updates."""

    latent_dim: int = 2
    hidden: tuple[int, ...] = (128, 64)
    activation: str = "relu"
    c: float = 0.03
    steps: int = 2500
    batch_size: int = 128
    lr: float = 2e-3
    samples: int = 1500  # latent samples, and data they are held against
    pairs: int = 300
    stretches: int = 200


@dataclass(frozen=True)
class Space:
    """A trained latent space: its codes' posterior, its decoder, and how one samples it.

    posterior: x (N, D) -> mu, logvar (N, J), logvar None where codes are points. decode: z (N, J)
    -> means (N, D), complex-safe. Latent samples are centre + root @ N(0, I): the prior for the
    VAE, a Gaussian fitted to the codes for the two that have no prior to hold to.
    """

    name: str
    posterior: Callable[[Array], tuple[Array, Array | None]]
    decode: Callable[[Array], Array]
    centre: Array
    root: Array

    def latent_samples(self, n: int, seed: int) -> Array:
        """n points (n, J) from the distribution this space is sampled by."""
        eps = np.random.default_rng(seed).standard_normal((n, len(self.centre)))
        return self.centre + eps @ self.root.T


def train_space(kind: str, x: Array, settings: Settings, seed: int) -> Space:
    """Train one of KINDS on x (N, D) and fit the distribution it is sampled by."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: choose {', '.join(KINDS)}")
    latent = settings.latent_dim
    posterior, decode = (_autoencoder if kind == KINDS[0] else _vae)(kind, x, settings, seed)
    if kind == KINDS[2]:
        return Space(kind, posterior, decode, np.zeros(latent), np.eye(latent))
    codes = posterior(x)[0]
    cov = np.cov(codes.T).reshape(latent, latent)
    # A dimension that the encoder leaves unused has no spread; a trace of one keeps the root real.
    root = np.linalg.cholesky(cov + 1e-9 * np.trace(cov) * np.eye(latent))
    return Space(kind, posterior, decode, codes.mean(axis=0), root)


def _autoencoder(kind: str, x: Array, s: Settings, seed: int) -> tuple[Any, Any]:
    model = Autoencoder(s.latent_dim, s.hidden, s.activation, s.steps, s.lr, s.batch_size,
                        random_state=seed).fit(x)  # fmt: skip
    return lambda data: (model.transform(np.asarray(data, np.float64)), None), model.decoder


def _vae(kind: str, x: Array, s: Settings, seed: int) -> tuple[Any, Any]:
    epochs = epochs_of(s.steps, len(x), s.batch_size)
    beta = 1.0 if kind == KINDS[2] else 0.0
    model = VAE(s.latent_dim, s.hidden, s.activation, "gaussian", s.c, beta, epochs=epochs,
                batch_size=s.batch_size, lr=s.lr, random_state=seed).fit(x)  # fmt: skip
    K = load_backend("numpy")
    p = vae.layout_of(model.config_).views(model.theta_.astype(np.float64))

    def posterior(data: Array) -> tuple[Array, Array]:
        return vae.encode(K, p, np.asarray(data, np.float64), model.config_)

    return posterior, lambda z: vae.decode_mean(K, p, z, model.config_)


def different_pairs(labels: Array, count: int, seed: int) -> tuple[Array, Array]:
    """Rows (count,), (count,) of data whose labels differ."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(labels), (2, 10 * count))
    differ = labels[first] != labels[second]
    return first[differ][:count], second[differ][:count]


def measure(
    space: Space, train: Array, test: Array, labels: Array, s: Settings
) -> dict[str, float]:
    """Every regularity figure of one space (E2, E39, E40, E41, E46).

    train (N, D) stands for the data's manifold, test (M, D) with labels (M,) is encoded.
    `posterior sd` is a root mean square over data and dimensions, `spread of means` the dimensions'
    mean standard deviation over the data; their ratio says how punctual the posteriors
    are. The autoencoder's are points: sd and overlap 0, and no KL.
    """
    mu, logvar = space.posterior(test)
    z = space.latent_samples(s.samples, 1)
    data = train[: s.samples]
    manifold = completeness_and_coverage(space.decode(z), data)
    stretch = decoder_stretch(space.decode, z[: s.stretches], space.root)
    one, other = different_pairs(labels, s.pairs, 2)
    half = halfway_test(space.decode, mu[one], mu[other], train)
    sd = 0.0 if logvar is None else float(np.sqrt(np.exp(logvar).mean()))
    overlap = 0.0 if logvar is None else float(np.median(posterior_overlap(mu, logvar)))
    kl = {} if logvar is None else {"KL, nats": float(kl_forward(mu, logvar).sum(axis=1).mean())}
    return {
        "training error": reconstruction_error(train, space.decode(space.posterior(train)[0])),
        "test error": reconstruction_error(test, space.decode(mu)),
        "stretch, median": float(np.median(stretch)),
        "stretch, 95 %": float(np.quantile(stretch, 0.95)),
        "completeness": manifold.completeness,
        "coverage": manifold.coverage,
        "halfway ratio": float(half.ratio.mean()),
        "detour": float(half.detour.mean()),
        "posterior sd": sd,
        "spread of means": float(mu.std(axis=0).mean()),
        "overlap": overlap,
        **kl,
    }
