"""The training problems that the GPU step's tests share, on the host and on a card."""

from __future__ import annotations

from typing import Any

import numpy as np
from minivae_kernels.gpu.ops_activation import ACTIVATION_CODES, keeps_input
from minivae_kernels.gpu.ops_likelihood import LIKELIHOODS

from minivae import parts
from minivae.backend import load_backend
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.parts import OPTIMISERS
from minivae.parts.domains import COUNTS, SHARES, UNIT
from minivae.proof.tolerances import tol
from minivae.training.plan import make_plan
from minivae.training.step import ReferenceStep

N = 41
MODELS = {
    "relu bernoulli": ModelConfig(data_dim=131, latent_dim=5, hidden=(37,), beta=0.7),
    "tanh, two layers, free bits": ModelConfig(
        data_dim=36, latent_dim=8, hidden=(20, 12), activation="tanh", free_bits=0.2
    ),
    "three layers, three draws": ModelConfig(
        data_dim=33, latent_dim=3, hidden=(19, 11, 7), draws=3
    ),
    "linear": ModelConfig(data_dim=21, latent_dim=4, hidden=(), beta=1.3),
    "gaussian, learned c": ModelConfig(
        data_dim=29, latent_dim=35, hidden=(17,), likelihood="gaussian", c="learned", draws=2
    ),
    "gaussian, given c": ModelConfig(
        data_dim=29, latent_dim=3, hidden=(17,), likelihood="gaussian", c=0.4
    ),
}

# Every activation, in layers whose products are the card's library's and in narrow ones.
ACTIVATED = {
    f"{name}, {latent} latent": ModelConfig(
        data_dim=21, latent_dim=latent, hidden=(16, 7), activation=name, draws=2
    )
    for name in ACTIVATION_CODES
    for latent in ((4, 35) if keeps_input(name) else (4,))
}

# Every likelihood but those of MODELS, its scale given and learned; three column tiles and one.
GROUPS = (3, 150, 1, 46)
LIKELY = {
    f"{name}, {c}": ModelConfig(
        data_dim=200, latent_dim=4, hidden=(16,), likelihood=name, draws=2,
        groups=GROUPS if parts.LIKELIHOODS[name].grouped else (),
        **({} if parts.LIKELIHOODS[name].scale is None else {"c": c}),
    )
    for name in LIKELIHOODS if name not in ("bernoulli", "gaussian")
    for c in ((0.4, "learned") if parts.LIKELIHOODS[name].scale is not None else ("no scale",))
}  # fmt: skip

# The importance-weighted bound: without a scale, and with each way a learned one is accounted for;
# more draws than a warp has lanes.
WEIGHED = {
    f"iwae {name}, {draws} draws": ModelConfig(
        data_dim=200, latent_dim=4, hidden=(16,), likelihood=name, draws=draws, objective="iwae",
        groups=GROUPS if parts.LIKELIHOODS[name].grouped else (),
        **({} if parts.LIKELIHOODS[name].scale is None else {"c": "learned"}),
    )
    for name, draws in (
        ("bernoulli", 40), ("gaussian", 3), ("gaussian-diagonal", 3), ("negative-binomial", 3),
        ("categorical", 3),
    )
}  # fmt: skip


def data_for(model: ModelConfig, rng: np.random.Generator) -> np.ndarray:
    """Data that the likelihood accepts: bytes as shades, whole counts, one of each group, reals."""
    shape, domain = (N, model.data_dim), parts.LIKELIHOODS[model.likelihood].domain
    if domain is UNIT:
        return rng.integers(0, 256, size=shape, dtype=np.uint8)
    if domain is COUNTS:
        return rng.poisson(3.0, shape).astype(np.float32)
    if domain is SHARES:
        chosen = [np.eye(size)[rng.integers(size, size=N)] for size in model.groups]
        return np.concatenate(chosen, axis=1).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def problem(model: ModelConfig, **settings: Any) -> tuple[Any, ...]:
    """(plan, theta, moments, data) in float32, or bytes where the data are shades."""
    rng = np.random.default_rng(5)
    data = data_for(model, rng)
    defaults = {
        "scale": 1 / 255 if data.dtype == np.uint8 else 1.0,
        "seed": 2**33 + 7,
        "max_batch": 9,
        "binarise": "dynamic" if parts.LIKELIHOODS[model.likelihood].binary else "none",
    }
    plan = make_plan(model, **{**defaults, **settings})
    theta = initialise(model, 3, np.float32)
    theta = theta + np.float32(0.02) * rng.normal(size=theta.size).astype(np.float32)  # biases too
    return plan, theta.astype(np.float32), np.zeros((2, theta.size), np.float32), data


