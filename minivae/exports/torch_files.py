"""PyTorch: a state_dict in safetensors, and the module that loads it, as a script to read.

Where columns lie far from 0 the file's metadata hold `origin` as JSON: what to take out of x, and
to add to what is decoded.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from minivae.exports.network import Dense, Network, require_exportable
from minivae.ops.latent import LOGVAR_BOUND
from minivae.types import Array

# What stands in PyTorch for each record of the tables of parts, by its name.
ACTIVATIONS = {
    "relu": "nn.ReLU()",
    "tanh": "nn.Tanh()",
    "sigmoid": "nn.Sigmoid()",
    "softplus": "nn.Softplus()",
    "leaky_relu": "nn.LeakyReLU(0.01)",
    "elu": "nn.ELU()",
    "silu": "nn.SiLU()",
    "gelu": "nn.GELU()",
    "gelu_tanh": 'nn.GELU("tanh")',
}
LINKS = {
    "identity": "{}",
    "sigmoid": "torch.sigmoid({})",
    "exp": "torch.exp({})",
    "continuous-bernoulli": (  # torch.distributions' own is off by more than float32's rounding
        "(lambda a: torch.where(a.abs() < 0.5, 0.5 + a / 12 - a**3 / 720 + a**5 / 30240, "
        "-1 / torch.expm1(-a) - 1 / a))({})"
    ),
    "softmax": "torch.cat([part.softmax(1) for part in {}.split(%s, dim=1)], dim=1)",
}
SCRIPT = '''"""The model in model.safetensors as a PyTorch module: `from load_model import vae`."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential({encoder})
        self.mu, self.logvar = nn.Linear({top}, {latent}), nn.Linear({top}, {latent})
        self.decoder = nn.Sequential({decoder})

    def encode(self, x):  # x (N, {data}) -> mean and log-variance of q(z|x), each (N, {latent})
        h = self.encoder(x)
        return self.mu(h), self.logvar(h).clamp(-{bound}, {bound})

    def decode(self, z):  # z (N, {latent}) -> E[x|z] (N, {data})
        return {mean}


vae = VAE()
vae.load_state_dict(load_file(Path(__file__).with_name("model.safetensors")))
'''


def torch_files(network: Network) -> dict[str, bytes]:
    """model.safetensors, a state_dict, and load_model.py, which loads it.

    Raises ExportError for a part that PyTorch lacks.
    """
    import safetensors.numpy

    require_exportable(network, "torch", ACTIVATIONS, LINKS)
    state = safetensors.numpy.save(state_dict(network), network.metadata or None)
    return {"model.safetensors": state, "load_model.py": script(network).encode()}


def state_dict(network: Network) -> dict[str, Array]:
    """Weights (O, I) and biases (O,) by the names that the script's module gives them."""
    named: dict[str, Dense] = {"mu": network.mu, "logvar": network.logvar}
    for i, layer in enumerate(network.encoder):
        named[f"encoder.{2 * i}"] = layer  # every other module of the sequence is the activation
    for i, layer in enumerate((*network.decoder, network.out)):
        named[f"decoder.{2 * i}"] = layer
    tensors: dict[str, Any] = {}
    for name, layer in named.items():
        tensors[f"{name}.weight"] = np.ascontiguousarray(layer.W.T)
        tensors[f"{name}.bias"] = np.ascontiguousarray(layer.b)
    return tensors


def script(network: Network) -> str:
    """The module's source."""
    config = network.config
    forth = (config.data_dim, *config.hidden)
    back = (config.latent_dim, *reversed(config.hidden))
    activation = ACTIVATIONS[network.activation]
    decoder = [*sequence(back, activation), f"nn.Linear({back[-1]}, {config.data_dim})"]
    mean = LINKS[network.link]
    if "%s" in mean:
        mean %= list(config.groups)
    return SCRIPT.format(
        encoder=", ".join(sequence(forth, activation)),
        decoder=", ".join(decoder),
        top=forth[-1],
        latent=config.latent_dim,
        data=config.data_dim,
        bound=f"{LOGVAR_BOUND:g}",
        mean=mean.format("self.decoder(z)"),
    )


def sequence(sizes: tuple[int, ...], activation: str) -> list[str]:
    """Dense layers between these sizes, each with its activation."""
    pairs = itertools.pairwise(sizes)
    return [text for a, b in pairs for text in (f"nn.Linear({a}, {b})", activation)]
