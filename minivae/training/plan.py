"""What a backend's training step must know: plain data, so that kernels need no minivae."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.parts import LIKELIHOODS, OPTIMISERS
from minivae.parts.likelihoods import log_scale

# What a plan takes from the model's configuration as it stands there.
OF_THE_MODEL = (
    "data_dim", "hidden", "latent_dim", "activation", "likelihood", "groups", "objective",
    "free_bits", "draws",
)  # fmt: skip


class StepPlan(NamedTuple):
    """Architecture, objective and optimiser of one training step, in plain numbers and words.

    layout: (name, offset, shape) of every tensor in the flat buffer.
    logc: log c where the likelihood's scale is given, None where it is learned or there is none.
    settings: the optimiser's (name, value) in its update's order.
    scale: factor from stored data to model inputs (1/255 for bytes).
    threads: 0 leaves the number to the backend. weighted: whether rows count unequally (E64).
    """

    data_dim: int
    hidden: tuple[int, ...]
    latent_dim: int
    activation: str
    likelihood: str
    logc: float | None
    groups: tuple[int, ...]
    objective: str
    free_bits: float
    draws: int
    layout: tuple[tuple[str, int, tuple[int, ...]], ...]
    optimiser: str
    settings: tuple[tuple[str, float], ...]
    binarise: str
    scale: float
    seed: int
    max_batch: int
    threads: int
    weighted: bool = False

    def setting(self, name: str, default: float = 0.0) -> float:
        """The optimiser's setting of that name; `default` where it has none."""
        return dict(self.settings).get(name, default)


def make_plan(
    model: ModelConfig,
    *,
    scale: float,
    seed: int,
    max_batch: int,
    optimiser: str = "adam",
    settings: Mapping[str, float] | None = None,
    binarise: str = "none",
    threads: int = 0,
    weighted: bool = False,
) -> StepPlan:
    """The plan for a model and the optimiser, with the `settings` that differ from its defaults."""
    given = LIKELIHOODS[model.likelihood].scale is not None and not model.learns_c
    return StepPlan(
        **{name: getattr(model, name) for name in OF_THE_MODEL},
        logc=log_scale(model.c) if given else None,
        layout=tuple((e.name, e.offset, e.shape) for e in layout_of(model).entries),
        optimiser=optimiser,
        settings=OPTIMISERS[optimiser].settled(settings or {}),
        binarise=binarise,
        scale=scale,
        seed=seed,
        max_batch=max_batch,
        threads=threads,
        weighted=weighted,
    )


def model_of(plan: Any) -> ModelConfig:
    """The model configuration that a plan was made from (its β comes with each update)."""
    c: float | str = 1.0
    if LIKELIHOODS[plan.likelihood].scale is not None:
        c = "learned" if plan.logc is None else math.exp(plan.logc)
    return ModelConfig(**{name: getattr(plan, name) for name in OF_THE_MODEL}, c=c)
