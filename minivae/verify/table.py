"""The one table of what is verified: every op pair, layer and model, each with a linted test point.

Tests, the command line, the kernels' checks and the planted bugs all read it. A new op needs a
row, or a line in NO_GRADIENT saying why it has none: `uncovered()` finds what was forgotten.
A model added later registers its rows with `register`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae import ops
from minivae.types import Array
from minivae.verify.check import check
from minivae.verify.report import Report

# No two sizes are equal, and none divides another's role: a mixed-up axis cannot pass.
DIMS = {"B": 5, "D": 7, "H": 6, "J": 3, "I": 4, "O": 8, "L": 2}

NO_GRADIENT = {
    "sgd_update": "changes the parameters in place; held to its formula by its own test",
    "adam_update": "changes the parameters in place; held to its formula by its own test",
    "philox": "integers; held to published known answers",
    "uniforms": "drawn bits have no gradient; held bit for bit",
    "normals": "drawn bits have no gradient; held bit for bit",
    "permutation": "integers; held bit for bit",
    "gather": "data have no gradient; held bit for bit",
    "binarise": "a step function; held bit for bit",
    "gather_binarise": "a step function; held bit for bit",
}


class Case(NamedTuple):
    """One row: forward(K, *inputs) -> (y, cache), backward(K, dy, cache), and a test point."""

    name: str
    kind: str  # "op", "layer" or "model"
    covers: tuple[str, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: dict[str, Any]
    wrt: tuple[str, ...] | None = None

    def run(self, K: Any = ops, **options: Any) -> Report:
        """The report of this row under the namespace of ops K."""
        return check(
            lambda *inputs: self.forward(K, *inputs),
            lambda dy, cache: self.backward(K, dy, cache),
            list(self.inputs.values()),
            name=self.name,
            names=list(self.inputs),
            wrt=self.wrt,
            **{"seconds": 60.0, **options},  # every entry is visited, on the slowest machine too
        )


def rng_for(name: str) -> np.random.Generator:
    """A generator of the row's own, so that adding a row moves no other's test point."""
    return np.random.default_rng(list(name.encode()))


def normal(name: str, *shape: int, scale: float = 1.0) -> Array:
    return rng_for(name).normal(size=shape) * scale


def covariance(name: str, n: int) -> Array:
    """A matrix near a covariance: each entry is a variable of its own, so it is not symmetric."""
    root = normal(name, n, n)
    return root @ root.T + n * np.eye(n) + 0.3 * normal(name + "skew", n, n)


# -- ops ----------------------------------------------------------------------------------------
def elementwise(name: str, point: Array) -> Case:
    """A row for y = f(x) with backward(dy, x)."""

    def forward(K: Any, x: Array) -> Any:
        return getattr(K, f"{name}_forward")(x), x

    def backward(K: Any, dy: Array, x: Array) -> Any:
        return getattr(K, f"{name}_backward")(dy, x)

    return Case(
        name, "op", (f"{name}_forward", f"{name}_backward"), forward, backward, {"x": point}
    )


def dense(name: str, wrap: str = "") -> Case:
    """A row for the dense layer, alone or fused with its activation."""

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
    """A row for an op whose backward takes the upstream and then the inputs called `needs`."""
    names = list(inputs)

    def forward(K: Any, *values: Any) -> Any:
        return getattr(K, f"{name}_forward")(*values), dict(zip(names, values, strict=True))

    def backward(K: Any, dy: Any, cache: dict[str, Any]) -> Any:
        upstream = dy if isinstance(dy, tuple) else (dy,)
        return getattr(K, f"{name}_backward")(*upstream, *(cache[n] for n in needs))

    covers = (f"{name}_forward", f"{name}_backward")
    return Case(name, "op", covers, forward, backward, inputs, wrt)


def fused_nll(name: str, inputs: dict[str, Any], wrt: tuple[str, ...]) -> Case:
    """A row for an op that returns the loss and its gradients at once."""

    def forward(K: Any, *values: Any) -> Any:
        logits = values[0]
        return getattr(K, name)(np.zeros_like(logits[..., 0]), *values)[0], values

    def backward(K: Any, dy: Array, values: Any) -> Any:
        grads = getattr(K, name)(dy, *values)[1:]
        return grads[0] if len(grads) == 1 else grads

    return Case(name, "op", (name,), forward, backward, inputs, wrt)


def op_cases() -> list[Case]:
    """One row per op pair."""
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


REGISTERED: list[Callable[[], list[Case]]] = [op_cases]


def register(rows: Callable[[], list[Case]]) -> Callable[[], list[Case]]:
    """Add a function that returns rows; usable as a decorator beside a model."""
    REGISTERED.append(rows)
    return rows


def cases(names: list[str] | None = None) -> list[Case]:
    """All rows, or those whose name is or begins with one of `names`; KeyError names the
    unknown."""
    from minivae.verify import table_models  # imports the models, which ops' users do not need

    found = [case for rows in [*REGISTERED, table_models.model_cases] for case in rows()]
    if not names:
        return found
    for name in names:
        if not any(matches(case, name) for case in found):
            raise KeyError(f"no row called {name!r}; there are {', '.join(c.name for c in found)}")
    return [case for case in found if any(matches(case, name) for name in names)]


def matches(case: Case, name: str) -> bool:
    return case.name == name or case.name.startswith(name + " ") or case.kind == name


def uncovered() -> list[str]:
    """Ops and models that no row covers: empty, or a test fails."""
    rows = cases()
    covered = {name for case in rows for name in case.covers}
    missing = [op for op in ops.OPS if op not in covered and op not in NO_GRADIENT]
    missing += [name for name in model_passes() if name not in covered]
    return missing


def model_passes() -> list[str]:
    """Every `…_forward` of minivae.models and minivae.layers that has a `…_backward` beside it."""
    from minivae import layers, models

    modules = [layers]
    for info in pkgutil.iter_modules(models.__path__):
        if "estimator" not in info.name:  # those need scikit-learn, and hold no passes
            modules.append(importlib.import_module(f"minivae.models.{info.name}"))
    found = []
    for module in modules:
        for name, value in vars(module).items():
            own = inspect.isfunction(value) and value.__module__ == module.__name__
            partner = name.removesuffix("_forward") + "_backward"
            if own and name.endswith("_forward") and hasattr(module, partner):
                found += [name, partner]
    return found