def schedule(n: int, batch: int, rate: float = 1e-3) -> tuple[Any, ...]:
    """(rows, t, lr, beta) of n updates, all changing."""
    rows = np.random.default_rng(8).integers(0, N, size=(n, batch))
    return rows, 6, rate * (1 + np.arange(n)), 0.3 + 0.2 * np.arange(n)


def run(step: Any, n: int = 3, batch: int = 9, rate: float = 1e-3) -> tuple[Any, Any]:
    step(*schedule(n, batch, rate))
    return step.state(), step.metrics()


def safe_rate(model: ModelConfig) -> float:
    """Counts have gradients so steep that 1e-3 sends the parameters to 1e10, and any two roundings
    apart: at 1e-4 an error stays what it was."""
    return 1e-4 if parts.LIKELIHOODS[model.likelihood].domain is COUNTS else 1e-3


def reference(plan: Any, theta: Any, moments: Any, data: Any, dtype: Any) -> ReferenceStep:
    data = data if data.dtype == np.uint8 else data.astype(dtype)
    return ReferenceStep(
        load_backend("numpy"), plan, theta.astype(dtype), moments.astype(dtype), data
    )


def single_runs(given: tuple[Any, ...], rate: float) -> list[Any]:
    """The float32 reference's run, and six from parameters moved by their last place.

    All are as right as float32 can be; a lone run's error may be small by luck.
    """
    plan, theta, moments, data = given
    rng, found = np.random.default_rng(1), []
    for size in (0, *6 * (1,)):
        moved = theta * (1 + size * np.finfo(np.float32).eps * rng.choice([-1, 1], theta.size))
        moved = moved.astype(np.float32)
        (after, its_moments), metrics = run(
            reference(plan, moved, moments, data, np.float32), rate=rate
        )
        found.append(((theta + (after.astype(np.float64) - moved), its_moments), metrics))
    return found


def check_step(K: Any, model: str, optimiser: str) -> None:
    """Three updates: at most twice as far from float64 as the float32 reference is."""
    settings = {"eps": 1e-3} if "eps" in OPTIMISERS[optimiser].settings else {}
    config = {**MODELS, **ACTIVATED, **LIKELY, **WEIGHED}[model]
    given, rate = problem(config, optimiser=optimiser, settings=settings), safe_rate(config)
    exact = run(reference(*given, np.float64), rate=rate)
    singles = single_runs(given, rate)
    mine = run(K.make_step(*given), rate=rate)
    for i, what in enumerate(("theta", "moments")):
        truth, got = exact[0][i], mine[0][i]
        own = max(float(np.linalg.norm(single[0][i] - truth)) for single in singles)
        error = np.linalg.norm(got - truth)
        assert error <= tol("budget_factor") * own, f"{what}: {error} against {own}"
        assert np.linalg.norm(truth - (given[1] if what == "theta" else 0)) > 100 * own
    for key, truth in exact[1].items():
        own = max(float(np.max(np.abs(single[1][key] - truth), initial=0.0)) for single in singles)
        error = float(np.max(np.abs(mine[1][key] - truth), initial=0.0))
        allowed = max(3e-6 * float(np.max(np.abs(truth), initial=0.0)), tol("budget_factor") * own)
        assert error <= allowed, f"{key}: {error} against {own}"
