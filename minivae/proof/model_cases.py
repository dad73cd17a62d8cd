"""The layers, the objectives, and the whole models in their variants.

The parts are minivae's own; those that others register have rows in `part_cases`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from minivae import layers, ops
from minivae.models import autoencoder as ae
from minivae.models import inference, linear_vae, vae
from minivae.models.config import ModelConfig
from minivae.params import Layout
from minivae.parts import ACTIVATIONS, LIKELIHOODS, OBJECTIVES, Likelihood, Objective, Terms
from minivae.parts.domains import REAL, UNIT
from minivae.parts.trials import groups_of, sample_data
from minivae.proof.case import DIMS, Case, normal, rng_for
from minivae.types import Array

VAE = ("elbo_forward", "elbo_backward", "nll_forward", "nll_backward")
B, D, J = DIMS["B"], DIMS["D"], DIMS["J"]


def parameters(layout: Layout, name: str, scale: float = 0.7) -> dict[str, Array]:
    """Random parameters by name; biases too, since a zero bias hides a lost one."""
    theta = normal(name, layout.size, scale=scale)
    return {key: np.array(view) for key, view in layout.views(theta).items()}


def linear_case() -> Case:
    """One dense layer over named parameters."""
    p = {
        "first.W": normal("first.W", DIMS["I"], DIMS["O"]),
        "first.b": normal("first.b", DIMS["O"]),
    }

    def forward(K: Any, p: Any, x: Array) -> Any:
        return layers.linear_forward(K, p, "first", x), (p, x)

    def backward(K: Any, dy: Array, cache: Any) -> Any:
        g: dict[str, Array] = {}
        layers.linear_backward(K, g, "first", dy, cache[1])
        return g, K.dense_backward_input(dy, cache[0]["first.W"])

    x = normal("linear", B, DIMS["I"])
    return Case(
        "layer linear",
        "layer",
        ("linear_forward", "linear_backward"),
        forward,
        backward,
        {"p": p, "x": x},
    )


def mlp_case(kind: str) -> Case:
    """A stack of hidden layers, down to its input's gradient."""
    sizes = (DIMS["I"], 6, 8, 3)
    p: dict[str, Array] = {}
    for i, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        p[f"n.{i}.W"] = normal(f"{kind}{i}W", rows, columns, scale=0.7)
        p[f"n.{i}.b"] = normal(f"{kind}{i}b", columns, scale=0.7)

    def forward(K: Any, p: Any, x: Array) -> Any:
        y, caches = layers.mlp_forward(K, p, "n", x, 3, kind)
        return y, (p, caches)

    def backward(K: Any, dy: Array, cache: Any) -> Any:
        g: dict[str, Array] = {}
        dx = layers.mlp_backward(K, cache[0], g, "n", dy, cache[1], kind, input_gradient=True)
        return g, dx

    covers = ("mlp_forward", "mlp_backward", "activate", "activate_backward")
    x = normal("mlp", B, DIMS["I"])
    return Case(f"layer mlp {kind}", "layer", covers, forward, backward, {"p": p, "x": x})


def objective_case(objective: Objective) -> Case:
    """An objective as a function of the reconstruction and of the posterior."""
    name = f"objective {objective.name}"
    draws = max(DIMS["L"], objective.least_draws)
    eps = normal(f"{name} eps", draws, B, J)
    mu, logvar = normal(f"{name} mu", B, J), normal(f"{name} logvar", B, J)
    prices = np.sort(
        ops.kl_forward(mu, logvar).mean(axis=0)
    )  # the floor parts the first from the rest
    floor = float(prices[:2].mean()) if objective.free_bits else 0.0

    def terms_of(K: Any, nll: Array, mu: Array, logvar: Array) -> Terms:
        z = K.reparameterise_forward(mu, logvar, eps)
        return Terms(nll, K.kl_forward(mu, logvar), mu, logvar, z, eps)

    def forward(K: Any, nll: Array, mu: Array, logvar: Array) -> Any:
        terms = terms_of(K, nll, mu, logvar)
        return objective.forward(K, terms, 0.83, floor), terms

    def backward(K: Any, dloss: Array, terms: Terms) -> Any:
        return tuple(objective.backward(K, dloss, terms, 0.83, floor))

    inputs = {
        "nll": normal(f"{name} nll", draws, B),
        "mu": mu,
        "logvar": logvar,
    }
    covers = (objective.forward.__name__, objective.backward.__name__)
    return Case(name, "layer", covers, forward, backward, inputs)


