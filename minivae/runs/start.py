"""The state before a run's first update: from its settings, and from its data where they say so."""

from __future__ import annotations

import numpy as np

from minivae.data.dataset import Dataset
from minivae.data.stream import chunks
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.parts import LIKELIHOODS
from minivae.runs.config import TrainConfig
from minivae.runs.state import State
from minivae.types import Array


def first_state(model: ModelConfig, config: TrainConfig, dataset: Dataset) -> State:
    """The state before the first update, a function of the settings and the training rows."""
    output_of = LIKELIHOODS[model.likelihood].output_of
    bias = None
    if config.output_bias == "mean" and output_of is not None:
        bias = output_of(mean_row(dataset))
    theta = initialise(model, config.seed, "float32", config.initialisation, bias)
    return State.at(theta, config.optimiser)


def mean_row(dataset: Dataset) -> Array:
    """The mean of all training rows, scaled: (D,) float64."""
    total = np.zeros(dataset.data_dim)
    for rows in chunks(dataset.train):
        total += rows.sum(axis=0, dtype=np.float64)
    return total / len(dataset.train) * dataset.scale
