"""What a backend's training step must know: plain data, so that kernels need no minivae."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of


class StepPlan(NamedTuple):
    """Architecture, objective and optimiser of one training step, in plain numbers and words.

    layout: (name, offset, shape) of every tensor in the flat buffer.
    logc: log c where the Gaussian's c is given, None where it is learned or there is none.
    scale: factor from stored data to model inputs (1/255 for bytes).
    threads: 0 leaves the number to the backend.
    """

    data_dim: int
    hidden: tuple[int, ...]
    latent_dim: int
    activation: str
    likelihood: str
    logc: float | None
    free_bits: float
    draws: int
    layout: tuple[tuple[str, int, tuple[int, ...]], ...]
    optimiser: str
    momentum: float
    beta1: float
    beta2: float
    adam_eps: float
    binarise: str
    scale: float
    seed: int
    max_batch: int
    threads: int


def make_plan(
    model: ModelConfig,
    *,
    scale: float,
    seed: int,
    max_batch: int,
    optimiser: str = "adam",
    momentum: float = 0.9,
    beta1: float = 0.9,
    beta2: float = 0.999,
    adam_eps: float = 1e-8,
    binarise: str = "none",
    threads: int = 0,
) -> StepPlan:
    """The plan for a model and the optimiser's settings."""
    given = model.likelihood == "gaussian" and not model.learns_c
    return StepPlan(
        data_dim=model.data_dim,
        hidden=model.hidden,
        latent_dim=model.latent_dim,
        activation=model.activation,
        likelihood=model.likelihood,
        logc=math.log(float(model.c)) if given else None,
        free_bits=model.free_bits,
        draws=model.draws,
        layout=tuple((e.name, e.offset, e.shape) for e in layout_of(model).entries),
        optimiser=optimiser,
        momentum=momentum,
        beta1=beta1,
        beta2=beta2,
        adam_eps=adam_eps,
        binarise=binarise,
        scale=scale,
        seed=seed,
        max_batch=max_batch,
        threads=threads,
    )


def model_of(plan: Any) -> ModelConfig:
    """The model configuration that a plan was made from (its β comes with each update)."""
    c: float | str = 1.0
    if plan.likelihood == "gaussian":
        c = "learned" if plan.logc is None else math.exp(plan.logc)
    return ModelConfig(
        data_dim=plan.data_dim,
        latent_dim=plan.latent_dim,
        hidden=plan.hidden,
        activation=plan.activation,
        likelihood=plan.likelihood,
        c=c,
        free_bits=plan.free_bits,
        draws=plan.draws,
    )
