"""A VAE's network as other tools see it: dense layers in order, and what stands between them."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.parts import ACTIVATIONS, LIKELIHOODS
from minivae.settings import ConfigError
from minivae.types import Array


class Dense(NamedTuple):
    """x W + b by its dotted name: W (I, O), b (O,), float32."""

    name: str
    W: Array
    b: Array


class Network(NamedTuple):
    """The encoder's and the decoder's hidden layers, the encoder's two heads and the output layer.

    activation: after every hidden layer. link: from the decoder's output to E[x | z], over the
    `groups` of columns where it has any. origin (D,): what is to be taken out of columns far from 0
    before the encoder gets them, and added to what the decoder gives; or None.
    """

    config: ModelConfig
    encoder: tuple[Dense, ...]
    decoder: tuple[Dense, ...]
    mu: Dense
    logvar: Dense
    out: Dense
    activation: str
    link: str
    origin: Array | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """What a file says beside its numbers: the origin as JSON, where there is one."""
        return {} if self.origin is None else {"origin": json.dumps(self.origin.tolist())}


def network_of(config: ModelConfig, theta: Array, origin: Array | None = None) -> Network:
    """The layers of a trained model, theta (P,)."""
    p = layout_of(config).views(np.asarray(theta, dtype=np.float32))

    def dense(name: str) -> Dense:
        return Dense(name, p[f"{name}.W"], p[f"{name}.b"])

    depth = range(len(config.hidden))
    return Network(
        config,
        tuple(dense(f"encoder.{i}") for i in depth),
        tuple(dense(f"decoder.{i}") for i in depth),
        dense("encoder.mu"),
        dense("encoder.logvar"),
        dense("decoder.out"),
        ACTIVATIONS[config.activation].name,
        LIKELIHOODS[config.likelihood].link,
        origin,
    )


class ExportError(ConfigError):
    """A model cannot be written in another tool's form: what is missing there, and the way out."""


def require_exportable(network: Network, form: str, activations: object, links: object) -> None:
    """Raise ExportError where the form's tables lack the activation or the link of this model."""
    needed = (("activation", network.activation, activations), ("mean", network.link, links))
    for what, name, table in needed:
        if name not in table:  # type: ignore[operator]
            raise ExportError(
                f"the {what} {name!r} cannot be exported to {form}: export the arrays alone with "
                "--to npz"
            )