def data_for(part: Likelihood, name: str) -> Array:
    """Data (B, D) that the likelihood accepts."""
    if part.domain is UNIT:
        return rng_for(name).uniform(0.05, 0.95, (B, D))
    return normal(name, B, D) if part.domain is REAL else sample_data(part, B, D)


def vae_case(
    label: str,
    beta: float = 0.83,
    draws: int = 2,
    scale: float = 0.7,
    bound: bool = False,
    weighted: bool = False,
    **settings: Any,
) -> Case:
    """The whole VAE with its loss; `settings` are ModelConfig's, `bound` puts one logvar
    outside, and where `weighted` the data count unequally, one of them not at all."""
    config = ModelConfig(D, J, draws=draws, **settings)
    name = f"vae {label}"
    p = parameters(vae.layout_of(config), name, scale)
    if "decoder.logc" in p and p["decoder.logc"].ndim == 0:  # one variance for all features
        p["decoder.logc"] = np.array(-0.3)
    if bound:
        p["encoder.logvar.b"][1] = -60.0
    x = data_for(LIKELIHOODS[config.likelihood], name + "x")
    eps = normal(name + "eps", draws, B, J)
    weight = {"weight": np.linspace(0.0, 2.0, B)} if weighted else {}

    def forward(K: Any, p: Any, x: Array, eps: Array, weight: Array | None = None) -> Any:
        loss, cache = vae.elbo_forward(K, p, x, eps, beta, config, weight)
        return loss, (p, cache)

    def backward(K: Any, dloss: Array, saved: Any) -> Any:
        return (vae.elbo_backward(K, dloss, saved[1], saved[0], config),)

    inputs = {"p": p, "x": x, "eps": eps, **weight}
    return Case(name, "model", VAE, forward, backward, inputs, ("p",))


def vae_cases() -> list[Case]:
    """Every likelihood and objective; hidden layers, draws, β, warm-up, free bits, c, weights."""
    return [
        *(likelihood_case(part) for part in LIKELIHOODS.built_in()),
        *(vae_case(f"objective {part.name}", hidden=(), draws=max(DIMS["L"], part.least_draws),
                   objective=part.name) for part in OBJECTIVES.built_in()),
        vae_case("bernoulli relu", hidden=(6,)),
        vae_case("bernoulli tanh", hidden=(6,), activation="tanh"),
        vae_case("gaussian relu", hidden=(6,), likelihood="gaussian", c=0.6),
        vae_case("gaussian tanh", hidden=(6,), activation="tanh", likelihood="gaussian", c=0.6),
        vae_case("learned c", hidden=(6,), activation="tanh", likelihood="gaussian", c="learned"),
        vae_case("two hidden layers", hidden=(6, 4), activation="tanh"),
        vae_case("two hidden relu", hidden=(8, 6), likelihood="gaussian", c="learned"),
        vae_case("one draw", draws=1, hidden=(6,), activation="tanh"),
        vae_case("four draws", draws=4, hidden=(6,), activation="tanh"),
        vae_case("beta 4", beta=4.0, hidden=(6,), activation="tanh"),
        vae_case("warm-up start", beta=0.0, hidden=(6,), activation="tanh"),
        vae_case("warm-up middle", beta=0.37, hidden=(6,)),
        vae_case("free bits active", scale=0.2, hidden=(6,), activation="tanh", free_bits=5.0),
        vae_case("free bits inactive", hidden=(6,), activation="tanh", free_bits=1e-3),
        vae_case("free bits mixed", hidden=(6,), activation="tanh", free_bits=MIXED_FLOOR),
        vae_case("bounded logvar", hidden=(6, 4), bound=True),
        vae_case("weighted", hidden=(6,), activation="tanh", weighted=True, free_bits=MIXED_FLOOR),
        vae_case("weighted iwae", hidden=(6,), draws=4, weighted=True, objective="iwae"),
    ]  # fmt: skip


