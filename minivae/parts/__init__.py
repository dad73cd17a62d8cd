"""What a model is made of, in tables: activations, likelihoods, optimisers, objectives.

Each part is one record. Configurations, help texts, messages, models and the command line read the
tables, and compare no names; `register` adds a part of your own, checked on the spot.
"""

from __future__ import annotations

from minivae.parts.activations import ACTIVATIONS, Activation
from minivae.parts.domains import Domain
from minivae.parts.likelihoods import LIKELIHOODS, Likelihood, Scale
from minivae.parts.objectives import OBJECTIVES, Objective, TermGradients, Terms
from minivae.parts.optimisers import OPTIMISERS, Optimiser
from minivae.parts.records import PartError
from minivae.parts.register import load_parts, register, unregister

__all__ = [
    "ACTIVATIONS",
    "LIKELIHOODS",
    "OBJECTIVES",
    "OPTIMISERS",
    "Activation",
    "Domain",
    "Likelihood",
    "Objective",
    "Optimiser",
    "PartError",
    "Scale",
    "TermGradients",
    "Terms",
    "load_parts",
    "register",
    "unregister",
]
