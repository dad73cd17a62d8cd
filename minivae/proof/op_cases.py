"""One case for each op pair."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae.proof.case import DIMS, Case, covariance, normal, rng_for
from minivae.types import Array


def elementwise(name: str, point: Array) -> Case:
    """A case for y = f(x) with backward(dy, x)."""

    def forward(K: Any, x: Array) -> Any:
        return getattr(K, f"{name}_forward")(x), x

    def backward(K: Any, dy: Array, x: Array) -> Any:
        return getattr(K, f"{name}_backward")(dy, x)

    return Case(
        name, "op", (f"{name}_forward", f"{name}_backward"), forward, backward, {"x": point}
    )


def dense(name: str, wrap: str = "") -> Case:
    """A case for the dense layer, alone or fused with its activation."""

    def forward(K: Any, x: Array, W: Array, b: Array) -> Any:
        y = getattr(K, f"{name}_forward")(x, W, b)
        return y, (x, W, y)

    def backward(K: Any, dy: Array, cache: Any) -> Any:
        x, W, y = cache
        da = getattr(K, f"{name}_backward")(dy, y) if wrap else dy
        return (K.dense_backward_input(da, W), *K.dense_backward_params(da, x))

    B, I, O = DIMS["B"], DIMS["I"], DIMS["O"]
    own = (f"{name}_backward",) if wrap else ("dense_backward_input", "dense_backward_params")
    inputs = {
        "x": normal(name + "x", B, I),
        "W": normal(name + "W", I, O),
        "b": normal(name + "b", O),
    }
    return Case(name, "op", (f"{name}_forward", *own), forward, backward, inputs)


def pair(
    name: str, inputs: dict[str, Any], needs: tuple[str, ...], wrt: tuple[str, ...] | None = None
) -> Case:
    """A case for an op whose backward takes the upstream and then the inputs called `needs`."""
    names = list(inputs)

    def forward(K: Any, *values: Any) -> Any:
        return getattr(K, f"{name}_forward")(*values), dict(zip(names, values, strict=True))

    def backward(K: Any, dy: Any, cache: dict[str, Any]) -> Any:
        upstream = dy if isinstance(dy, tuple) else (dy,)
        return getattr(K, f"{name}_backward")(*upstream, *(cache[n] for n in needs))

    covers = (f"{name}_forward", f"{name}_backward")
    return Case(name, "op", covers, forward, backward, inputs, wrt)


def fused_nll(name: str, inputs: dict[str, Any], wrt: tuple[str, ...]) -> Case:
    """A case for an op that returns the loss and its gradients at once."""

    def forward(K: Any, *values: Any) -> Any:
        logits = values[0]
        return getattr(K, name)(np.zeros_like(logits[..., 0]), *values)[0], values

    def backward(K: Any, dy: Array, values: Any) -> Any:
        grads = getattr(K, name)(dy, *values)[1:]
        return grads[0] if len(grads) == 1 else grads

    return Case(name, "op", (name,), forward, backward, inputs, wrt)


def op_cases() -> list[Case]:
    """One case per op pair."""
    B, D, J, L = DIMS["B"], DIMS["D"], DIMS["J"], DIMS["L"]
    unit = rng_for("x").uniform(0.05, 0.95, (B, D))
    latent = {"mu": normal("mu", B, J), "logvar": normal("logvar", B, J)}
    drawn = {**latent, "eps": normal("eps", L, B, J)}
    logits = {"logits": normal("logits", L, B, D, scale=2.0), "x": unit}
    mean = {"mean": normal("mean", L, B, D), "x": normal("data", B, D), "logc": np.array(-0.4)}
    outside = normal("bound", B, J, scale=30.0)
    outside[0, 0], outside[1, 2] = 55.0, -61.0
    price = np.array([0.11, 0.83, 0.29, 1.7])
    gaussians = {
        "mu0": normal("mu0", J),
        "cov0": covariance("cov0", J),
        "mu1": normal("mu1", J),
        "cov1": covariance("cov1", J),
    }
    return [
        dense("dense"),
        elementwise("relu", normal("relu", B, D)),
        elementwise("tanh", normal("tanh", B, D)),
        elementwise("sigmoid", normal("sigmoid", B, D, scale=3.0)),
        elementwise("softplus", normal("softplus", B, D, scale=3.0)),
        elementwise("bound_logvar", outside),
        pair("reparameterise", drawn, ("logvar", "eps"), ("mu", "logvar")),
        pair("kl", latent, ("mu", "logvar")),
        pair("free_bits", {"kl_mean": price, "floor": 0.37}, ("kl_mean", "floor")),
        pair("gaussian_kl", gaussians, tuple(gaussians)),
        pair("bernoulli_nll", logits, ("logits", "x"), ("logits",)),
        pair("gaussian_nll", mean, ("mean", "x", "logc"), ("mean", "logc")),
        dense("dense_relu", "relu"),
        dense("dense_tanh", "tanh"),
        pair("latent", drawn, ("mu", "logvar", "eps"), ("mu", "logvar")),
        fused_nll("bernoulli_nll_grad", logits, ("logits",)),
        fused_nll("gaussian_nll_grad", mean, ("mean", "logc")),
    ]