def likelihood_case(part: Likelihood) -> Case:
    """A whole model without hidden layers, the likelihood's scale learned where it has one."""
    return vae_case(
        f"linear {part.name}",
        hidden=(),
        likelihood=part.name,
        c="learned" if part.scale else 1.0,
        groups=next(iter(groups_of(part, D)), ()),
    )


MIXED_FLOOR = 0.7  # between the prices of this point's latent dimensions; a test holds that


def autoencoder_case(hidden: tuple[int, ...], kind: str, weighted: bool = False) -> Case:
    """Where `weighted`, the data count unequally, one of them not at all."""
    config = ae.AutoencoderConfig(D, J, hidden, kind)
    name = f"autoencoder {kind}{' weighted' * weighted}" if hidden else "autoencoder linear"
    p = parameters(ae.autoencoder_layout(config), name)
    weight = {"weight": np.linspace(0.0, 2.0, B)} if weighted else {}

    def forward(K: Any, p: Any, x: Array, weight: Array | None = None) -> Any:
        loss, cache = ae.autoencoder_forward(K, p, x, config, weight)
        return loss, (p, cache)

    def backward(K: Any, dloss: Array, saved: Any) -> Any:
        return (ae.autoencoder_backward(K, dloss, saved[1], saved[0], config),)

    covers = ("autoencoder_forward", "autoencoder_backward")
    inputs = {"p": p, "x": normal(name + "x", B, D), **weight}
    return Case(name, "model", covers, forward, backward, inputs, ("p",))


def linear_vae_case() -> Case:
    p = parameters(linear_vae.linear_vae_layout(D, J), "linear vae")

    def forward(K: Any, p: Any, x: Array) -> Any:
        loss, cache = linear_vae.linear_vae_forward(K, p, x)
        return loss, (p, cache)

    def backward(K: Any, dloss: Array, saved: Any) -> Any:
        return (linear_vae.linear_vae_backward(K, dloss, saved[1], saved[0]),)

    covers = ("linear_vae_forward", "linear_vae_backward")
    inputs = {"p": p, "x": normal("linear vae x", B, D)}
    return Case("linear vae", "model", covers, forward, backward, inputs, ("p",))


def inference_case() -> Case:
    config = ModelConfig(D, J, hidden=(6,), activation="tanh", beta=0.7, draws=2)
    p = parameters(vae.layout_of(config), "inference")
    q = {"mu": normal("q.mu", B, J), "logvar": normal("q.logvar", B, J)}
    x, eps = rng_for("inference x").uniform(0.05, 0.95, (B, D)), normal("inference eps", 2, B, J)

    def forward(K: Any, q: Any) -> Any:
        return inference.inference_forward(K, p, q, x, eps, config)

    def backward(K: Any, dloss: Array, cache: Any) -> Any:
        return (inference.inference_backward(K, dloss, cache, p, config),)

    covers = ("inference_forward", "inference_backward")
    return Case("inference", "model", covers, forward, backward, {"q": q})


def model_cases() -> list[Case]:
    """Layers first, then the models that are made of them."""
    return [
        linear_case(),
        *(mlp_case(part.name) for part in ACTIVATIONS.built_in()),
        *(objective_case(objective) for objective in OBJECTIVES.built_in()),
        *vae_cases(),
        autoencoder_case((), "relu"),
        autoencoder_case((6,), "tanh"),
        autoencoder_case((8, 6), "relu"),
        autoencoder_case((6,), "tanh", weighted=True),
        linear_vae_case(),
        inference_case(),
    ]
