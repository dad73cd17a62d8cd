"""The two kinds of panel: a trained VAE's, and a plain autoencoder's that is trained here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from minivae.data.standard import Standard
from minivae.explore import Explored
from minivae.layers import Parameters
from minivae.models.config import ModelConfig
from minivae.models.units import in_user_units
from minivae.models.vae import beside_output
from minivae.parts import LIKELIHOODS
from minivae.sampling import decode_all, encode_all
from minivae.types import Array

BATCH = 64
MOST_UPDATES, LEAST_UPDATES = 2000, 300
WORK = 3e10  # multiply-adds that the autoencoder may take: a few seconds


def vae_panel(
    K: Any,
    p: Parameters,
    config: ModelConfig,
    standard: Standard | None,
    x: Array,
    dims: tuple[int, int],
    title: str,
) -> Explored:
    """A trained VAE with its posteriors of the data x (N, D), in the user's units.

    standard: by which the data were standardised that it was trained on, or None.
    """
    likelihood = LIKELIHOODS[config.likelihood]
    p = in_user_units(p, config, standard)
    mu, logvar = encode_all(K, p, x, config)
    extra = beside_output(p, x[:1], config)
    plain = likelihood.scale is not None and not likelihood.scale.each
    return Explored(
        title=title,
        about=f"{sizes(config)}, {config.activation}, {config.likelihood} likelihood, "
        f"β {config.beta:g}.",
        decode=lambda z: decode_all(K, p, z, config),
        parameters=p,
        depth=len(config.hidden),
        activation=config.activation,
        link=likelihood.link,
        mu=mu,
        sd=np.exp(0.5 * logvar),
        dims=dims,
        likelihood=config.likelihood,
        logc=float(extra[0]) if plain else 0.0,
        deviation=None if standard is None else standard.deviation,
        groups=config.groups,
        beta=config.beta,
    )


def autoencoder_panel(
    config: ModelConfig,
    train: Array,
    x: Array,
    dims: tuple[int, int],
    watch: Callable[[int], None] | None = None,
) -> Explored:
    """A plain autoencoder of the VAE's sizes, trained on `train` (N, D) and shown with x.

    watch(t) is told after each update. The data's mean goes into the last bias.
    """
    from threadpoolctl import threadpool_limits

    from minivae.estimators.autoencoder import Autoencoder

    ae = Autoencoder(
        config.latent_dim,
        config.hidden,
        config.activation,
        steps=updates_for(config),
        lr=0.003,
        batch_size=BATCH,
    )
    with threadpool_limits(1):  # the products are small: a second thread would mostly wait
        ae.fit(train, watch=watch)
    p = dict(ae.params_)
    p["decoder.out.b"] = p["decoder.out.b"] + ae.mean_
    return Explored(
        title="Autoencoder",
        about=f"{sizes(config)}, {config.activation}, squared error alone, {ae.steps} updates.",
        decode=lambda z: ae.decoder(z.astype("float64")),
        parameters=p,
        depth=len(config.hidden),
        activation=config.activation,
        link="identity",
        mu=ae.transform(x),
        sd=None,
        dims=dims,
    )


def updates_for(config: ModelConfig) -> int:
    """As many updates as a few seconds allow, within reason."""
    widths = (config.data_dim, *config.hidden, config.latent_dim)
    weights = 2 * sum(a * b for a, b in pairwise(widths))
    return int(np.clip(WORK / (3 * BATCH * weights), LEAST_UPDATES, MOST_UPDATES))


def sizes(config: ModelConfig) -> str:
    """ "64-256-2"."""
    return "-".join(str(n) for n in (config.data_dim, *config.hidden, config.latent_dim))
