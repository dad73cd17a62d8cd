"""The autoencoder, linear or deep: the VAE's skeleton without its probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minivae.layers import (
    HiddenCache,
    Parameters,
    hidden_layers,
    linear_backward,
    linear_forward,
    mlp_backward,
    mlp_forward,
)
from minivae.messages import shown
from minivae.params import Layout, Shape
from minivae.parts import ACTIVATIONS
from minivae.settings import ConfigError, require_int
from minivae.types import Array


@dataclass(frozen=True)
class AutoencoderConfig:
    """D numbers in, J in the middle; `hidden` sizes the encoder, and the decoder mirrors them.

    hidden=() is the linear autoencoder, and `activation` is then unused.
    """

    data_dim: int
    latent_dim: int = 2
    hidden: tuple[int, ...] = ()
    activation: str = "relu"

    def __post_init__(self) -> None:
        require_int("data_dim", self.data_dim, 1)
        require_int("latent_dim", self.latent_dim, 1)
        if not isinstance(self.hidden, (tuple, list)):
            raise ConfigError(f"hidden = {shown(self.hidden)}: must be a list of layer sizes")
        for size in self.hidden:
            require_int("hidden", size, 1)
        ACTIVATIONS.require(self.activation)


class AutoencoderCache(NamedTuple):
    """What the backward pass needs: x (B, D), z (B, J), x̂ (B, D) and the hidden layers'."""

    x: Array
    encoder: tuple[HiddenCache, ...]
    h: Array
    z: Array
    decoder: tuple[HiddenCache, ...]
    hz: Array
    out: Array
    weight: Array | None = None


def autoencoder_layout(config: AutoencoderConfig) -> Layout:
    """encoder.0 … encoder.code, decoder.0 … decoder.out, each a W and a b."""
    forth = (config.data_dim, *config.hidden)
    back = (config.latent_dim, *reversed(config.hidden))
    shapes: dict[str, Shape] = {}

    def dense(name: str, rows: int, columns: int) -> None:
        shapes[f"{name}.W"], shapes[f"{name}.b"] = (rows, columns), (columns,)

    for i in range(len(config.hidden)):
        dense(f"encoder.{i}", forth[i], forth[i + 1])
    dense("encoder.code", forth[-1], config.latent_dim)
    for i in range(len(config.hidden)):
        dense(f"decoder.{i}", back[i], back[i + 1])
    dense("decoder.out", back[-1], config.data_dim)
    return Layout.of(shapes)


def autoencoder_forward(
    K: Any, p: Parameters, x: Array, config: AutoencoderConfig, weight: Array | None = None
) -> tuple[Array, AutoencoderCache]:
    """mean_n ||x - d(e(x))||², a scalar, summed over features          (E9)

    x (B, D) -> loss (), cache. weight (B,) is how much each datum counts in the mean (E64).
    """
    depth, kind = len(config.hidden), config.activation
    h, encoder = mlp_forward(K, p, "encoder", x, depth, kind)  # (B, H)
    z = linear_forward(K, p, "encoder.code", h)  # (B, J)
    hz, decoder = mlp_forward(K, p, "decoder", z, depth, kind)  # (B, H)
    out = linear_forward(K, p, "decoder.out", hz)  # (B, D)
    residual = out - x
    squares = residual * residual
    loss = (squares if weight is None else squares * weight[:, None]).sum() / len(x)
    return loss, AutoencoderCache(x, encoder, h, z, decoder, hz, out, weight)


def autoencoder_backward(
    K: Any, dloss: Array, cache: AutoencoderCache, p: Parameters, config: AutoencoderConfig
) -> Parameters:
    """The gradient of `autoencoder_forward` in every parameter, by p's names   (E9, E6)"""
    kind = config.activation
    x, encoder, h, _, decoder, hz, out, weight = cache
    g: Parameters = {}
    dout = (dloss * 2 / len(x)) * (out - x)  # (B, D)
    dout = dout if weight is None else dout * weight[:, None]
    linear_backward(K, g, "decoder.out", dout, hz)
    dhz = K.dense_backward_input(dout, p["decoder.out.W"])
    dz = mlp_backward(K, p, g, "decoder", dhz, decoder, kind, input_gradient=True)
    linear_backward(K, g, "encoder.code", dz, h)
    if encoder:
        dh = K.dense_backward_input(dz, p["encoder.code.W"])
        mlp_backward(K, p, g, "encoder", dh, encoder, kind, input_gradient=False)
    return g


def autoencoder_encode(K: Any, p: Parameters, x: Array, config: AutoencoderConfig) -> Array:
    """The code of each datum: x (B, D) -> z (B, J)                      (E5, E7, E8)"""
    h = hidden_layers(K, p, "encoder", x, len(config.hidden), config.activation)
    return linear_forward(K, p, "encoder.code", h)


def autoencoder_decode(K: Any, p: Parameters, z: Array, config: AutoencoderConfig) -> Array:
    """The datum of each code: z (B, J) -> x̂ (B, D)                      (E5, E7, E8)"""
    hz = hidden_layers(K, p, "decoder", z, len(config.hidden), config.activation)
    return linear_forward(K, p, "decoder.out", hz)


def as_scalar(value: float, like: Array) -> Array:
    """`value` as a () array of like's precision: an upstream gradient for a loss."""
    return np.full_like(like, value, shape=())
