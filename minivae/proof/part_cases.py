"""One case for each part that others have registered and that has a gradient of its own."""

from __future__ import annotations

from typing import Any

from minivae.parts.activations import ACTIVATIONS
from minivae.parts.likelihoods import LIKELIHOODS
from minivae.parts.objectives import OBJECTIVES
from minivae.parts.trials import PartTrial, activation_trial, likelihood_trial, objective_trial
from minivae.proof.case import Case


def part_cases() -> list[Case]:
    """Activations, likelihoods and objectives, in the order of their registration."""
    tables: tuple[tuple[Any, Any], ...] = (
        (ACTIVATIONS, activation_trial),
        (LIKELIHOODS, likelihood_trial),
        (OBJECTIVES, objective_trial),
    )
    return [
        case_of(part.name, trial(part)) for table, trial in tables for part in table.registered()
    ]


def case_of(name: str, trial: PartTrial) -> Case:
    """A part's trial as a row; its functions take no backend's ops, and none is handed over."""
    return Case(
        name,
        "part",
        (),
        lambda _, *inputs: trial.forward(*inputs),
        lambda _, dy, cache: trial.backward(dy, cache),
        trial.inputs,
    )
